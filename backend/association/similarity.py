"""How much embeddings resemble one another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def cosine(embeddings: Tensor, others: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N, M), from -1 to 1."""
    return functional.normalize(embeddings.float(), dim=1) @ functional.normalize(others.float(), dim=1).T


def bi_softmax(logits: Tensor) -> Tensor:
    """(N, M) -> (N, M): how far each pair stands out among what either could be paired with, from 0 to 1.

    The mean of two softmaxes, over rows and over columns, so that a pair is sure only if each is the other's best
    (QDTrack, Pang et al., CVPR 2021, section 3.3).
    """
    return (torch.softmax(logits, 0) + torch.softmax(logits, 1)) / 2
