"""Modulated deformable convolution (Zhu et al., CVPR 2019), without compiled extensions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TAPS = 9
"""Of the kernels: 3 x 3, row by row."""

_AT_ONCE = 8192  # places whose samples, 9 each, are held at a time


def deformable_conv(x: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, stride: int = 1) -> Tensor:
    """A 3x3 convolution with padding 1 that looks, for each tap, beside where it usually would.

    Samples are bilinear; what lies outside of the map is 0.

    Args:
        x: (1, C, H, W).
        weight: (O, C, 3, 3).
        offset: pixels of ``x``, in order (dy, dx) for each tap. Its first 18 * h * w values in memory order are read
            as (18, h, w), h and w being those of the result, whatever shape it has: on a tensor made for larger maps
            the released weights rely on that.
        mask: what each sample is multiplied by; in the same way (9, h, w).
        stride: of the result.

    Returns:
        (1, O, h, w) with h = ceil(H / stride), in the type and on the device of ``x``.
    """
    _, channels, rows, columns = x.shape
    h, w = -(-rows // stride), -(-columns // stride)
    index, share = _samples(_leading(offset, 2 * TAPS, h, w), _leading(mask, TAPS, h, w), (rows, columns), stride)
    table = x[0].permute(1, 2, 0).reshape(rows * columns, channels)
    kernel = weight.permute(2, 3, 1, 0).reshape(TAPS * channels, -1)
    share = share.to(x.dtype)
    parts = []
    for some, of_each in zip(index.split(_AT_ONCE), share.split(_AT_ONCE), strict=True):
        # A bag is one sample: its four pixels, weighted.
        sampled = functional.embedding_bag(
            some.flatten(0, 1), table, mode="sum", per_sample_weights=of_each.flatten(0, 1)
        )
        parts.append(sampled.view(-1, TAPS * channels) @ kernel)
    return torch.cat(parts).view(1, h, w, -1).permute(0, 3, 1, 2)


def _leading(values: Tensor, channels: int, h: int, w: int) -> Tensor:
    return values.contiguous().flatten()[: channels * h * w].view(channels, h, w).float()


def _samples(offset: Tensor, mask: Tensor, size: tuple[int, int], stride: int) -> tuple[Tensor, Tensor]:
    """The four pixels of a map of ``size`` about each sample, as indices (h * w, 9, 4), and their shares, float32."""
    rows, columns = size
    h, w = mask.shape[-2:]
    tap = torch.arange(TAPS, device=mask.device).view(TAPS, 1, 1)
    place_y = torch.arange(h, device=mask.device).view(1, h, 1) * stride - 1 + tap // 3
    place_x = torch.arange(w, device=mask.device).view(1, 1, w) * stride - 1 + tap % 3
    # Beyond the map's surroundings everything is 0; so far out integers might not do.
    y = (place_y + offset[0::2]).clamp(-2, rows + 1)
    x = (place_x + offset[1::2]).clamp(-2, columns + 1)
    top, left = y.floor(), x.floor()
    below, beside = y - top, x - left
    indices, shares = [], []
    for row, row_share in ((top, 1 - below), (top + 1, below)):
        for column, column_share in ((left, 1 - beside), (left + 1, beside)):
            inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            indices.append(row.clamp(0, rows - 1).long() * columns + column.clamp(0, columns - 1).long())
            shares.append(row_share * column_share * mask * inside)
    return _by_place(indices), _by_place(shares)


def _by_place(corners: list[Tensor]) -> Tensor:
    """Four of (9, h, w) -> (h * w, 9, 4)."""
    return torch.stack(corners).flatten(2).permute(2, 1, 0)
