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

_SHIFT = 4  # binary digits of a pixel's fraction
_WIDEST = 32_767
_FARTHEST = 1 << 25  # of a coordinate in fractions of a pixel, where integers of 32 bits hold what is drawn


class Stroke(Incoming):
    """One pull of the brush or the eraser: ``x, y, x, y, ...`` in percent of the picture's sides, and the brush's width
    in percent of the picture's."""

    type: Literal["add", "eraser"] = "add"
    path: Annotated[list[Number], Field(alias="relativePoints", min_length=2)]
    width: Annotated[float, Field(alias="relativeStrokeWidth", allow_inf_nan=False, gt=0, le=1000)]


def paint(mask: BoolArray, strokes: Sequence[Stroke]) -> BoolArray:
    """A mask ``bool (H, W)`` with strokes drawn on it, one after the other; the one that is given stays as it is."""
    height, width = mask.shape
    canvas = mask.astype(np.uint8)
    for stroke in strokes:
        path = np.array(stroke.path[: len(stroke.path) // 2 * 2]).reshape(-1, 2) * (width / 100, height / 100)
        fixed = np.clip(np.rint(path * (1 << _SHIFT)), -_FARTHEST, _FARTHEST).astype(np.int32)
        thickness = min(max(1, round(stroke.width * width / 100)), _WIDEST)
        cv2.polylines(canvas, [fixed], False, int(stroke.type == "add"), thickness, cv2.LINE_8, _SHIFT)
    return canvas.astype(bool)
