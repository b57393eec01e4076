"""A human's clicks on one frame, answered at once, and refined click by click."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.propagation.cues import as_logits, in_cells
from backend.segmentation.segmenter import Encoding, MaskPrompt, Segmenter
from backend.tracking.initial import segment
from backend.tracks import BoolArray, Point, Prompt


@dataclass(frozen=True, eq=False)
class Answer:
    """What a click made out: ``mask`` is ``bool (H, W)``, ``score`` the segmenter's own estimate of its IoU, and
    ``logits`` (rows, columns of the encoding's grid) are what the object's next click goes on from."""

    mask: BoolArray
    score: float
    logits: Tensor


def answer(segmenter: Segmenter, encoding: Encoding, prompt: Prompt, logits: Tensor | None = None) -> Answer:
    """The mask of all that was marked of an object on a frame.

    Args:
        segmenter: which encoded the frame.
        encoding: the frame.
        prompt: a box or points, all that the human has given so far. With a mask too they mend it: it is what was there
            before the first click.
        logits: of the answer before the last click. They keep what was right then, and are left out where the mask
            that they lead to does not heed the clicks.

    Raises:
        PromptError: nothing can be made out there.
    """
    if logits is None and prompt.mask is not None:
        known = torch.from_numpy(prompt.mask).to(encoding.embedding)
        logits = as_logits(in_cells(known, encoding), encoding)
    if logits is not None:
        asked = MaskPrompt(prompt.box, prompt.points, logits)
        refined = segmenter.segment(encoding, [asked], multimask=False)
        mask = (segmenter.full_size(refined.logits[0], encoding)[0] > 0).cpu().numpy()
        if mask.any() and all(_heeds(mask, point) for point in prompt.points):
            return Answer(mask, min(max(float(refined.iou[0, 0]), 0.0), 1.0), refined.logits[0, 0])
    return Answer(*segment(segmenter, encoding, prompt))


def _heeds(mask: BoolArray, point: Point) -> bool:
    height, width = mask.shape
    row, column = min(max(int(point.y), 0), height - 1), min(max(int(point.x), 0), width - 1)
    return bool(mask[row, column]) == point.positive
