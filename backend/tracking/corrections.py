"""What a human's boxes say beyond the frames that they are drawn on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from backend.tracks import Box, box_iou

# Frames within which a keyframe's word counts most: weights fall to a third over as many,
REACH = 10.0
# but not to nothing: far from all keyframes it is not the nearest alone that counts, which may be the odd one.
ANYWHERE = 0.05
# What a keyframe says counts by the IoU of its box with the mask's to this power: where half of an object is missing
# from its mask, that is no margin, and the mask of the next frame may be whole.
_TRUST = 8
# A side this near to the frame's edge lies on it, in pixels.
_EDGE = 1.5

_Sides = npt.NDArray[np.float64]


def carry_margins(
    boxes: Mapping[int, Box | None], human: Mapping[int, Box], size: tuple[int, int]
) -> dict[int, Box | None]:
    """Boxes as this human would draw them, from boxes of masks.

    A box drawn by hand has a margin, or leaves out a shadow, or holds the half of an object that nothing shows; the
    segmenter has its own idea of what belongs to the object. What a human's box and the mask's differ by on the frames
    that he has drawn, side by side and in parts of the mask's box, is added on all others: a mean, in which a
    keyframe's weight falls by e over :data:`REACH` frames, down to :data:`ANYWHERE`, and is the less the worse its box
    and the mask's agree. A side that the frame cuts off says nothing on what is beyond, and stays on the edge.

    Args:
        boxes: of the object's masks by frame, those under the human's boxes included; None where it is absent.
        human: boxes drawn by hand, by frame.
        size: the frame's width and height.

    Returns:
        a box for each of ``boxes``, within the frame; those on the human's frames are carried like all others.
    """
    drawn = [(frame, found, box) for frame, box in human.items() if (found := boxes.get(frame)) is not None]
    if not drawn:
        return dict(boxes)
    frames = np.array([frame for frame, _, _ in drawn], np.float64)
    masks = np.array([found for _, found, _ in drawn], np.float64)
    hands = np.array([box for _, _, box in drawn], np.float64)
    margins = (_clip(hands, size) - masks) / _extents(masks)
    trust = np.array([box_iou(found, box) ** _TRUST for _, found, box in drawn])[:, None]
    telling = trust * ~(_cut_off(masks, size) & _cut_off(hands, size))
    carried: dict[int, Box | None] = {}
    for frame, box in boxes.items():
        if box is None:
            carried[frame] = None
            continue
        weights = (np.exp(-np.abs(frames - frame) / REACH) + ANYWHERE)[:, None] * telling
        total = weights.sum(axis=0)
        margin = np.divide((weights * margins).sum(axis=0), total, out=np.zeros(4), where=total > 0)
        carried[frame] = _moved(np.array([box], np.float64), margin, size)
    return carried


def _moved(box: _Sides, margin: _Sides, size: tuple[int, int]) -> Box:
    outwards = np.array([-1, -1, 1, 1]) * margin > 0
    kept = _cut_off(box, size) & ~outwards
    sides = _clip(box + np.where(kept, 0, margin * _extents(box)), size)
    if (sides[:, 2:] - sides[:, :2]).min() < 1:
        sides = box  # margins of a much larger mask; better none
    x0, y0, x1, y1 = sides[0].tolist()
    return (x0, y0, x1, y1)


def _extents(boxes: _Sides) -> _Sides:
    """Width and height of each box, beside each of its sides."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2)


def _cut_off(boxes: _Sides, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which sides lie on the edge of the frame, or beyond."""
    return np.concatenate([boxes[:, :2] <= _EDGE, boxes[:, 2:] >= np.array(size) - _EDGE], axis=1)


def _clip(boxes: _Sides, size: tuple[int, int]) -> _Sides:
    return boxes.clip(0, np.tile(np.array(size, np.float64), 2))
