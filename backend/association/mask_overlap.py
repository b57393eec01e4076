"""How masks overlap, with others that have moved and with one another."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from pycocotools import mask as coco

from backend.association.geometry import Grid
from backend.association.motion import Vector
from backend.tracks import Mask


def moved_mask_ious(masks: Sequence[Mask | None], others: Sequence[Mask | None], shifts: Sequence[Vector]) -> Grid:
    """(N, M): intersection over union of N masks with M others, after each of these has been shifted.

    Args:
        masks: all of one size, as the others.
        others: what was covered before.
        shifts: (2,) for each of the others, pixels to the right and down; they are rounded.

    Returns:
        NaN where either mask is None; 0 where both are empty.
    """
    found = np.full((len(masks), len(others)), np.nan)
    rows = [row for row, mask in enumerate(masks) if mask is not None]
    columns = [column for column, mask in enumerate(others) if mask is not None]
    if rows and columns:
        here = [_encoded(mask) for mask in masks if mask is not None]
        there = [_encoded(_moved(mask, shift)) for mask, shift in zip(others, shifts, strict=True) if mask is not None]
        # Of two empty masks the library makes 0 / 0.
        found[np.ix_(rows, columns)] = np.nan_to_num(coco.iou(here, there, [0] * len(there)))
    return found


def shared_parts(masks: Sequence[Mask | None]) -> Grid:
    """(N, N): the part of each mask that lies in each other one; 0 with itself, and where either is None or empty."""
    found = np.zeros((len(masks), len(masks)))
    there = [place for place, mask in enumerate(masks) if mask is not None and mask.area]
    if there:
        encoded = [_encoded(mask) for mask in masks if mask is not None and mask.area]
        # Of a crowd the library takes intersection over the first one's area.
        found[np.ix_(there, there)] = coco.iou(encoded, encoded, [1] * len(encoded))
    np.fill_diagonal(found, 0.0)
    return found


def _moved(mask: Mask, shift: Vector) -> Mask:
    right, down = np.rint(shift)
    if not (right or down):
        return mask
    step = np.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    height, width = mask.size
    moved = cv2.warpAffine(mask.array().astype(np.uint8), step, (width, height), flags=cv2.INTER_NEAREST)
    return Mask.from_array(moved)


def _encoded(mask: Mask) -> dict[str, object]:
    return {"size": list(mask.size), "counts": mask.counts}
