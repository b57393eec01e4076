"""What an object looks like, by what the segmenter's encoder saw of it anyway; needs no further weights.

An embedding is the mean direction of the features under an object, once for each stage of the encoder. The features are
centred over the picture first, as they are for matching frames with one another: what all places of a picture have in
common tells no object from another. What is chosen here was measured; see ``docs/association.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from backend.association.identity import Calibration
from backend.tracks import BoolArray

# Cells of the finest grid per token, and pixels of the encoder's picture per token.
_CELLS = 4
_STRIDE = 16
# Cells at the rim of a mask, which show something else too, count by this power of the part of them that is covered.
_RIM = 3
# Of a box without a mask, what lies this part of its width and height off the middle has exp(-1/2) of the weight there.
_MIDDLE = 0.35


class SamEncoding(Protocol):
    """A frame as a SAM-like segmenter encodes it; see ``segmentation.segmenter.Encoding``."""

    @property
    def embedding(self) -> Tensor:
        """(1, 256, h, w), one token for 16 x 16 pixels of the scaled frame."""

    @property
    def middle(self) -> Tensor | None:
        """(1, 128, 2h, 2w), or None with other encoders than TinyViT."""

    @property
    def fine(self) -> Tensor | None:
        """(1, 64, 4h, 4w), or None."""

    @property
    def size(self) -> tuple[int, int]:
        """The frame's (height, width)."""

    @property
    def scaled(self) -> tuple[int, int]:
        """(height, width) of the frame as it was encoded, without padding."""


@dataclass(frozen=True)
class Stage:
    """A stage of the encoder: its name in the encoding, its channels, and its cells per token and axis."""

    name: str
    channels: int
    cells: int


EMBEDDING, MIDDLE, FINE = Stage("embedding", 256, 1), Stage("middle", 128, 2), Stage("fine", 64, 4)


# What similarities mean, of the default stages, and of the embedding alone.
CALIBRATION = Calibration(middle=0.78, slope=12.0, swap=12.0)
EMBEDDING_CALIBRATION = Calibration(middle=0.79, slope=10.0, swap=10.0)


class SamFeatures:
    """An :class:`~backend.association.embedder.Embedder` of a segmenter's own features.

    Args:
        stages: which ones. By default those of MobileSAM that tell objects apart best; other encoders have the
            ``EMBEDDING`` alone, which does less well.
    """

    def __init__(self, stages: Sequence[Stage] = (MIDDLE, FINE)) -> None:
        self._stages = tuple(stages)

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""
        return sum(stage.channels for stage in self._stages)

    @torch.inference_mode()
    def embed(self, encoding: SamEncoding, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        """Embed a frame's objects.

        Args:
            encoding: the frame.
            boxes: (N, 4) float ``xyxy`` pixels of the frame.
            masks: ``bool (H, W)`` for each box, where that is known. They tell objects apart far better; without one
                the middle of the box counts.

        Returns:
            (N, dimensions) float32 of length 1, on the encoding's device; zeros for what lies outside the picture.

        Raises:
            TypeError: the encoding lacks a stage.
        """
        device = encoding.embedding.device
        cover = _Cover(encoding)
        given = masks if masks is not None else [None] * len(boxes)
        weights = [
            cover.of_mask(mask) if mask is not None and mask.any() else cover.of_box(box)
            for box, mask in zip(boxes.to(device, torch.float32), given, strict=True)
        ]
        if not weights:
            return torch.zeros((0, self.dimensions), device=device)
        finest = torch.stack(weights)
        parts = [_pooled(_centred(encoding, stage), finest, stage.cells) for stage in self._stages]
        return functional.normalize(torch.cat(parts, 1), dim=1)


class _Cover:
    """Which cells of the finest grid objects cover."""

    def __init__(self, encoding: SamEncoding) -> None:
        (height, width), (tall, wide) = encoding.size, encoding.scaled
        rows, columns = -(-tall // _STRIDE), -(-wide // _STRIDE)
        device = encoding.embedding.device
        # Where cells begin and end, in pixels of the frame.
        self._down = torch.arange(_CELLS * rows + 1, device=device) * (_STRIDE / _CELLS * height / tall)
        self._across = torch.arange(_CELLS * columns + 1, device=device) * (_STRIDE / _CELLS * width / wide)
        self._size = height, width

    def of_mask(self, mask: BoolArray) -> Tensor:
        """``bool (H, W)`` -> (rows, columns): the part of each cell that it covers, to the power that rims count by.

        Raises:
            ValueError: the mask has another size than the frame.
        """
        if mask.shape != self._size:
            raise ValueError(f"a mask of {mask.shape} for a frame of {self._size}")
        down, across = self._of_pixels
        return down @ torch.from_numpy(mask).to(down) @ across.T

    def of_box(self, box: Tensor) -> Tensor:
        """(4,) -> (rows, columns): the part of each cell that it covers, less the farther from its middle."""
        x0, y0, x1, y1 = box
        return _window(self._down, y0, y1)[:, None] * _window(self._across, x0, x1)[None]

    @cached_property
    def _of_pixels(self) -> tuple[Tensor, Tensor]:
        """(rows, H) and (columns, W): the part of each cell that lies in each row and each column of pixels."""
        down, across = (torch.arange(side + 1).to(self._down) for side in self._size)
        return _shares(self._down, down), _shares(self._across, across)


def _shares(cells: Tensor, pixels: Tensor) -> Tensor:
    """Edges (C + 1,) and (P + 1,) -> (C, P): the part of each cell that lies in each pixel."""
    low = torch.maximum(cells[:-1, None], pixels[None, :-1])
    high = torch.minimum(cells[1:, None], pixels[None, 1:])
    return (high - low).clamp(min=0) / (cells[1] - cells[0])


def _window(cells: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Edges (C + 1,) -> (C,): the part of each cell between two places, less the farther from their middle."""
    inside = _shares(cells, torch.stack([low, high]))[:, 0]
    middles = (cells[1:] + cells[:-1]) / 2
    # No narrower than a cell, or what is small would have no weight in the cell that it lies in.
    spread = (_MIDDLE * (high - low)).clamp(min=float(cells[1] - cells[0]))
    return inside * torch.exp(-(((middles - (low + high) / 2) / spread) ** 2) / 2)


def _centred(encoding: SamEncoding, stage: Stage) -> Tensor:
    """(C, rows, columns): the stage's features over the picture, each of length 1 after their mean was taken away."""
    features: Tensor | None = getattr(encoding, stage.name)
    if features is None:
        raise TypeError(f"this segmenter's encoder has no stage {stage.name!r}; embed with others")
    rows, columns = (stage.cells * -(-side // _STRIDE) for side in encoding.scaled)
    picture = features[0, :, :rows, :columns].float()
    return functional.normalize(picture - picture.mean((1, 2), keepdim=True), dim=0)


def _pooled(features: Tensor, finest: Tensor, cells: int) -> Tensor:
    """(C, rows, columns) and cover (N, 4 rows', 4 columns') of the finest grid -> (N, C): mean directions."""
    cover = functional.avg_pool2d(finest[:, None], _CELLS // cells)[:, 0] ** _RIM
    total = torch.einsum("nyx,cyx->nc", cover, features)
    return functional.normalize(total, dim=1)
