"""Five levels of features from a trunk's four maps: the first half of MASA's adapters.

Names are those of the official state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 256
"""Of each level."""


class ConvNorm(nn.Module):
    """A convolution and a batch normalisation, or a convolution alone."""

    def __init__(self, inside: int, size: int, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, CHANNELS, size, padding=size // 2, bias=not norm)
        self.bn = nn.BatchNorm2d(CHANNELS) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(1, inside, h, w) -> (1, 256, h, w)."""
        out: Tensor = self.bn(self.conv(x))
        return out


class FeaturePyramid(nn.Module):
    """From coarse to fine, each level learns of the one above (Lin et al., CVPR 2017)."""

    def __init__(self, channels: Sequence[int], *, norm: bool = True) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(ConvNorm(inside, 1, norm=norm) for inside in channels)
        self.fpn_convs = nn.ModuleList(ConvNorm(CHANNELS, 3, norm=norm) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Four maps, each half as large as the one before -> five levels (1, 256, ...)."""
        return self.merge([lateral(x) for lateral, x in zip(self.lateral_convs, maps, strict=True)])

    def merge(self, laterals: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Of (1, 256, ...) four times; the fifth level is every second row and column of the fourth."""
        merged = list(laterals)
        for fine in range(len(merged) - 2, -1, -1):
            merged[fine] = merged[fine] + functional.interpolate(merged[fine + 1], merged[fine].shape[-2:])
        levels = [conv(x) for conv, x in zip(self.fpn_convs, merged, strict=True)]
        return (*levels, levels[-1][..., ::2, ::2])


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(1, C, h, w) -> the same."""
        normalised: Tensor = self.ln(x.permute(0, 2, 3, 1))
        return normalised.permute(0, 3, 1, 2)


class SimpleFeaturePyramid(FeaturePyramid):
    """A feature pyramid of a ViT's maps, which are all of one size (Li et al., ECCV 2022).

    The first two are enlarged four times and twice, the last is halved.
    """

    def __init__(self, channels: int) -> None:
        super().__init__([channels] * 4, norm=False)
        self.fpn1 = nn.Sequential(_doubling(channels), ChannelNorm(channels), nn.GELU(), _doubling(channels))
        self.fpn2 = nn.Sequential(_doubling(channels))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """(1, C, h, w) four times -> five levels (1, 256, ...) at 4, 2, 1, 1/2 and 1/4 of that size."""
        first, second, third, fourth = maps
        return super().forward([self.fpn1(first), self.fpn2(second), third, functional.max_pool2d(fourth, 2)])

    def fold(self) -> None:
        """Enlarge right to the lateral convolutions' output, between which there is nothing (exact up to rounding)."""
        for level, enlarging in enumerate((self.fpn1, self.fpn2)):
            lateral = cast(ConvNorm, self.lateral_convs[level]).conv
            doubling = cast(nn.ConvTranspose2d, enlarging[-1])
            folded = _doubling(doubling.in_channels, CHANNELS)
            bias = lateral(cast(Tensor, doubling.bias).view(1, -1, 1, 1)).flatten()
            folded.weight = nn.Parameter(functional.conv2d(doubling.weight, lateral.weight), requires_grad=False)
            folded.bias = nn.Parameter(bias, requires_grad=False)
            enlarging[-1] = folded
            self.lateral_convs[level] = nn.Identity()


def _doubling(inside: int, out: int | None = None) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inside, out or inside, 2, stride=2)
