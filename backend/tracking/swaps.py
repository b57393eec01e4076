"""Two tracks that went on with each other's object after they crossed, seen from one box that a human has corrected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from backend.tracks import Box, box_iou

# A corrected box lies on another track where it overlaps the track's box by as much,
FOLLOWS = 0.6
# and on the object's own track where it overlaps that by as much.
OWN = 0.3
# Tracks have met where their boxes are as close: generalised IoU (Rezatofighi et al. 2019), which is 0 for boxes side
# by side and a third below that at a width apart.
MET = -0.5

Boxes = Mapping[int, Box | None]


@dataclass(frozen=True)
class Exchange:
    """Two tracks have to be exchanged on ``frames``, which begin where they crossed; backwards in time where the
    object is known from later frames only."""

    other: str
    frames: range
    backwards: bool = False

    @property
    def crossing(self) -> int:
        """The frame on which the tracks crossed."""
        return self.frames[-1] if self.backwards else self.frames[0]


def find_exchange(
    name: str,
    frame: int,
    corrected: Mapping[int, Box],
    tracks: Mapping[str, Boxes],
    human: Mapping[str, Collection[int]],
) -> Exchange | None:
    """What a corrected box says about a swap; None where it says nothing of the kind.

    It does where another track follows what the box holds, the object's own track is clearly elsewhere, and both have
    met since a human last spoke of either. They are exchanged from where they were closest, up to the next frame on
    which a human speaks of either.

    Args:
        name: the object that was corrected.
        frame: where.
        corrected: the box there, in pixels, and those of other frames that were corrected at the same time.
        tracks: all objects' boxes by frame, before the correction; None where absent, missing where not tracked.
        human: the frames on which a human drew, by object; with or without those of ``corrected`` for ``name``.
    """
    box = corrected[frame]
    own = tracks[name].get(frame)
    if own is None or box_iou(own, box) >= OWN:
        return None
    others = {
        other: box_iou(there, box)
        for other, boxes in tracks.items()
        if other != name and frame not in human.get(other, ()) and (there := boxes.get(frame)) is not None
    }
    for other in sorted(others, key=lambda one: -others[one]):
        if others[other] >= FOLLOWS:
            same = {at for at, drawn in corrected.items() if _lies_on(drawn, tracks[other].get(at))}
            spoken = {*human.get(name, ())} - same | {*human.get(other, ())}
            # An object that is known from later frames only was tracked backwards from there.
            backwards = not any(one < frame for one in {*human.get(name, ())} - same)
            found = _tails(frame, tracks[name], tracks[other], spoken, -1 if backwards else 1)
            if found is not None:
                return Exchange(other, found, backwards)
    return None


def _lies_on(box: Box, track: Box | None) -> bool:
    return track is not None and box_iou(track, box) >= FOLLOWS


def _tails(frame: int, one: Boxes, other: Boxes, spoken: Collection[int], step: int) -> range | None:
    """The frames from the crossing on, in the direction of ``step``; ascending."""
    start = max((step * at for at in spoken if step * at < step * frame), default=None)
    if start is None:
        return None
    closeness = {
        at: generalised_iou(here, there)
        for at in range(step * start + step, frame, step)
        if (here := one.get(at)) is not None and (there := other.get(at)) is not None
    }
    if not closeness or max(closeness.values()) < MET:
        return None
    crossing = max(closeness, key=lambda at: (closeness[at], step * at))
    ends = [step * at for at in (one.keys() & other.keys()) if step * at >= step * frame]
    stop = min([step * at for at in spoken if step * at > step * frame] + [max(ends) + 1])
    return range(crossing, stop) if step > 0 else range(1 - stop, crossing + 1)


def generalised_iou(a: Box, b: Box) -> float:
    """IoU, less the part of the smallest box around both that is in neither (Rezatofighi et al. 2019, algorithm 1)."""
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    if hull <= 0:
        return 0.0
    iou = box_iou(a, b)
    union = ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])) / (1 + iou)
    return iou - (hull - union) / hull
