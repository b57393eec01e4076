"""What XMem's network is built of (Cheng and Schwing, ECCV 2022).

Names are those of the official state dicts. Objects are the batch: one image has features (1, C, h, w), its objects
have (O, C, h, w).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 64
"""Channels of the hidden state."""


class ImageHalf(NamedTuple):
    """What an image adds to the first convolutions of a fusion: the same for each of its objects."""

    conv1: Tensor
    downsample: Tensor


class SplitConv(nn.Module):
    """A 3x3 convolution of an image's channels followed by an object's own, as the sum of one of each."""

    def __init__(self, image: int, own: int, out: int) -> None:
        super().__init__()
        self.image = nn.Conv2d(image, out, 3, padding=1)
        self.own = nn.Conv2d(own, out, 3, padding=1, bias=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each after a ReLU; the shortcut is a 3x3 convolution where the channels change."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(inside, out, 3, padding=1) if inside != out else nn.Identity()
        self.conv1 = nn.Conv2d(inside, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(O, inside, h, w) -> (O, out, h, w)."""
        grown: Tensor = self.conv2(functional.relu_(self.conv1(functional.relu(x))))
        return grown.add_(self.downsample(x))


class SplitBlock(nn.Module):
    """A :class:`ResidualBlock` whose input is an image's features followed by an object's own."""

    def __init__(self, image: int, own: int, out: int) -> None:
        super().__init__()
        self.downsample = SplitConv(image, own, out)
        self.conv1 = SplitConv(image, own, out)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)

    def image_half(self, image: Tensor) -> ImageHalf:
        """Of features (1, C, h, w): (1, out, h, w) twice."""
        return ImageHalf(self.conv1.image(functional.relu(image)), self.downsample.image(image))

    def forward(self, half: ImageHalf, own: Tensor) -> Tensor:
        """(O, own, h, w) -> (O, out, h, w)."""
        inner = self.conv1.own(functional.relu(own)).add_(half.conv1)
        grown: Tensor = self.conv2(functional.relu_(inner))
        return grown.add_(self.downsample.own(own)).add_(half.downsample)


class ChannelGate(nn.Module):
    """Weighs channels by what is in them on average and at most."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = channels // reduction
        self.mlp = nn.Sequential(nn.Flatten(), nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        """(O, C, h, w) -> the same."""
        attention = self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))
        return x * torch.sigmoid(attention)[:, :, None, None]


class SpatialGate(nn.Module):
    """Weighs places by what is in them at most and on average."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = nn.ModuleDict({"conv": nn.Conv2d(2, 1, 7, padding=3)})

    def forward(self, x: Tensor) -> Tensor:
        """(O, C, h, w) -> the same."""
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return x * torch.sigmoid(self.spatial["conv"](pooled))


class Attention(nn.Module):
    """CBAM (Woo et al., ECCV 2018): channels, then places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, x: Tensor) -> Tensor:
        """(O, C, h, w) -> the same."""
        gated: Tensor = self.SpatialGate(self.ChannelGate(x))
        return gated


class FeatureFusion(nn.Module):
    """Puts an object's own features together with its image's."""

    def __init__(self, image: int, own: int, out: int) -> None:
        super().__init__()
        self.block1 = SplitBlock(image, own, out)
        self.attention = Attention(out)
        self.block2 = ResidualBlock(out, out)

    def forward(self, half: ImageHalf, own: Tensor) -> Tensor:
        """(O, own, h, w) -> (O, out, h, w); ``half`` is ``block1.image_half`` of the image's features."""
        g = self.block1(half, own)
        fused: Tensor = self.block2(self.attention(g).add_(g))
        return fused


class Upsampling(nn.Module):
    """Twice the resolution, with what a finer stage of the image knows."""

    def __init__(self, skip: int, inside: int, out: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip, inside, 3, padding=1)
        self.out_conv = ResidualBlock(inside, out)

    def forward(self, skip: Tensor, g: Tensor) -> Tensor:
        """``skip_conv`` of the image (1, inside, 2h, 2w) and (O, inside, h, w) -> (O, out, 2h, 2w)."""
        g = functional.interpolate(g, scale_factor=2, mode="bilinear", align_corners=False)
        finer: Tensor = self.out_conv(g.add_(skip))
        return finer


def recur(values: Tensor, hidden: Tensor) -> Tensor:
    """One step of the recurrent cell: its three gates' inputs (O, 192, h, w) and the hidden state (O, 64, h, w).

    Unlike in a GRU the candidate does not see the reset gate.
    """
    forget, update, candidate = values.float().split(HIDDEN, 1)
    update = torch.sigmoid(update)
    return torch.sigmoid(forget) * hidden * (1 - update) + update * torch.tanh(candidate)


class HiddenReinforcer(nn.Module):
    """The hidden state's deep update, from a value."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(channels + HIDDEN, 3 * HIDDEN, 3, padding=1)

    def forward(self, g: Tensor, hidden: Tensor) -> Tensor:
        """(O, channels, h, w), (O, 64, h, w) -> (O, 64, h, w), float32."""
        return recur(self.transform(torch.cat([g, hidden.to(g)], 1)), hidden)


class HiddenUpdater(nn.Module):
    """The hidden state's update on each frame, from the stages of the decoder."""

    def __init__(self, g16: int, g8: int, g4: int, inner: int) -> None:
        super().__init__()
        self.g16_conv = nn.Conv2d(g16, inner, 1)
        self.g8_conv = nn.Conv2d(g8, inner, 1)
        self.g4_conv = nn.Conv2d(g4 + 1, inner, 1)
        self.transform = nn.Conv2d(inner + HIDDEN, 3 * HIDDEN, 3, padding=1)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor, logits: Tensor, hidden: Tensor) -> Tensor:
        """Features at 1/16, 1/8 and 1/4 of the image, logits (O, 1, ...) at 1/4 -> (O, 64, h, w), float32."""
        eighth = functional.avg_pool2d(g8, 2)
        quarter = torch.cat([functional.avg_pool2d(g4, 4), functional.avg_pool2d(logits, 4)], 1)
        g = self.g16_conv(g16) + self.g8_conv(eighth) + self.g4_conv(quarter)
        return recur(self.transform(torch.cat([g, hidden.to(g)], 1)), hidden)
