"""Where two trackings of one video agree about who is where, and where they do not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.service.notes import ranges
from backend.tracking.matching import box_ious
from backend.tracks import Box, Track

# Boxes that overlap this much (IoU) are of one thing.
_SAME = 0.5


@dataclass(frozen=True, eq=False)
class Agreement:
    """How two trackings of one video, the first and the second, compare.

    Attributes:
        objects: how many there are in the first and in the second.
        boxes: how many they have on all frames.
        pairs: by the name of an object of the first, the one of the second that it is for most frames, no one twice.
        same: boxes of the first in whose place (IoU of 0.5) the second has one of the object that it is.
        iou: the mean overlap of these.
        differences: sentences about everything else, in the order of time.
    """

    objects: tuple[int, int]
    boxes: tuple[int, int]
    pairs: Mapping[str, str]
    same: int
    iou: float
    differences: Sequence[str]

    @property
    def share(self) -> float:
        """The part of all boxes that agree in place and identity: 2 * same / (boxes of both); 1 without any. This is
        IDF1, where either is taken for the truth."""
        total = sum(self.boxes)
        return 2 * self.same / total if total else 1.0


def compare(first: Iterable[Track], second: Iterable[Track], names: tuple[str, str]) -> Agreement:
    """Compare two trackings of one video.

    Args:
        first: the objects of one.
        second: those of the other one.
        names: what they are called in the sentences about their differences.
    """
    ours, others = _boxes(first), _boxes(second)
    meetings = _meetings(ours, others)
    pairs = _pairs(meetings)
    overlaps = [iou for one, other in pairs.items() for iou in meetings[one, other].values()]
    told = _differences(ours, meetings, pairs, names)
    alone = _without(others, meetings)
    told += _differences(alone, {}, {other: one for one, other in pairs.items()}, (names[1], names[0]))
    return Agreement(
        (len(ours), len(others)),
        (sum(map(len, ours.values())), sum(map(len, others.values()))),
        pairs,
        len(overlaps),
        float(np.mean(overlaps)) if overlaps else 0.0,
        [sentence for _, sentence in sorted(told)],
    )


def _boxes(tracks: Iterable[Track]) -> dict[str, dict[int, Box]]:
    """Where objects are seen, by name and frame."""
    found = {
        track.object_id: {frame: box for frame, one in track.observations.items() if (box := one.box) is not None}
        for track in tracks
    }
    return {name: boxes for name, boxes in found.items() if boxes}


def _meetings(
    ours: Mapping[str, Mapping[int, Box]], others: Mapping[str, Mapping[int, Box]]
) -> dict[tuple[str, str], dict[int, float]]:
    """By two objects the frames on which they are in one place, with the overlap; each is with one on a frame."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for frame in sorted({frame for boxes in ours.values() for frame in boxes}):
        here = [name for name, boxes in ours.items() if frame in boxes]
        there = [name for name, boxes in others.items() if frame in boxes]
        overlaps = box_ious([ours[name][frame] for name in here], [others[name][frame] for name in there])
        overlaps[overlaps < _SAME] = 0
        for row, column in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[row, column]:
                found[here[row], there[column]][frame] = float(overlaps[row, column])
    return found


def _pairs(meetings: Mapping[tuple[str, str], Mapping[int, float]]) -> dict[str, str]:
    """The pairs that are together on most frames in all."""
    from scipy.optimize import linear_sum_assignment

    ours = sorted({one for one, _ in meetings})
    others = sorted({other for _, other in meetings})
    frames = np.array([[len(meetings.get((one, other), ())) for other in others] for one in ours], float)
    rows, columns = linear_sum_assignment(frames.reshape(len(ours), len(others)), maximize=True)
    return {ours[row]: others[column] for row, column in zip(rows, columns, strict=True) if frames[row, column]}


def _without(
    others: Mapping[str, Mapping[int, Box]], meetings: Mapping[tuple[str, str], Mapping[int, float]]
) -> dict[str, dict[int, Box]]:
    """What the second has where the first has nothing: of all else the first's objects tell."""
    met: dict[str, set[int]] = defaultdict(set)
    for (_, other), frames in meetings.items():
        met[other].update(frames)
    return {
        name: {frame: box for frame, box in boxes.items() if frame not in met[name]} for name, boxes in others.items()
    }


def _differences(
    own: Mapping[str, Mapping[int, Box]],
    meetings: Mapping[tuple[str, str], Mapping[int, float]],
    pairs: Mapping[str, str],
    names: tuple[str, str],
) -> list[tuple[int, str]]:
    """Where objects are not what they are for most frames: a frame, and a sentence."""
    met: dict[str, dict[int, str]] = defaultdict(dict)
    for (one, other), frames in meetings.items():
        met[one] |= dict.fromkeys(frames, other)
    told = []
    for name, boxes in own.items():
        usual = pairs.get(name)
        strange: dict[str | None, list[int]] = defaultdict(list)
        for frame in sorted(boxes):
            there = met[name].get(frame)
            if there is None or there != usual:
                strange[there].append(frame)
        for there, seen in strange.items():
            what = "nothing there" if there is None else there
            elsewhere = "" if usual is None else f", elsewhere {usual}"
            told.append((seen[0], f"{names[0]} {name}: {names[1]} has {what} on {ranges(seen)}{elsewhere}"))
    return told
