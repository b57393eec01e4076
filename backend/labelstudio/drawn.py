"""The boxes that Label Studio draws, on the frames that it draws them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.labelstudio.edits import Item
from backend.labelstudio.regions import Size, to_keyframe, upright
from backend.tracking.keyframes import interpolate
from backend.tracks import Box
from backend.video.clock import FrameClock

LEAST_SIDE = 0.01
"""Pixels: what shows less of itself at the frame's border than that is outside."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A region as it is drawn.

    Attributes:
        boxes: ``xyxy`` pixels by decode index, ascending; they may reach beyond the frame.
        rotated: some boxes are the upright ones around rotated boxes.
        beyond: the last keyframe's Label Studio frame, where the timeline does not reach it; else None.
    """

    boxes: dict[int, Box]
    rotated: bool
    beyond: int | None


def draw(items: Sequence[Item], clock: FrameClock, size: Size) -> Drawn:
    """What is on screen for a region: between keyframes a straight line, see :mod:`backend.tracking.keyframes`.

    Where Label Studio shows one decoded frame several times, the box of a keyframe counts, else the first box. A frame
    outside of which the box lies has none.

    Args:
        items: the keyframes, sorted by frame, in percent.
        clock: tells which decoded frame Label Studio shows.
        size: the displayed frame's width and height.
    """
    keyframes = [to_keyframe(item, item["frame"], size) for item in items]
    if not keyframes:
        return Drawn({}, False, None)
    first, last = keyframes[0].position, keyframes[-1].position
    own = {keyframe.position for keyframe in keyframes}
    # Label Studio's rounding yields one frame more than its timeline has, at times.
    timeline = range(1, clock.frame_count + 1 + (clock.frame_count + 1 in own))
    boxes: dict[int, Box] = {}
    given: set[int] = set()
    rotated = False
    for frame in timeline[max(first - 1, 0) :]:
        index = clock.index(frame)
        if index in boxes and (frame not in own or index in given):
            continue
        shape = interpolate(keyframes, frame)
        if shape is None:
            continue
        box = upright(shape)
        if clip(box, size) is None:
            continue
        boxes[index] = box
        rotated = rotated or shape.rotation % 360 != 0
        if frame in own:
            given.add(index)
    return Drawn(boxes, rotated, last if last > timeline[-1] else None)


def clip(box: Box, size: Size) -> Box | None:
    """The part of a box inside the frame; None where there is none to speak of."""
    x0, y0 = max(box[0], 0.0), max(box[1], 0.0)
    x1, y1 = min(box[2], float(size[0])), min(box[3], float(size[1]))
    return (x0, y0, x1, y1) if x1 - x0 >= LEAST_SIDE and y1 - y0 >= LEAST_SIDE else None
