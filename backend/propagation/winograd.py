"""3x3 convolutions with fewer multiplications: Winograd's F(4x4, 3x3) (Lavin and Gray, CVPR 2016).

A tile of 4x4 outputs takes 36 multiplications for each pair of channels instead of 144. They are 36 matrix products
over all tiles at once; what surrounds them are fixed 36x36 and 16x36 matrices. Equal to the convolution up to
rounding: the interpolation points 0, +-sqrt(1/2), +-sqrt(2) and infinity keep the error of float32 within that of
the convolution itself.

Meant for CPUs: GPU libraries do the same by themselves, and in half precision the transforms would lose too much.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

_OUT = 4
_IN = _OUT + 2
_POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))

LEAST_CHANNELS = 128
"""Of input and output: with fewer of them the transforms cost what the multiplications save."""

# Floats of the transformed tiles that are multiplied at once, and of those that are transformed at once: the former
# spread the reading of the weights over many tiles, the latter stay in a core's own cache.
_MULTIPLIED = 4 << 20
_TRANSFORMED = 1 << 19


def use_winograd(network: nn.Module) -> None:
    """Replace the convolutions of a network in which it pays; for float32 on a CPU."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and pays(child):
                setattr(module, name, WinogradConv(child))


def pays(conv: nn.Conv2d) -> bool:
    """Whether a convolution is one of those, and has channels enough."""
    plain = (conv.kernel_size, conv.stride, conv.padding, conv.dilation) == ((3, 3), (1, 1), (1, 1), (1, 1))
    return plain and conv.groups == 1 and min(conv.in_channels, conv.out_channels) >= LEAST_CHANNELS


class WinogradConv(nn.Module):
    """A 3x3 convolution with stride and padding 1.

    Its weights take four times the memory of the convolution's.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel, _, _ = _transforms()
        weight = torch.einsum("ai,bj,ocij->abco", kernel, kernel, conv.weight.double())
        bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias
        # (36, in, out) and (out,).
        self.register_buffer("weight", weight.flatten(0, 1).to(conv.weight.dtype).contiguous())
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, h, w) -> (N, out, h, w), channels last."""
        found: Tensor = convolve(x, self.weight, self.bias)
        return found


# For torch.compile it is one step, whose loops are not its business.
@torch.library.custom_op("keytrack::winograd", mutates_args=())
def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(N, in, h, w), (36, in, out), (out,) -> (N, out, h, w), channels last."""
    x = x.permute(0, 2, 3, 1).contiguous()
    count, height, width, inside = x.shape
    outside = weight.shape[2]
    down, across = math.ceil(height / _OUT), math.ceil(width / _OUT)
    out = x.new_empty(count, down * _OUT, across * _OUT, outside)
    # Rows of tiles, and images, that are multiplied at once.
    row = _IN**2 * across * max(inside, outside)
    rows = min(down, max(1, _MULTIPLIED // row))
    images = min(count, max(1, _MULTIPLIED // (row * down)))
    for image in range(0, count, images):
        for first in range(0, down, rows):
            last = min(down, first + rows)
            tiles = _to_tiles(x[image : image + images], first, last, across)
            products = torch.bmm(tiles.view(_IN**2, -1, inside), weight)
            _from_tiles(products, bias, out[image : image + images, first * _OUT : last * _OUT])
    return out[:, :height, :width].contiguous().permute(0, 3, 1, 2)


@convolve.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return x.new_empty(len(x), *x.shape[2:], weight.shape[2]).permute(0, 3, 1, 2)


def _to_tiles(x: Tensor, first: int, last: int, across: int) -> Tensor:
    """Rows ``first`` to ``last`` of tiles of images (N, h, w, C), transformed: (36, N, rows, across * C)."""
    count, height, width, channels = x.shape
    rows = last - first
    above, below = first * _OUT - 1, last * _OUT + 1
    top, bottom = max(above, 0), min(below, height)
    padded = x.new_zeros(count, rows * _OUT + 2, across * _OUT + 2, channels)
    padded[:, top - above : bottom - above, 1 : 1 + width] = x[:, top:bottom]
    _, step, place, _ = padded.stride()
    _, transform, _ = _transforms(x.dtype)
    tiles = x.new_empty(_IN**2, count, rows, across * channels)
    at_once = max(1, _TRANSFORMED // (_IN**2 * across * channels))
    for image, whole in enumerate(padded):
        for row in range(0, rows, at_once):
            some = min(at_once, rows - row)
            overlapping = whole[row * _OUT :].as_strided(
                (_IN, _IN, some, across, channels), (step, place, _OUT * step, _OUT * place, 1)
            )
            torch.mm(
                transform,
                overlapping.reshape(_IN**2, -1),
                out=tiles[:, image, row : row + some].view(_IN**2, -1),
            )
    return tiles


def _from_tiles(products: Tensor, bias: Tensor, out: Tensor) -> None:
    """Products (36, N * rows * across, C) into images (N, 4 * rows, 4 * across, C), which may be a part of others."""
    count, height, width, channels = out.shape
    rows, across = height // _OUT, width // _OUT
    _, _, transform = _transforms(out.dtype)
    products = products.view(_IN**2, count, rows, across * channels)
    at_once = max(1, _TRANSFORMED // (_IN**2 * across * channels))
    for image in range(count):
        for row in range(0, rows, at_once):
            some = min(at_once, rows - row)
            tiles = torch.mm(transform, products[:, image, row : row + some].reshape(_IN**2, -1))
            place = out[image, row * _OUT : (row + some) * _OUT].view(some, _OUT, across, _OUT, channels)
            torch.add(tiles.view(_OUT, _OUT, some, across, channels), bias, out=place.permute(1, 3, 0, 2, 4))


@cache
def _transforms(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Of a kernel's side (6, 3), of a tile of inputs (36, 36), and of a tile of products (16, 36)."""
    points = np.array(_POINTS)
    kernel, inside, outside = np.zeros((_IN, 3)), np.zeros((_IN, _IN)), np.zeros((_OUT, _IN))
    for row, point in enumerate(points):
        others = np.delete(points, row)
        kernel[row] = point ** np.arange(3) / np.prod(point - others)
        inside[row, : _IN - 1] = np.poly(others)[::-1]
        outside[:, row] = point ** np.arange(_OUT)
    # The point at infinity.
    kernel[-1, -1] = outside[-1, -1] = 1
    inside[-1] = np.poly(points)[::-1]
    # Powers of two move between the three without rounding, until inputs and kernels are of one magnitude.
    for row in range(_IN):
        by_kernel, by_inside = (2.0 ** np.round(np.log2(np.linalg.norm(one[row]))) for one in (kernel, inside))
        kernel[row] /= by_kernel
        inside[row] /= by_inside
        outside[:, row] *= by_kernel * by_inside
    return (
        torch.from_numpy(kernel).to(dtype),
        torch.from_numpy(np.kron(inside, inside)).to(dtype),
        torch.from_numpy(np.kron(outside, outside)).to(dtype),
    )
