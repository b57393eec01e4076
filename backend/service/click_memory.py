"""What was made of the last clicks, so that the next one refines it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.labelstudio.regions import Size
from backend.tracks import BoolArray, Box, Mask, Point, Prompt

if TYPE_CHECKING:  # which takes seconds to import
    from torch import Tensor

KEPT = 256
KEPT_BYTES = 128 << 20
LOGITS_BYTES = 4 * 256 * 256  # of SAM's answer at its own resolution
_MARK_BYTES = 500  # of a click or a box with its id, roughly


@dataclass(frozen=True, eq=False)
class Asked:
    """What is marked of one object on one picture.

    Attributes:
        object_id: the object's.
        region: the id of the region that shows its mask there.
        label: its label.
        frame: the picture's position, from 0.
        size: the picture's width and height as the browser has it.
        points: all clicks, in their order.
        box: in pixels.
        base: the mask that the clicks are to mend; None where they make one.
        marks: the ids of the points and the box.
    """

    object_id: str
    region: str
    label: str | None
    frame: int
    size: Size
    points: tuple[Point, ...] = ()
    box: Box | None = None
    base: Mask | None = None
    marks: tuple[str, ...] = ()

    @property
    def prompt(self) -> Prompt:
        """All of it for the segmenter; what is mended is in a box, which holds the clicks that belong to the object."""
        there = None if self.base is None else self.base.solid_box
        if self.base is None or there is None:
            return Prompt(self.object_id, self.frame, self.box, self.points)
        x0, y0, x1, y1 = self.box or there
        more = [point for point in self.points if point.positive]
        box = (
            min([x0, *(point.x for point in more)]),
            min([y0, *(point.y for point in more)]),
            max([x1, *(point.x for point in more)]),
            max([y1, *(point.y for point in more)]),
        )
        return Prompt(self.object_id, self.frame, box, self.points, self.base.array())

    def limit(self, mask: BoolArray) -> BoolArray:
        """A mask ``bool (H, W)`` made of it, as far as it was asked for: clicks that only take away add nothing."""
        if self.base is None or self.box is not None or any(point.positive for point in self.points):
            return mask
        return mask & self.base.array()

    def says_the_same(self, other: Asked) -> bool:
        """Whether the answer is the same."""
        mine, others = ((one.frame, one.size, one.points, one.box) for one in (self, other))
        return mine == others and _counts(self.base) == _counts(other.base)

    def goes_on_from(self, other: Asked) -> bool:
        """Whether it says all that the other did, and more."""
        same = (self.frame, self.size, self.box) == (other.frame, other.size, other.box)
        first = self.points[: len(other.points)]
        return same and first == other.points and _counts(self.base) == _counts(other.base)


@dataclass(frozen=True, eq=False)
class Made:
    """The answer to what was asked: ``logits`` are what the next click goes on from; ``at`` is when (monotonic)."""

    asked: Asked
    mask: Mask
    score: float
    logits: Tensor
    at: float

    @property
    def size(self) -> int:
        """What it takes of memory, in bytes, roughly."""
        asked = self.asked
        drawn = len(self.mask.counts) + (0 if asked.base is None else len(asked.base.counts))
        return drawn + LOGITS_BYTES + _MARK_BYTES * (len(asked.points) + len(asked.marks))


class ClickMemory:
    """The last answers of all tasks, one for each object and picture, as many as there is room for: on large pictures
    fewer. The last one is always kept. Threads may share it."""

    def __init__(self, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept = kept
        self._kept_bytes = kept_bytes
        self._bytes = 0
        self._made: OrderedDict[tuple[str, str, str, int], Made] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, project: str, task: str, made: Made) -> None:
        """Keep an answer, in the place of the object's last one on that picture."""
        key = (project, task, made.asked.object_id, made.asked.frame)
        with self._lock:
            self._forget(key)
            self._made[key] = made
            self._bytes += made.size
            while len(self._made) > 1 and (len(self._made) > self._kept or self._bytes > self._kept_bytes):
                self._forget(next(iter(self._made)))

    def of(self, project: str, task: str) -> list[Made]:
        """A task's answers, the latest last."""
        with self._lock:
            return [made for (owner, name, *_), made in self._made.items() if (owner, name) == (project, task)]

    def drop(self, project: str, task: str, made: Made) -> None:
        """Forget an answer, unless there is a newer one in its place."""
        key = (project, task, made.asked.object_id, made.asked.frame)
        with self._lock:
            if self._made.get(key) is made:
                self._forget(key)

    def _forget(self, key: tuple[str, str, str, int]) -> None:
        made = self._made.pop(key, None)
        if made is not None:
            self._bytes -= made.size


def _counts(mask: Mask | None) -> bytes | None:
    return None if mask is None else mask.counts
