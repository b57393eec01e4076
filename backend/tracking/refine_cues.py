"""What the segmenter is asked where a propagated mask is doubted.

Box, points inside and the mask's own logits, as Track Anything proposes (Yang et al., arXiv 2304.11968, step 3); and
points on other objects near by, which are not meant.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
from torch import Tensor

from backend.propagation.cues import as_logits, in_cells
from backend.segmentation.segmenter import Encoding, MaskPrompt
from backend.tracks import BoolArray, Box, FloatArray, Mask, Point

# The most points on the object and, each on another one, on its neighbours.
MOST_INSIDE = 3
MOST_NEIGHBOURS = 3
# A further point is wanted where the object is still this part as wide as at its widest.
_WIDE = 0.5
# What lies this part of the box's size around it is near by.
_NEAR = 0.1


def cue_of(mask: BoolArray, probability: Tensor, others: Iterable[BoolArray], encoding: Encoding) -> MaskPrompt | None:
    """Ask for the object that was propagated; None where its mask is empty.

    Args:
        mask: ``bool (H, W)``.
        probability: (rows, columns), which cover the frame.
        others: the masks of the other objects there.
        encoding: the frame as the segmenter sees it.
    """
    box = Mask.from_array(mask).solid_box
    if box is None:
        return None
    height, width = mask.shape
    certain = cv2.resize(probability.cpu().numpy(), (width, height), interpolation=cv2.INTER_LINEAR)
    points = (*inner_points(mask, certain), *neighbour_points(box, others))
    return MaskPrompt(box, points, as_logits(in_cells(probability.to(encoding.embedding), encoding), encoding))


def inner_points(mask: BoolArray, probability: FloatArray) -> list[Point]:
    """At most :data:`MOST_INSIDE` points deep inside a mask, where it is certain; none is in another's circle."""
    depth = _depth(mask)
    weight = depth * probability
    points: list[Point] = []
    least = _WIDE * float(weight.max(initial=0))
    while len(points) < MOST_INSIDE and weight.max(initial=0) > max(least, 0):
        y, x = np.unravel_index(int(weight.argmax()), weight.shape)
        points.append(Point(float(x) + 0.5, float(y) + 0.5))
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        # Circles inside the object do not meet, so that points spread over it.
        weight[(rows - y) ** 2 + (columns - x) ** 2 < (2 * depth[y, x]) ** 2] = 0
    return points


def neighbour_points(box: Box, others: Iterable[BoolArray]) -> list[Point]:
    """A negative point on each of the other masks in and around a box, where it is widest there; the widest first."""
    x0, y0, x1, y1 = box
    side = _NEAR * max(x1 - x0, y1 - y0)
    left, top = max(0, int(x0 - side)), max(0, int(y0 - side))
    found: list[tuple[float, Point]] = []
    for other in others:
        depth = _depth(other[top : int(y1 + side) + 1, left : int(x1 + side) + 1])
        if depth.max(initial=0) > 0:
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            found.append((float(depth[y, x]), Point(left + float(x) + 0.5, top + float(y) + 0.5, positive=False)))
    found.sort(key=lambda one: -one[0])
    return [point for _, point in found[:MOST_NEIGHBOURS]]


def _depth(mask: BoolArray) -> FloatArray:
    """How far each pixel is from the outside of the mask, beyond the picture's edge too."""
    depth: FloatArray = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    return depth
