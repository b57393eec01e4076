"""Work on many objects a few at a time, and on fewer where the device's memory does not suffice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import torch

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Parts:
    """How many objects are worked on at once.

    Args:
        size: so many, to begin with; 1 or more. It halves whenever the device is out of memory.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def each(self, count: int, work: Callable[[slice], Result]) -> list[Result]:
        """What ``work`` makes of each part of ``count`` objects, in order.

        Raises:
            torch.OutOfMemoryError: there is not even memory for one object.
        """
        done: list[Result] = []
        first = 0
        while first < count:
            part = slice(first, min(count, first + self.size))
            try:
                done.append(work(part))
            except torch.OutOfMemoryError:
                if part.stop - part.start == 1:
                    raise
                self.size = (part.stop - part.start) // 2
                log.warning("out of memory on the device: from now on %d objects are worked on at once", self.size)
            else:
                first = part.stop
                continue
            torch.cuda.empty_cache()  # outside of the handler, which keeps the failed work's tensors alive
        return done
