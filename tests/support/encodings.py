"""Encodings of noise: every token and every cell looks like nothing else."""

from __future__ import annotations

import torch

from backend.segmentation.segmenter import Encoding


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
