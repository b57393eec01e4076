"""How good a propagated mask looks, from its probabilities alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Probabilities of the logits 1 and -1.
_SURE, _POSSIBLE = 0.7311, 0.2689
# Pixels around a mask that belong to it when its certainty is judged.
_RIM = 2


@dataclass(frozen=True)
class Quality:
    """Signs of what a mask is worth, each from 0 to 1.

    ``certainty`` is the mean of |2p - 1| over the mask and a rim of 2 pixels; ``stability`` the IoU of the masks at
    logits of 1 and -1; ``continuity`` its IoU with the object's mask before, None where there was none; ``contested``
    the part of the object's probability that the other objects took away; ``peak`` the highest probability.
    """

    certainty: float
    stability: float
    continuity: float | None
    contested: float
    peak: float

    @property
    def score(self) -> float:
        """Confidence in the mask, 0 to 1."""
        return float((self.certainty * self.stability) ** 0.5)


def judge(probabilities: Tensor, alone: Tensor, before: Tensor) -> list[Quality]:
    """The quality of O masks.

    Args:
        probabilities: (O, rows, columns), after the objects have competed.
        alone: the same before that.
        before: ``bool`` (O, rows, columns), the masks on the frame before; empty ones where there were none.
    """
    inside = probabilities > 0.5
    grown = functional.max_pool2d(inside[:, None].float(), 2 * _RIM + 1, stride=1, padding=_RIM)[:, 0]
    certainty = ((2 * probabilities - 1).abs() * grown).sum((1, 2)) / grown.sum((1, 2)).clamp(min=1)
    stability = _count(probabilities > _SURE) / _count(probabilities > _POSSIBLE).clamp(min=1)
    continuity = _count(inside & before) / _count(inside | before).clamp(min=1)
    contested = 1 - probabilities.sum((1, 2)) / alone.sum((1, 2)).clamp(min=1e-6)
    table = torch.stack([certainty, stability, continuity, contested.clamp(0, 1), probabilities.amax((1, 2))], 1)
    known = before.any(2).any(1)
    return [
        Quality(sure, stable, kept if was else None, taken, peak)
        for (sure, stable, kept, taken, peak), was in zip(table.tolist(), known.tolist(), strict=True)
    ]


def _count(masks: Tensor) -> Tensor:
    return masks.sum((1, 2))
