"""Boxes, many at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]
"""``(N, 4)``, ``xyxy`` pixels of the displayed frame."""
Grid = npt.NDArray[np.float64]


def centres(boxes: Boxes) -> Grid:
    """(N, 4) -> (N, 2): x and y."""
    middles: Grid = (boxes[:, :2] + boxes[:, 2:]) / 2
    return middles


def sizes(boxes: Boxes) -> Grid:
    """(N, 4) -> (N, 2): width and height."""
    return boxes[:, 2:] - boxes[:, :2]


def ious(boxes: Boxes, others: Boxes) -> Grid:
    """(N, 4), (M, 4) -> (N, M): intersection over union; 0 for two boxes without size."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared: Grid = np.clip(high - low, 0, None).prod(2)
    union: Grid = sizes(boxes).prod(1)[:, None] + sizes(others).prod(1)[None] - shared
    overlaps: Grid = shared / np.where(union > 0, union, 1)
    return overlaps
