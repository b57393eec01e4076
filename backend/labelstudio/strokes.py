"""Brush strokes as Label Studio's drafts keep them: lines, before they are made runs of pixels.

A draft that is saved while somebody works holds what was painted as the path of the brush, so that saving is quick; the
mask is made when the annotation is submitted, or sent to a backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field

from backend.labelstudio.payload import Incoming, Number
from backend.tracks import BoolArray

_FINE = 4  # thin lines are drawn at this many times the size, and count where they cover half of a pixel
_LARGEST = 4_000_000  # pixels of a picture part that is drawn so finely
_THICKEST = 32_767  # pixels of a line; OpenCV draws none that is thicker


class Stroke(Incoming):
    """One pull of the brush or the eraser: ``x, y, x, y, ...`` in percent of the picture's sides, and the brush's width
    in percent of the picture's."""

    type: Literal["add", "eraser"] = "add"
    path: Annotated[list[Number], Field(alias="relativePoints", min_length=2)]
    width: Annotated[float, Field(alias="relativeStrokeWidth", allow_inf_nan=False, gt=0, le=1000)]


def paint(mask: BoolArray, strokes: Sequence[Stroke]) -> BoolArray:
    """A mask ``bool (H, W)`` with strokes drawn on it, one after the other; the one that is given stays as it is."""
    painted = mask.copy()
    for stroke in strokes:
        _draw(painted, stroke)
    return painted


def _draw(mask: BoolArray, stroke: Stroke) -> None:
    height, width = mask.shape
    path = np.array(stroke.path[: len(stroke.path) // 2 * 2]).reshape(-1, 2) * (width / 100, height / 100)
    thickness = stroke.width * width / 100
    size = np.array([width, height])
    # What lies farther outside than the picture is large cannot be seen in it.
    path = np.clip(path, -size - thickness, 2 * size + thickness)
    low = np.clip(np.floor(path.min(0) - thickness), 0, size).astype(int)
    high = np.clip(np.ceil(path.max(0) + thickness), 0, size).astype(int)
    if (high <= low).any():
        return
    columns, rows = high - low
    fine = _FINE if columns * rows <= _LARGEST and thickness * _FINE <= _THICKEST else 1
    canvas = np.zeros((rows * fine, columns * fine), np.uint8)
    points = np.rint((path - low) * fine - 0.5).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, min(max(1, round(thickness * fine)), _THICKEST))
    covered = cv2.resize(canvas, (int(columns), int(rows)), interpolation=cv2.INTER_AREA) >= 128
    mask[low[1] : high[1], low[0] : high[0]][covered] = stroke.type == "add"
