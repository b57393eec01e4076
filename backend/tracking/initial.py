"""What a human marked, as a mask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from backend.errors import PromptError
from backend.segmentation.segmenter import Encoding, MaskPrompt, Segmenter
from backend.tracks import BoolArray, Mask, Prompt, box_iou

# Beside SAM's predicted IoU: how far a mask fills the box that was drawn round it, and how large it is. SAM rates the
# part that was clicked on (a helmet) as high as the whole (its rider), and annotators mean the whole.
_FILLS_BOX = 0.5
_LARGER = 0.1
# A mask of more than this of the frame is the background.
_BACKGROUND = 0.5


def initial_masks(
    segmenter: Segmenter, encoding: Encoding, prompts: Mapping[str, Prompt]
) -> dict[str, tuple[BoolArray, float]]:
    """The mask ``bool (H, W)`` of each prompt, and the segmenter's confidence in it.

    A mask that was given is taken as it is, with confidence 1.

    Raises:
        PromptError: nothing can be segmented where an object was marked.
    """
    found: dict[str, tuple[BoolArray, float]] = {}
    for name, prompt in prompts.items():
        found[name] = (prompt.mask, 1.0) if prompt.mask is not None else _segment(segmenter, encoding, prompt)
    return found


def _segment(segmenter: Segmenter, encoding: Encoding, prompt: Prompt) -> tuple[BoolArray, float]:
    asked = [MaskPrompt(prompt.box, prompt.points)]
    several, single = segmenter.segment(encoding, asked), segmenter.segment(encoding, asked, multimask=False)
    logits = torch.cat([several.logits[0], single.logits[0]])
    # The single mask is made for prompts that leave nothing open, which one point does.
    if prompt.box is None and len(prompt.points) == 1:
        logits = several.logits[0]
    quality = torch.cat([several.iou[0], single.iou[0]])[: len(logits)].cpu().numpy()
    masks = (segmenter.full_size(logits, encoding) > 0).cpu().numpy()
    best = int(np.argmax([_fitness(mask, prompt) + iou for mask, iou in zip(masks, quality, strict=True)]))
    if not masks[best].any():
        raise PromptError(
            f"object {prompt.object_id!r} on frame {prompt.frame}: nothing can be made out there; mark it more closely"
        )
    return masks[best], float(np.clip(quality[best], 0, 1))


def _fitness(mask: BoolArray, prompt: Prompt) -> float:
    share = float(mask.mean())
    if share == 0:
        return -np.inf
    if prompt.box is not None:
        tight = Mask.from_array(mask).box
        return _FILLS_BOX * box_iou(tight, prompt.box) if tight is not None else -np.inf
    return _LARGER * float(np.log(share)) - (1 if share > _BACKGROUND else 0)
