"""MASA as an embedder: frames as its networks take them, and what is in boxes on these (Li et al., CVPR 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from backend.association.identity import Calibration
from backend.association.masa import Masa
from backend.association.masa_head import DIMENSIONS, STRIDES
from backend.tracks import BoolArray, ImageArray

SIDE = 1024
"""What the long side of frames is scaled to, up or down."""

MASA_CALIBRATION = Calibration(middle=0.5, slope=10.0, swap=10.0)
"""What similarities mean. A judgement: with the official weights it was not measured."""

# ImageNet's, of RGB in 0 to 255.
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


class SamEncoding(Protocol):
    """A frame as SAM's image encoder saw it, in a square of 1024 pixels."""

    @property
    def blocks(self) -> Sequence[Tensor]:
        """(1, C, 64, 64) after each of the four blocks with global attention."""

    @property
    def size(self) -> tuple[int, int]:
        """The frame's (height, width)."""

    @property
    def scaled(self) -> tuple[int, int]:
        """(height, width) of the frame as it was encoded, without padding."""


@dataclass(frozen=True, eq=False)
class MasaFrame:
    """One encoded frame.

    ``levels`` are (1, 256, ...) at 1/4, 1/8, 1/16 and 1/32 of the padded frame; ``size`` is the frame's
    (height, width), ``scaled`` the same as it was encoded, without padding.
    """

    levels: tuple[Tensor, ...]
    size: tuple[int, int]
    scaled: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        return sum(level.nbytes for level in self.levels)


class MasaEncoder:
    """Makes a network's features of frames.

    Args:
        network: with its trunk, unless only frames that SAM has encoded are taken.
        side: what the long side of frames is scaled to; the networks on SAM know only the one that they were made for.

    Raises:
        ValueError: another side, of a network on SAM.
    """

    def __init__(self, network: Masa, side: int = SIDE) -> None:
        if side != SIDE and network.square:
            raise ValueError(f"{network.variant} takes frames of {SIDE} pixels only, not {side}")
        self._network = network
        self._side = side
        self._mean = torch.tensor(_MEAN, device=network.device).view(3, 1, 1)
        self._std = torch.tensor(_STD, device=network.device).view(3, 1, 1)

    @torch.inference_mode()
    def encode(self, image: ImageArray) -> MasaFrame:
        """Encode one frame: RGB ``uint8 (H, W, 3)``."""
        height, width = image.shape[:2]
        scaled = scaled_size(height, width, self._side)
        return self._fuse(self._network.maps(self._prepare(image, scaled)), (height, width), scaled)

    @torch.inference_mode()
    def fuse(self, encoding: SamEncoding) -> MasaFrame:
        """Encode one frame that SAM's image encoder has seen, of the size that the network was trained on."""
        return self._fuse(encoding.blocks, encoding.size, encoding.scaled)

    def _fuse(self, maps: Sequence[Tensor], size: tuple[int, int], scaled: tuple[int, int]) -> MasaFrame:
        return MasaFrame(self._network.levels(maps)[: len(STRIDES)], size, scaled)

    def _prepare(self, image: ImageArray, scaled: tuple[int, int]) -> Tensor:
        """The frame scaled, normalised and padded at the bottom and the right: (1, 3, rows, columns)."""
        pixels = torch.from_numpy(image).to(self._network.device).permute(2, 0, 1)[None].float()
        # Without antialiasing, as the networks were trained.
        resized = functional.interpolate(pixels, scaled, mode="bilinear", align_corners=False)
        rows, columns = scaled
        multiple = SIDE if self._network.square else STRIDES[-1]
        return functional.pad((resized - self._mean) / self._std, (0, -columns % multiple, 0, -rows % multiple))


class MasaEmbedder:
    """Embeds boxes on the frames of a :class:`MasaEncoder`; masks have no part in it."""

    dimensions = DIMENSIONS

    def __init__(self, network: Masa) -> None:
        self._network = network

    @torch.inference_mode()
    def embed(self, encoding: MasaFrame, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        """Embed a frame's objects; see :class:`~backend.association.embedder.Embedder`."""
        if not len(boxes):
            return torch.zeros((0, DIMENSIONS), device=self._network.device)
        down, right = (to / of for to, of in zip(encoding.scaled, encoding.size, strict=True))
        scale = torch.tensor([right, down, right, down], device=boxes.device)
        return self._network.embed(encoding.levels, boxes.float() * scale)


class MasaOnSam:
    """Embeds boxes on frames that the SAM which the network was made for has encoded, blocks and all."""

    dimensions = DIMENSIONS

    def __init__(self, network: Masa) -> None:
        self._encoder = MasaEncoder(network)
        self._embedder = MasaEmbedder(network)
        self._last: tuple[SamEncoding, MasaFrame] | None = None

    def embed(self, encoding: SamEncoding, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        """Embed a frame's objects; see :class:`~backend.association.embedder.Embedder`."""
        if self._last is None or self._last[0] is not encoding:
            self._last = encoding, self._encoder.fuse(encoding)
        return self._embedder.embed(self._last[1], boxes, masks)


def scaled_size(height: int, width: int, side: int = SIDE) -> tuple[int, int]:
    """The frame's size after its long side was brought to ``side`` pixels, as (height, width)."""
    scale = side / max(height, width)
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
