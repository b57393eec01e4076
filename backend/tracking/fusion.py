"""Where tracks that come from two sides meet, and what counts between them.

A stretch of frames may be tracked from the prompt before it, from the one behind it, and may have been tracked before
either changed. A pass ends where it agrees with what is there already. Where both sides disagree over the whole of a
stretch, the one that is nearer to its prompt and surer counts, and the change from one to the other comes rather where
they agree. The weights are measured in ``docs/corrections.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from backend.tracking.plan import Pass, make_pass
from backend.tracking.stretches import Stretch
from backend.tracks import FrameResult, Observation, mask_iou

# A pass has met the other side where their masks overlap by as much on so many frames in a row.
AGREE_IOU = 0.8
AGREE_FRAMES = 4
# Where a stretch has an open end a pass remembers so many frames only, enough for results that come late.
_RECENT = 16
# What confidence counts beside the distance from the prompt, which goes from 0 to 1 over a stretch.
_CONFIDENCE = 4.0
# Where a human has said that the object is gone, it is back only where that is as sure.
SURE = 0.45
# What it costs to change from one side to the other where they have nothing in common: as much as a quarter of all
# confidence. What goes wrong overlaps with what is right by chance too, and is the less sure for it.
_JUMP = 1.0


@dataclass(eq=False)
class _Meeting:
    """One stretch: what its passes found so far, by frame, and which of them have met the other side."""

    stretch: Stretch
    found: dict[int, dict[int, Observation]] = field(default_factory=lambda: {1: {}, -1: {}})
    met: set[int] = field(default_factory=set)

    def see(self, step: int, observation: Observation) -> None:
        """Take in what a pass found."""
        found, frame = self.found[step], observation.frame
        found[frame] = observation
        if not self.stretch.bounded:
            found.pop(frame - step * _RECENT, None)

    def other(self, step: int, frame: int) -> Observation | None:
        """What is there already for a pass to agree with."""
        return self.found[-step].get(frame) or self.stretch.old.get(frame)

    def meets(self, step: int, frame: int) -> bool:
        """Whether the frames that a pass has come from agree with the other side."""
        behind = range(frame - step * AGREE_FRAMES, frame, step)
        return all(self._agree(self.found[step].get(one), self.other(step, one)) for one in behind)

    def _agree(self, one: Observation | None, other: Observation | None) -> bool:
        return one is not None and other is not None and overlap(one, other) >= AGREE_IOU

    def sides(self, frame: int) -> tuple[Observation | None, Observation | None]:
        """What counts on a frame of a bounded stretch, seen from the prompt before it and from the one behind it."""
        old = self.stretch.old.get(frame)
        forward, backward = self.found[1].get(frame), self.found[-1].get(frame)
        left, right = forward or old, backward or old
        return left or right, right or left


class Fusion:
    """What two passes make of the stretches together; told of every result of either."""

    def __init__(self, stretches: Iterable[Stretch]) -> None:
        self._meetings = [_Meeting(stretch) for stretch in stretches]
        self._of: dict[str, list[_Meeting]] = {}
        for meeting in self._meetings:
            self._of.setdefault(meeting.stretch.name, []).append(meeting)
        self._told: dict[tuple[str, int], Observation] = {}

    def passes(self) -> tuple[Pass, Pass]:
        """The forward and the backward pass over all stretches."""
        ways = []
        for step in (1, -1):
            wanted: dict[int, set[str]] = {}
            for meeting in self._meetings:
                if meeting.stretch.forward if step == 1 else meeting.stretch.backward:
                    for frame in meeting.stretch.frames:
                        wanted.setdefault(frame, set()).add(meeting.stretch.name)
            ways.append(make_pass(wanted, step))
        return ways[0], ways[1]

    def wanted(self, route: Pass, frame: int) -> frozenset[str]:
        """The objects that a pass still has to propagate on a frame: those that have not met the other side."""
        return frozenset(name for name in route.wanted[frame] if not self._has_met(name, frame, route.step))

    def _at(self, name: str, frame: int) -> _Meeting:
        return next(meeting for meeting in self._of[name] if frame in meeting.stretch.frames)

    def _has_met(self, name: str, frame: int, step: int) -> bool:
        meeting = self._at(name, frame)
        if step not in meeting.met and meeting.meets(step, frame):
            meeting.met.add(step)
        return step in meeting.met

    def see(self, step: int, result: FrameResult) -> None:
        """Take in what a pass found on a frame."""
        for observation in result.observations:
            meeting = self._at(observation.object_id, result.frame)
            meeting.see(step, observation)
            if meeting.stretch.bounded:
                self._told[observation.object_id, result.frame] = observation

    def settle(self) -> Iterator[FrameResult]:
        """Results of frames on which something else counts than what was seen last, ascending; after both passes."""
        changed: dict[int, list[Observation]] = {}
        for meeting in self._meetings:
            if not meeting.stretch.bounded:
                continue  # what was found last counts
            for frame, chosen in zip(meeting.stretch.frames, _choose(meeting), strict=True):
                counts = _believed(chosen) if meeting.stretch.gone else chosen
                told = self._told.get((meeting.stretch.name, frame), meeting.stretch.old.get(frame))
                if counts is not None and counts is not told:
                    changed.setdefault(frame, []).append(counts)
        for frame, observations in sorted(changed.items()):
            yield FrameResult(frame, tuple(sorted(observations, key=lambda one: one.object_id)))


def _believed(one: Observation | None) -> Observation | None:
    """What counts where a human has said that the object is gone."""
    if one is None or one.mask is None or one.score >= SURE:
        return one
    return replace(one, mask=None, score=1 - one.score)


def overlap(one: Observation, other: Observation) -> float:
    """IoU of the masks; 1 where the object is absent in both."""
    if one is other or (one.mask is None and other.mask is None):
        return 1.0
    if one.mask is None or other.mask is None:
        return 0.0
    return mask_iou(one.mask, other.mask)


def _choose(meeting: _Meeting) -> Sequence[Observation | None]:
    """What counts on each frame of a stretch: the cheapest way from its left side to its right one (Viterbi).

    A human has said what is right at both ends, so that a side that is wrong at the other end does not last till there.
    """
    sides = [meeting.sides(frame) for frame in meeting.stretch.frames]
    costs = np.zeros((len(sides), 2))
    jumps = np.zeros(len(sides))
    for number, (left, right) in enumerate(sides):
        if left is not None and right is not None:  # otherwise a pass was cancelled, and nothing is known here
            way = (number + 1) / (len(sides) + 1)
            costs[number] = way - _CONFIDENCE * left.score, 1 - way - _CONFIDENCE * right.score
            jumps[number] = _JUMP * (1 - overlap(left, right))
    costs /= len(sides)
    best = np.array([costs[0, 0], costs[0, 1] + jumps[0]])
    crossed = np.zeros(len(sides), bool)  # to the right side; there is no way back
    for number in range(1, len(sides)):
        crossing = best[0] + jumps[number]
        crossed[number] = crossing < best[1]
        best = np.array([best[0], min(crossing, best[1])]) + costs[number]
    switch = int(np.flatnonzero(crossed).max(initial=0))
    return [right if number >= switch else left for number, (left, right) in enumerate(sides)]
