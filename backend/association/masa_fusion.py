"""Levels of features that learn of one another: the second half of MASA's adapters (Li et al., CVPR 2024).

Names are those of the official state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from backend.association.deformable import TAPS, deformable_conv
from backend.association.masa_pyramid import CHANNELS

_GROUPS = 16
_OFFSETS = 2 * TAPS


class DeformableNorm(nn.Module):
    """A deformable convolution and a group normalisation."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, stride=stride, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, CHANNELS)
        self._stride = stride

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """(1, 256, h, w) -> (1, 256, h/stride, w/stride); see :func:`deformable_conv`."""
        out: Tensor = self.norm(deformable_conv(x, self.conv.weight, offset, mask, self._stride))
        return out


class Fusion(nn.Module):
    """Each level as a mean of itself and of the levels below and above it, as each is seen by a deformable convolution.

    Args:
        kinds: of offsets that are predicted: one for each of the three convolutions, or one for all.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.spatial_conv_offset = nn.Conv2d(CHANNELS, kinds * 3 * TAPS, 3, padding=1)
        self.spatial_conv_mid = DeformableNorm()
        self.spatial_conv_low = DeformableNorm(stride=2)
        self.spatial_conv_high = DeformableNorm()
        self._kinds = kinds

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Levels (1, 256, ...), from fine to coarse -> the same."""
        return tuple(self._level(levels, number) for number in range(len(levels)))

    def weigh(self, branch: Tensor) -> Tensor:
        """What a convolution saw, as it goes into the mean."""
        return branch

    def finish(self, mean: Tensor) -> Tensor:
        """The level of its mean."""
        return mean

    def _level(self, levels: Sequence[Tensor], number: int) -> Tensor:
        here = levels[number]
        mid, low, high = self._looking(here)
        branches = [self.spatial_conv_mid(here, *mid)]
        if number > 0:
            branches.append(self.spatial_conv_low(levels[number - 1], *low))
        if number < len(levels) - 1:
            # Offsets and masks are this level's, larger than what the convolution makes of the next.
            coarse = self.spatial_conv_high(levels[number + 1], *high)
            branches.append(functional.interpolate(coarse, here.shape[-2:], mode="bilinear", align_corners=True))
        total = self.weigh(branches[0])
        for branch in branches[1:]:
            total = total + self.weigh(branch)
        return self.finish(total / len(branches))

    def _looking(self, here: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Where the convolutions look, and how much that counts: offsets (18, h, w) and masks (9, h, w) of each."""
        predicted = self.spatial_conv_offset(here)[0].contiguous()
        offsets, masks = predicted.split([self._kinds * _OFFSETS, self._kinds * TAPS])
        looking = list(zip(offsets.split(_OFFSETS), masks.sigmoid().split(TAPS), strict=True))
        return looking * (3 // self._kinds)


class DeformableFusion(Fusion):
    """A block of the adapter on a ResNet: each convolution has offsets of its own."""

    def __init__(self) -> None:
        super().__init__(kinds=3)


class DynamicReLU(nn.Module):
    """A piecewise linear activation that depends on the whole map (Chen et al., ECCV 2020)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.ModuleDict({"conv": nn.Conv2d(CHANNELS, CHANNELS // 4, 1)})
        self.conv2 = nn.ModuleDict({"conv": nn.Conv2d(CHANNELS // 4, 4 * CHANNELS, 1)})

    def forward(self, x: Tensor) -> Tensor:
        """(1, 256, h, w) -> the same."""
        pooled = functional.relu(self.conv1["conv"](x.mean((2, 3), keepdim=True)))
        slope, bias, other_slope, other_bias = (functional.hardsigmoid(self.conv2["conv"](pooled)) - 0.5).chunk(4, 1)
        return torch.maximum(x * (2 * slope + 1) + bias, x * (2 * other_slope) + other_bias)


class DynamicFusion(Fusion):
    """A block of the adapter on SAM: a dynamic head (Dai et al., CVPR 2021).

    Its convolutions share their offsets; what each saw is weighed as a whole.
    """

    def __init__(self) -> None:
        super().__init__(kinds=1)
        self.scale_attn_module = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(CHANNELS, 1, 1), nn.ReLU(), nn.Hardsigmoid()
        )
        self.task_attn_module = DynamicReLU()

    def weigh(self, branch: Tensor) -> Tensor:
        """(1, 256, h, w), weighed by what is in it on average."""
        weight: Tensor = self.scale_attn_module(branch)
        return branch * weight

    def finish(self, mean: Tensor) -> Tensor:
        """The mean, activated."""
        activated: Tensor = self.task_attn_module(mean)
        return activated
