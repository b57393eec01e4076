"""From a readout to a cue for the segmenter, and back to what of its answer is believed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.propagation.propagator import Cue, Decoder, Encoded
from backend.propagation.token_keys import grid_of
from backend.tracks import BoolArray, FloatArray, Point

CELL = 4  # pixels of the scaled frame
# Fewer cells than these are too few for a box.
LEAST = 4
# Certainty as logits, so that the segmenter does not take a soft readout for a mask.
_LIMIT = 8.0
# How much the segmenter's own opinion of a mask counts beside the mask's agreement with the readout.
_OWN_OPINION = 0.3
_NOTHING = 1e-4


@dataclass(frozen=True, eq=False)
class Answer:
    """The segmenter's mask that fits a readout best: probabilities on the readout's grid, and their agreement."""

    probability: Tensor
    agreement: float


def coverage(mask: BoolArray, encoding: Encoded) -> Tensor:
    """How much of each cell a mask ``bool (H, W)`` covers: (4 rows, 4 columns) of the token grid, 0 to 1."""
    return cover(mask.astype(np.float32), encoding)


def cover(values: FloatArray, encoding: Encoded) -> Tensor:
    """The mean in each cell of a map float32 (H, W): (4 rows, 4 columns) of the token grid."""
    return in_cells(torch.from_numpy(values).to(encoding.embedding.device), encoding)


def in_cells(values: Tensor, encoding: Encoded) -> Tensor:
    """A map (H, W) of the frame, of any resolution -> its mean in each cell: (4 rows, 4 columns) of the token grid."""
    rows, columns = grid_of(encoding)
    scaled = functional.interpolate(
        values[None, None], encoding.scaled, mode="bilinear", align_corners=False, antialias=True
    )
    side = (4 * rows * CELL - scaled.shape[-2], 4 * columns * CELL - scaled.shape[-1])
    return functional.avg_pool2d(functional.pad(scaled, (0, side[1], 0, side[0])), CELL)[0, 0]


def in_pixels(values: Tensor, encoding: Encoded) -> Tensor:
    """(4 rows, 4 columns) of the token grid -> the pixels of the frame as it was encoded, without padding."""
    rows, columns = values.shape
    whole = functional.interpolate(
        values[None, None], (rows * CELL, columns * CELL), mode="bilinear", align_corners=False
    )
    return whole[0, 0, : encoding.scaled[0], : encoding.scaled[1]]


def as_logits(probability: Tensor, encoding: Encoded) -> Tensor:
    """(4 rows, 4 columns) -> logits on the encoding's grid, not surer than the segmenter can stand."""
    return on_grid(torch.logit(probability, eps=_NOTHING).clamp(-_LIMIT, _LIMIT), encoding, -_LIMIT)


def on_grid(values: Tensor, encoding: Encoded, outside: float) -> Tensor:
    """Extend (4 rows, 4 columns) by ``outside`` to the grid of the encoding's logits, which may hold padding."""
    rows, columns = encoding.grid
    return functional.pad(values, (0, columns - values.shape[1], 0, rows - values.shape[0]), value=outside)


def cue_for(probability: Tensor, encoding: Encoded) -> Cue | None:
    """Ask for the object that a readout (4 rows, 4 columns) shows; None where it shows too little."""
    inside = (probability > 0.5).cpu().numpy().astype(np.uint8)
    if int(inside.sum()) < LEAST:
        return None
    down, right = encoding.size[0] * CELL / encoding.scaled[0], encoding.size[1] * CELL / encoding.scaled[1]
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = (
        float(columns[0] * right),
        float(rows[0] * down),
        float((columns[-1] + 1) * right),
        float((rows[-1] + 1) * down),
    )
    # The point furthest inside, of those that are certain.
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 3)[1:-1, 1:-1] * probability.cpu().numpy()
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    point = Point((float(x) + 0.5) * right, (float(y) + 0.5) * down)
    return Cue(box, (point,), as_logits(probability, encoding))


def ask(decoder: Decoder, encoding: Encoded, probabilities: list[Tensor]) -> list[Answer | None]:
    """The segmenter's view of several readouts, in one pass; None for those that show too little."""
    cues = [cue_for(probability, encoding) for probability in probabilities]
    asked = [cue for cue in cues if cue is not None]
    answers: list[Answer | None] = [None] * len(cues)
    if not asked:
        return answers
    found = decoder.segment(encoding, asked)
    places = [place for place, cue in enumerate(cues) if cue is not None]
    for row, place in enumerate(places):
        readout = probabilities[place]
        logits = found.logits[row, :, : readout.shape[0], : readout.shape[1]]
        inside, expected = logits > 0, readout > 0.5
        overlap = (inside & expected).sum((1, 2)) / (inside | expected).sum((1, 2)).clamp(min=1)
        best = int((overlap + _OWN_OPINION * found.iou[row]).argmax())
        answers[place] = Answer(torch.sigmoid(logits[best]), float(overlap[best]))
    return answers
