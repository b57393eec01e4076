"""How far a track can be trusted, and which frame a human should look at next.

In the spirit of XMem++ (Bekuzarov et al. 2023), which asks for the frames that tell most: not the one with the worst
score, but one amid much that is doubtful, and away from what a human has drawn already.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

# A score below this marks a frame worth a look.
DOUBTFUL = 0.5
# Frames that tell of one another: what a correction puts right falls by e over as many, and so does what is still new
# beside a human's keyframe.
REACH = 15.0


@dataclass(frozen=True)
class Look:
    """A frame to look at, and the doubtful frames around it: ``first`` and ``last`` of them, with none left out."""

    frame: int
    first: int
    last: int


def next_look(scores: Mapping[int, float], human: Collection[int]) -> Look | None:
    """The frame on which a correction would tell most; None where nothing is doubtful.

    That is the doubt of the frames around it, each by its distance, times what a keyframe there would add to those that
    a human has drawn already. Of equals it is the earliest.

    Args:
        scores: confidence in [0, 1] by frame.
        human: frames on which a human has drawn; they are never doubtful.
    """
    doubts = {
        frame: 1 - score / DOUBTFUL
        for frame, score in sorted(scores.items())
        if score < DOUBTFUL and frame not in human
    }
    if not doubts:
        return None
    around = _spread(doubts)
    drawn = sorted(human)
    frame = max(around, key=lambda one: (around[one] * (1 - math.exp(-_distance(one, drawn) / REACH)), -one))
    first = last = frame
    while first - 1 in doubts:
        first -= 1
    while last + 1 in doubts:
        last += 1
    return Look(frame, first, last)


def confidence(scores: Mapping[int, float], human: Collection[int] = ()) -> float:
    """1 - doubt, in [0, 1]: the mean score about the worst place of a track, where frames count by their distance.

    A mean over all frames would hide a dozen bad frames in a long track. What a human has drawn says nothing of the
    rest, and is left out; 1 where there is nothing else, 0 for nothing at all.
    """
    found = {frame: score for frame, score in sorted(scores.items()) if frame not in human}
    if not found:
        return 1.0 if scores else 0.0
    sums, weights = _spread(found), _spread(dict.fromkeys(found, 1.0))
    return min(1.0, min(sums[frame] / weights[frame] for frame in found))


def _spread(values: Mapping[int, float]) -> dict[int, float]:
    """At each frame the sum over all frames, weighted by ``exp(-distance / REACH)``; frames ascend."""
    total = dict.fromkeys(values, 0.0)
    ascending = list(values)
    for frames in (ascending, ascending[::-1]):
        carried = 0.0
        before = frames[0]
        for frame in frames:
            carried *= math.exp(-abs(frame - before) / REACH)
            total[frame] += carried
            carried += values[frame]
            before = frame
    return {frame: total[frame] + values[frame] for frame in values}


def _distance(frame: int, human: Sequence[int]) -> float:
    """How far a frame is from the nearest of a human's, which ascend; infinite without any."""
    after = bisect_left(human, frame)
    return min((abs(frame - one) for one in human[max(after - 1, 0) : after + 1]), default=math.inf)
