"""What a change of some keyframes leaves as it was drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from backend.labelstudio.edits import Item, same_keyframe


@dataclass(frozen=True, eq=False)
class Earlier:
    """A region as it was last handed out.

    Attributes:
        human: the human's keyframes in it.
        closed: the frames of those among them that end a visible span.
        sequence: all its keyframes.
    """

    human: Sequence[Item]
    closed: Collection[int]
    sequence: Sequence[Item]


def untouched_gaps(
    earlier: Earlier, human: Sequence[Item], closed: Collection[int], touched: Collection[int], last: int
) -> list[range]:
    """The gaps between the human's keyframes, and before and behind them, that are drawn as they were.

    They have the same keyframes of the human at both ends, none was taken out of them, and nothing in them was tracked
    again. A human's boxes tell how all boxes up to the next ones are drawn, so that a gap changes wholly or not at all.

    Args:
        earlier: what was drawn.
        human, closed: as in ``earlier``, after the change.
        touched: Label Studio frames, from 1, that were tracked again.
        last: the timeline's.
    """
    before = {item["frame"]: item for item in earlier.human}
    same = {
        item["frame"]
        for item in human
        if item["frame"] in before
        and same_keyframe(item, before[item["frame"]])
        and (item["frame"] in closed) == (item["frame"] in earlier.closed)
    }
    ends = [0, *sorted(item["frame"] for item in human), last + 1]
    again = {*touched, *before} - same
    return [
        gap
        for start, stop in pairwise(ends)
        if {start, stop} <= {0, last + 1} | same and not again.intersection(gap := range(start + 1, stop)) and gap
    ]
