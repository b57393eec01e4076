"""Deformable convolutions against torchvision's, and where these say nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import deform_conv2d

from backend.association import deformable
from backend.association.deformable import deformable_conv


@pytest.fixture
def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def a_weight(random: torch.Generator) -> Tensor:
    return torch.randn(5, 4, 3, 3, generator=random)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("far", [0.5, 3.0, 40.0, 1e12])
def test_as_torchvision(random: torch.Generator, stride: int, far: float) -> None:
    x, weight = torch.randn(1, 4, 9, 12, generator=random), a_weight(random)
    h, w = -(-9 // stride), -(-12 // stride)
    offset = far * torch.randn(1, 18, h, w, generator=random)
    mask = torch.rand(1, 9, h, w, generator=random)
    expected = deform_conv2d(x, offset, weight, stride=stride, padding=1, mask=mask)
    close(deformable_conv(x, weight, offset, mask, stride), expected)


def test_without_offsets_it_is_a_convolution(random: torch.Generator) -> None:
    x, weight = torch.randn(1, 4, 6, 7, generator=random), a_weight(random)
    found = deformable_conv(x, weight, torch.zeros(18, 6, 7), torch.ones(9, 6, 7))
    close(found, functional.conv2d(x, weight, padding=1))


def test_in_parts(random: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(1, 4, 6, 7, generator=random), a_weight(random)
    offset, mask = torch.randn(18, 6, 7, generator=random), torch.rand(9, 6, 7, generator=random)
    whole = deformable_conv(x, weight, offset, mask)
    monkeypatch.setattr(deformable, "_AT_ONCE", 5)
    close(deformable_conv(x, weight, offset, mask), whole)


def test_offsets_of_a_larger_map_are_read_in_memory_order(random: torch.Generator) -> None:
    x, weight = torch.randn(1, 4, 3, 4, generator=random), a_weight(random)
    offset, mask = torch.randn(18, 6, 8, generator=random), torch.rand(9, 6, 8, generator=random)
    # As the kernel that the weights were trained with does: it steps by the sizes of its result.
    read_offset, read_mask = torch.empty(1, 18, 3, 4), torch.empty(1, 9, 3, 4)
    for read, given in ((read_offset[0], offset.flatten()), (read_mask[0], mask.flatten())):
        for channel in range(len(read)):
            for row in range(3):
                for column in range(4):
                    read[channel, row, column] = given[(channel * 3 + row) * 4 + column]
    expected = deform_conv2d(x, read_offset, weight, padding=1, mask=read_mask)
    close(deformable_conv(x, weight, offset, mask), expected)
    # Also of a slice, and of what is stored channels last.
    batch = torch.cat([torch.zeros(1, 6, 8), offset])[None].contiguous(memory_format=torch.channels_last)
    close(deformable_conv(x, weight, batch[:, 1:], mask), expected)


def test_in_half_precision(random: torch.Generator) -> None:
    x, weight = torch.randn(1, 4, 6, 7, generator=random), a_weight(random)
    offset, mask = torch.randn(18, 6, 7, generator=random), torch.rand(9, 6, 7, generator=random)
    exact = deformable_conv(x, weight, offset, mask)
    found = deformable_conv(x.bfloat16(), weight.bfloat16(), offset, mask)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), exact, rtol=0, atol=0.1)
