"""Which objects of two pieces of a video are the same, where each piece was tracked by itself.

What covers the same pixels on the frames that both pieces have is the same. What begins later is known again by its
place, a moment after somebody was lost there, and by its looks, as within a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from pycocotools import mask as coco

from backend.association.assignment import assign
from backend.tracks import Box, FloatArray, Mask, box_iou

if TYPE_CHECKING:  # torch is seconds long, and is not needed where looks say nothing
    from backend.association.identity import Calibration

MEMORY = 60.0
"""Seconds after which a tracker forgets what detected objects looked like."""

Agreement = Callable[[int, int], float]


@dataclass(frozen=True)
class JoinRules:
    """When objects of two pieces are one.

    Attributes:
        same: the least overlap (IoU of all masks together) on the frames that both pieces have.
        near: seconds for which an object that was lost is taken to be where it was last.
        place: the least overlap (IoU) of the boxes there.
        again: the least probability, by what they look like.
        first: seconds, from an object's first view on, of which it counts what it looks like.
        memory: seconds after which it is forgotten what an object looked like.
    """

    same: float = 0.3
    near: float = 0.5
    place: float = 0.3
    again: float = 0.5
    first: float = 1.0
    memory: float = MEMORY


@dataclass(frozen=True, eq=False)
class Seen:
    """An object, as far as it was seen.

    Attributes:
        masks: by frame; where it is absent there is none, and none is empty.
        label: what it is, if that was said.
        seconds: (V,) times from which it is known what it looks like, ascending.
        views: (V, D) what it looked like then.
    """

    masks: Mapping[int, Mask]
    label: str | None
    seconds: Sequence[float]
    views: FloatArray

    @cached_property
    def first(self) -> int | None:
        """The frame on which it is seen first; None where it never is."""
        return min(self.masks, default=None)

    @cached_property
    def last(self) -> int | None:
        """The frame on which it is seen last; None where it never is."""
        return max(self.masks, default=None)


def meet(
    known: Sequence[Seen],
    found: Sequence[Seen],
    *,
    fps: float,
    cut: bool,
    calibration: Calibration | None,
    rules: JoinRules,
) -> dict[int, int]:
    """Which objects of a piece are known from the pieces before it.

    Those that are seen on the same frames, but not in the same place, are never taken for one another, nor are those
    of different labels. Of all that are possible the best pairs are made, first of those that overlap, then by place,
    then by looks.

    Args:
        known: what was found before.
        found: the objects of the piece.
        fps: the video's frames per second.
        cut: the piece begins a shot: nothing is where it was.
        calibration: what similarities of views mean; None: looks say nothing.
        rules: when objects are one.

    Returns:
        by the place of an object that is known, the one that it is.
    """
    meeting = _Meeting(known, found, fps, calibration, rules)
    met: dict[int, int] = {}
    steps: list[tuple[Agreement, float]] = []
    if not cut:
        steps += [(meeting.overlap, rules.same), (meeting.place, rules.place)]
    if calibration is not None:
        steps.append((meeting.looks, rules.again))
    for agreement, least in steps:
        rows = [row for row in range(len(known)) if row not in met]
        columns = [column for column in range(len(found)) if column not in met.values()]
        grid = np.array([[agreement(row, column) for column in columns] for row in rows], np.float64)
        pairs = assign(grid.reshape(len(rows), len(columns)), least)
        met |= {rows[row]: columns[column] for row, column in pairs}
    return met


def overlap_in_time(one: Mapping[int, Mask], other: Mapping[int, Mask]) -> float:
    """Intersection over union of two objects' masks on the frames on which both are seen, taken together; 0 where there
    are no such frames.

    Frames on which one of the two is not seen say nothing: it may not have been found yet.
    """
    intersection = union = 0
    for frame in one.keys() & other.keys():
        encoded = [{"size": list(mask.size), "counts": mask.counts} for mask in (one[frame], other[frame])]
        common = int(coco.area(coco.merge(encoded, intersect=True)))
        intersection += common
        union += one[frame].area + other[frame].area - common
    return intersection / union if union else 0.0


@dataclass(frozen=True, eq=False)
class _Meeting:
    """How much an object that is known and one of a piece, by their places, agree; 0 where they cannot be one."""

    known: Sequence[Seen]
    found: Sequence[Seen]
    fps: float
    calibration: Calibration | None
    rules: JoinRules

    def overlap(self, row: int, column: int) -> float:
        one, other = self.known[row], self.found[column]
        return overlap_in_time(one.masks, other.masks) if self._may_be(one, other) else 0.0

    def place(self, row: int, column: int) -> float:
        one, other = self.known[row], self.found[column]
        if not self._follows(one, other) or one.last is None or other.first is None:
            return 0.0
        if other.first - one.last > self.rules.near * self.fps:
            return 0.0
        return box_iou(_box(one.masks[one.last]), _box(other.masks[other.first]))

    def looks(self, row: int, column: int) -> float:
        import torch

        from backend.association.identity import Gallery, same

        one, other = self.known[row], self.found[column]
        if self.calibration is None or not len(other.seconds) or not self._follows(one, other):
            return 0.0
        begins = other.seconds[0]
        remembered = [place for place, second in enumerate(one.seconds) if begins - second <= self.rules.memory]
        if not remembered:
            return 0.0
        gallery = Gallery(max(len(remembered), 2), 0.0)
        for place in remembered:
            gallery.add(one.seconds[place], torch.from_numpy(one.views[place]))
        asked = sum(second <= begins + self.rules.first for second in other.seconds)
        return float(same(gallery, torch.from_numpy(other.views[:asked]), self.calibration).mean())

    def _may_be(self, one: Seen, other: Seen) -> bool:
        return one.label is None or other.label in (None, one.label)

    def _follows(self, one: Seen, other: Seen) -> bool:
        """Whether an object begins after another one was lost, and may be it."""
        if one.last is None or other.first is None or not self._may_be(one, other):
            return False
        return one.last < other.first


def _box(mask: Mask) -> Box:
    return mask.solid_box or (0.0, 0.0, 0.0, 0.0)
