"""Which detection shows which of the objects that are followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from backend.tracks import Box, Detection

Matcher = Callable[[Mapping[str, Box], Sequence[Detection]], dict[str, int]]
"""Takes where the objects of a frame are, by name, and what was detected on it; gives the index of the detection that
shows an object, at most one for each, and for none that is not seen."""

# Below this overlap a detection shows something else.
_OVERLAP = 0.3


def box_ious(boxes: Sequence[Box], others: Sequence[Box]) -> npt.NDArray[np.float64]:
    """``(N, M)``: the intersection over union of each of N boxes with each of M."""
    if not boxes or not others:
        return np.zeros((len(boxes), len(others)))
    found = coco.iou(_extents(boxes), _extents(others), [0] * len(others))
    return np.asarray(found, np.float64)


def match_by_overlap(objects: Mapping[str, Box], detections: Sequence[Detection]) -> dict[str, int]:
    """The assignment that has the greatest overlap (IoU) in all; a :data:`Matcher`."""
    ious = box_ious(list(objects.values()), [detection.box for detection in detections])
    ious[ious < _OVERLAP] = 0
    names = list(objects)
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return {names[row]: int(column) for row, column in zip(rows, columns, strict=True) if ious[row, column] > 0}


def _extents(boxes: Sequence[Box]) -> npt.NDArray[np.float64]:
    corners = np.array(boxes, np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
