"""MASA's track head: boxes on levels of features -> embeddings (Li et al., CVPR 2024).

Names are those of the official state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from backend.association.masa_pyramid import CHANNELS

STRIDES = (4, 8, 16, 32)
"""Pixels of a cell's side on the levels that boxes are looked up on."""
DIMENSIONS = 256
"""Of an embedding."""

_CELLS = 7  # a box is seen as 7 x 7
_FINEST = 56  # pixels; boxes smaller than twice that are looked up on the finest level
_GROUPS = 32


class ConvNormReLU(nn.Module):
    """A 3x3 convolution, a group normalisation and a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.gn = nn.GroupNorm(_GROUPS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 256, 7, 7) -> the same."""
        return functional.relu(self.gn(self.conv(x)))


class TrackHead(nn.Module):
    """Says what is in boxes."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(ConvNormReLU() for _ in range(4))
        self.fcs = nn.ModuleList([nn.Linear(CHANNELS * _CELLS**2, 1024)])
        self.fc_embed = nn.Linear(1024, DIMENSIONS)

    def forward(self, seen: Tensor) -> Tensor:
        """Boxes as :func:`look_up` sees them (N, 256, 7, 7) -> (N, 256), not normalised."""
        for conv in self.convs:
            seen = conv(seen)
        embedding: Tensor = self.fc_embed(functional.relu(self.fcs[0](seen.flatten(1))))
        return embedding


def level_of(boxes: Tensor) -> Tensor:
    """Which of the levels boxes (N, 4), pixels of the network's image, are looked up on: (N,) integers."""
    size = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
    return (size / _FINEST + 1e-6).log2().floor().clamp(0, len(STRIDES) - 1).long()


def look_up(levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """What is in boxes, each on the level that fits its size.

    Args:
        levels: (1, C, ...) of at least the strides of :data:`STRIDES`.
        boxes: (N, 4) ``xyxy`` pixels of the network's image, on the levels' device.

    Returns:
        (N, C, 7, 7) float32: RoIAlign (He et al., ICCV 2017), with as many samples as there are cells.
    """
    seen = torch.zeros((len(boxes), levels[0].shape[1], _CELLS, _CELLS), device=boxes.device)
    on = level_of(boxes)
    for number, (level, stride) in enumerate(zip(levels, STRIDES, strict=False)):
        some = (on == number).nonzero()[:, 0]
        if len(some):
            # The compiled operation does not take every type.
            seen[some] = roi_align(level.float(), [boxes[some]], _CELLS, 1 / stride, aligned=True)
    return seen
