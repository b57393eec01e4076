"""Winograd's convolutions are convolutions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.propagation import winograd
from backend.propagation.winograd import WinogradConv, pays, use_winograd


def made(inside: int, outside: int, *, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inside, outside, 3, padding=1, bias=bias).requires_grad_(False)


@torch.inference_mode()
@pytest.mark.parametrize(
    ("count", "height", "width"), [(1, 8, 12), (1, 1, 1), (2, 7, 9), (3, 30, 5), (1, 4, 3)], ids=str
)
@pytest.mark.parametrize("at_once", [1, 40_000, 1 << 22], ids=["a row", "some rows", "all images"])
def test_equal_to_the_convolution(
    count: int, height: int, width: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winograd, "_MULTIPLIED", at_once)
    monkeypatch.setattr(winograd, "_TRANSFORMED", at_once)
    conv = made(12, 20)
    x = torch.randn(count, 12, height, width)
    found = WinogradConv(conv)(x)
    assert found.shape == (count, 20, height, width)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, conv(x), rtol=0, atol=1e-5)
    # The memory format makes no difference.
    assert torch.equal(WinogradConv(conv)(x.contiguous(memory_format=torch.channels_last)), found)


@torch.inference_mode()
def test_rounding_stays_within_a_few_times_that_of_the_convolution() -> None:
    conv = made(256, 128, bias=False)
    x = torch.randn(1, 256, 16, 16).relu()
    fast = WinogradConv(conv)(x).double()
    plain = conv(x).double()
    exact = conv.double()(x.double())
    assert (fast - exact).abs().max() <= 8 * (plain - exact).abs().max()


@pytest.mark.parametrize(
    ("conv", "expected"),
    [
        (nn.Conv2d(128, 128, 3, padding=1), True),
        (nn.Conv2d(64, 128, 3, padding=1), False),
        (nn.Conv2d(128, 64, 3, padding=1), False),
        (nn.Conv2d(128, 128, 3), False),
        (nn.Conv2d(128, 128, 3, padding=1, stride=2), False),
        (nn.Conv2d(128, 128, 3, padding=1, groups=2), False),
        (nn.Conv2d(128, 128, 3, padding=1, dilation=2), False),
        (nn.Conv2d(128, 128, 1), False),
    ],
    ids=["plain", "few in", "few out", "unpadded", "stride", "groups", "dilation", "1x1"],
)
def test_where_it_pays(conv: nn.Conv2d, expected: bool) -> None:
    assert pays(conv) is expected


@torch.inference_mode()
def test_the_convolutions_of_a_network_are_replaced_where_it_pays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 128, 3, padding=1), nn.Sequential(made(128, 128), nn.ReLU()))
    x = torch.randn(1, 3, 8, 8)
    expected = network(x)
    use_winograd(network)
    assert isinstance(network[0], nn.Conv2d)
    assert isinstance(network[1][0], WinogradConv)
    torch.testing.assert_close(network(x), expected, rtol=0, atol=1e-5)
