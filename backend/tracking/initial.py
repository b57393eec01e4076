"""What a human marked, as a mask."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.errors import PromptError
from backend.propagation.propagator import Propagator
from backend.segmentation.segmenter import Encoding, MaskPrompt, Segmenter
from backend.tracks import BoolArray, Box, Mask, Prompt, box_iou

# Beside SAM's predicted IoU: how far a mask fills the box that was drawn round it, and how large it is. SAM rates the
# part that was clicked on (a helmet) as high as the whole (its rider), and annotators mean the whole.
_FILLS_BOX = 0.5
_LARGER = 0.1
# What memory learns for good of a box is a mask that fits it as well.
LEARNT = 0.6
# A box may fit its mask less well by this much once neighbours' pixels are taken from it.
_SPARED = 0.1
# A mask of more than this of the frame is the background, as is one that reaches from side to side, like a road.
_BACKGROUND = 0.5

_NOTHING: Mapping[str, Recalled] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Recalled:
    """What a propagator makes of an object where a human has drawn a box round it: a mask ``bool (H, W)`` inside."""

    mask: BoolArray
    score: float


def initial_masks(
    segmenter: Segmenter,
    encoding: Encoding,
    prompts: Mapping[str, Prompt],
    recalled: Mapping[str, Recalled] = _NOTHING,
) -> dict[str, tuple[BoolArray, float]]:
    """The mask ``bool (H, W)`` of each prompt, and the confidence in it.

    A mask that was given is taken as it is, with confidence 1. Of the segmenter's mask of a box and the one recalled
    there it is the one that the box fits better, as far as each is confident: the segmenter sees the box for the first
    time, and memory knows which parts belong to the object. Where memory knows little, its scraps lie all over the box
    and fit it well.

    Raises:
        PromptError: nothing can be segmented where an object was marked.
    """
    found: dict[str, tuple[BoolArray, float]] = {}
    for name, prompt in prompts.items():
        if prompt.mask is not None:
            found[name] = prompt.mask, 1.0
            continue
        mask, score, _ = segment(segmenter, encoding, prompt)
        found[name] = mask, score
        known = recalled.get(name)
        if known is not None and known.score * fit(known.mask, prompt) > score * fit(mask, prompt):
            found[name] = known.mask, known.score
    return found


def recall(propagator: Propagator, frame: int, encoding: Any, prompts: Mapping[str, Prompt]) -> dict[str, Recalled]:
    """What a propagator makes of those objects that a box alone marks, each known to be in its box.

    Args:
        propagator: to which each of the objects was given before; it stays as it is.
        frame: the decode index.
        encoding: the frame, as the propagator takes it.
        prompts: by object.
    """
    boxes = {
        name: prompt.box
        for name, prompt in prompts.items()
        if prompt.box is not None and prompt.mask is None and not prompt.points
    }
    if not boxes:
        return {}
    height, width = encoding.size
    regions = {name: _inside(box, height, width) for name, box in boxes.items()}
    other = propagator.branch()
    other.expect(encoding, regions)
    found = other.step(frame, encoding, {}, sorted(regions))
    return {name: Recalled(one.mask & regions[name], one.score) for name, one in found.items() if one.mask is not None}


def _inside(box: Box, height: int, width: int) -> BoolArray:
    """The pixels that a box touches."""
    region = np.zeros((height, width), bool)
    region[math.floor(max(box[1], 0)) : math.ceil(box[3]), math.floor(max(box[0], 0)) : math.ceil(box[2])] = True
    return region


def fit(mask: BoolArray, prompt: Prompt) -> float:
    """How well the box that was drawn fits a mask: IoU with the mask's own, without specks."""
    solid = Mask.from_array(mask).solid_box
    return box_iou(solid, prompt.box) if solid is not None and prompt.box is not None else 0.0


def spare(
    masks: Mapping[str, tuple[BoolArray, float]], prompts: Mapping[str, Prompt], neighbours: Collection[Mask]
) -> dict[str, tuple[BoolArray, float]]:
    """Masks of prompts without the pixels that neighbours hold, which the segmenter cannot tell from a box alone.

    A box that fits what is left much worse speaks for the whole: then it is the neighbour that has too much.
    """
    held = [one.array() for one in neighbours]
    spared = dict(masks)
    for name, (mask, score) in masks.items():
        prompt = prompts[name]
        if held and prompt.box is not None and prompt.mask is None and not prompt.points:
            left = mask & ~np.any(held, axis=0)
            if left.any() and fit(left, prompt) >= fit(mask, prompt) - _SPARED:
                spared[name] = left, score
    return spared


def tells_place_only(mask: BoolArray, prompt: Prompt) -> bool:
    """Whether a mask was made of a box that it does not fit, as of what is half hidden: it had better not be learnt."""
    return prompt.mask is None and not prompt.points and fit(mask, prompt) < LEARNT


def segment(segmenter: Segmenter, encoding: Encoding, prompt: Prompt) -> tuple[BoolArray, float, Tensor]:
    """The mask ``bool (H, W)`` of a box or points, the confidence in it, and its logits (rows, columns of the grid).

    Raises:
        PromptError: nothing can be made out there.
    """
    asked = [MaskPrompt(prompt.box, prompt.points)]
    answers = [segmenter.segment(encoding, asked)]
    # The single mask is made for prompts that leave nothing open, which one point does.
    if prompt.box is not None or len(prompt.points) > 1:
        answers.append(segmenter.segment(encoding, asked, multimask=False))
    logits = torch.cat([one.logits[0] for one in answers])
    quality = torch.cat([one.iou[0] for one in answers]).cpu().numpy()
    masks = (segmenter.full_size(logits, encoding) > 0).cpu().numpy()
    best = int(np.argmax([_fitness(mask, prompt) + iou for mask, iou in zip(masks, quality, strict=True)]))
    if not masks[best].any():
        raise PromptError(
            f"object {prompt.object_id!r} on frame {prompt.frame}: nothing can be made out there; mark it more closely"
        )
    return masks[best], float(np.clip(quality[best], 0, 1)), logits[best].clone()


def _fitness(mask: BoolArray, prompt: Prompt) -> float:
    share = float(mask.mean())
    if share == 0:
        return -np.inf
    if prompt.box is not None:
        tight = Mask.from_array(mask).box
        return _FILLS_BOX * box_iou(tight, prompt.box) if tight is not None else -np.inf
    background = share > _BACKGROUND or mask[:, [0, -1]].any(0).all() or mask[[0, -1]].any(1).all()
    return _LARGER * float(np.log(share)) - (1 if background else 0)
