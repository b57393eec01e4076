"""Track Anything's loop (Yang et al., arXiv 2304.11968, step 3): where propagation is doubted, the segmenter refines.

The paper gives no rule for the doubt, and the code released with it never refines. The rule here, and what it was
measured with, is told in ``docs/refinement.md``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from backend.propagation.propagator import FrameEncoding, Propagation, Propagator
from backend.propagation.quality import Quality, judge
from backend.segmentation.segmenter import Encoding, Segmenter
from backend.tracking.refine_cues import cue_of
from backend.tracks import BoolArray, ImageArray

logger = logging.getLogger(__name__)

# How much the segmenter's own opinion of a mask counts beside the mask's agreement with the propagated one.
_OWN_OPINION = 0.3


@dataclass(frozen=True)
class RefineRules:
    """When the segmenter is asked, and when it is believed.

    Args:
        below: it is asked about an object whose quality is worth less than this (:attr:`Quality.score`).
        agrees: its mask is refused where the IoU with the propagated mask is less,
        sure: or the IoU that it predicts itself,
        taken: or where more than this part of it lies in the masks of other objects.
        pause: after a refusal it is not asked about the object again before so many frames on.
    """

    below: float
    agrees: float = 0.82
    sure: float = 0.8
    taken: float = 0.1
    pause: int = 1


REFINING: Mapping[str, RefineRules | None] = {
    "off": None,
    "triggered": RefineRules(below=0.8, pause=5),
    "always": RefineRules(below=math.inf),
}
"""What the setting ``refine`` stands for."""


class Refiner:
    """Refines what a propagator found on a frame, and tells it so.

    Args:
        segmenter: is asked.
        encode: encodes a frame for it, or recalls its encoding; only frames with an object in doubt are encoded.
        rules: when.
    """

    def __init__(self, segmenter: Segmenter, encode: Callable[[int, ImageArray], Encoding], rules: RefineRules) -> None:
        self._segmenter = segmenter
        self._encode = encode
        self._rules = rules
        self._refused: dict[str, int] = {}
        self._frames = self._asked = self._refined = 0

    def refine(
        self,
        propagator: Propagator,
        frame: int,
        image: ImageArray,
        encoding: FrameEncoding,
        found: Mapping[str, Propagation],
    ) -> dict[str, Propagation]:
        """What its step found on a frame, with the refined masks in place of those that were doubted.

        Args:
            propagator: the one that stepped.
            frame: the frame's index.
            image: RGB ``uint8 (H, W, 3)``.
            encoding: what it stepped with.
            found: what it returned.
        """
        result = dict(found)
        doubted = [name for name, one in found.items() if self._doubts(one) and not self._pauses(name, frame)]
        self._frames += 1
        if not doubted:
            return result
        self._asked += 1
        seen = self._encode(frame, image)
        probabilities = propagator.probabilities
        accepted: dict[str, BoolArray] = {}
        for name in doubted:
            others = [one.mask for other, one in result.items() if other != name and one.mask is not None]
            better = self._better(result[name], probabilities[name], others, seen)
            if better is not None and better.mask is not None:
                result[name] = better
                accepted[name] = better.mask
            else:
                self._refused[name] = frame
        if accepted:
            self._refined += 1
            propagator.amend(frame, encoding, accepted)
        return result

    def report(self) -> None:
        """Log on how many frames it was asked and believed."""
        if self._frames:
            logger.info(
                "refinement: of %d frames the segmenter was asked on %d and believed on %d",
                self._frames,
                self._asked,
                self._refined,
            )

    def _doubts(self, found: Propagation) -> bool:
        return found.mask is not None and found.quality is not None and found.quality.score < self._rules.below

    def _pauses(self, name: str, frame: int) -> bool:
        return name in self._refused and abs(frame - self._refused[name]) < self._rules.pause

    def _better(
        self, found: Propagation, probability: Tensor, others: list[BoolArray], encoding: Encoding
    ) -> Propagation | None:
        """The segmenter's mask, without what the others have; None where it is refused."""
        if found.mask is None:
            return None
        cue = cue_of(found.mask, probability, others, encoding)
        if cue is None:
            return None
        answer = self._segmenter.segment(encoding, [cue])
        masks = (self._segmenter.full_size(answer.logits[0], encoding) > 0).cpu().numpy()
        agreement = np.array([_iou(mask, found.mask) for mask in masks])
        sure = answer.iou[0].cpu().numpy()
        best = int(np.argmax(agreement + _OWN_OPINION * sure))
        if agreement[best] < self._rules.agrees or sure[best] < self._rules.sure:
            return None
        own = masks[best]
        for other in others:
            own = own & ~other
        if own.sum() < (1 - self._rules.taken) * masks[best].sum():
            return None
        quality = _quality(answer.logits[0, best])
        return Propagation(own, quality.score, quality)


def _quality(logits: Tensor) -> Quality:
    """The quality of the segmenter's mask by itself."""
    probability = torch.sigmoid(logits[None])
    return judge(probability, probability, torch.zeros_like(probability, dtype=torch.bool))[0]


def _iou(one: BoolArray, other: BoolArray) -> float:
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 0.0
