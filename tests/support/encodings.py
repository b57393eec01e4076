"""Encodings of noise, in which every token and every cell looks like nothing else, and a decoder that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.propagation.propagator import Cue
from backend.segmentation.segmenter import Encoding, Segmentation


def noise_encoding(
    seed: int = 0,
    scaled: tuple[int, int] = (96, 128),
    size: tuple[int, int] = (75, 100),
    grid: tuple[int, int] | None = None,
) -> Encoding:
    """An encoding of a frame of ``size``, on as many tokens as ``scaled`` needs or on a larger ``grid`` of tokens."""
    rows, columns = grid or (-(-scaled[0] // 16), -(-scaled[1] // 16))
    random = torch.Generator().manual_seed(seed)
    embedding, middle, fine = (
        torch.randn(1, channels, n * rows, n * columns, generator=random)
        for channels, n in ((256, 1), (128, 2), (64, 4))
    )
    return Encoding(embedding, middle, fine, size, scaled)


class Echo:
    """A decoder that answers with what it is told, or with the opposite."""

    def __init__(self, *, agrees: bool = True) -> None:
        self.sign = 1.0 if agrees else -1.0

    def segment(self, encoding: Encoding, prompts: Sequence[Cue], *, multimask: bool = True) -> Segmentation:
        told = [prompt.logits for prompt in prompts if prompt.logits is not None]
        return Segmentation(self.sign * torch.stack(told)[:, None], torch.ones(len(told), 1))

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        return torch.nn.functional.interpolate(logits[:, None], encoding.size, mode="bilinear")[:, 0]
