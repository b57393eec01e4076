"""Ctrl-C as a request, so that what is done by then can be kept."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType


class Interrupts:
    """While it is entered, on the main thread, the first SIGINT only sets ``asked``; a second raises
    KeyboardInterrupt, as ever."""

    def __init__(self) -> None:
        self._asked = False

    @property
    def asked(self) -> bool:
        """Whether somebody pressed Ctrl-C."""
        return self._asked

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
