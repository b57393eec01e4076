"""The seam: what tells objects apart across frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor

from backend.tracks import BoolArray, ImageArray


class FrameEncoding(Protocol):
    """A frame as an embedder takes it."""

    @property
    def nbytes(self) -> int:
        """Bytes that its tensors hold."""


class FrameEncoder(Protocol):
    """What encodes frames for an embedder that does not take the segmenter's encodings."""

    def encode(self, image: ImageArray) -> FrameEncoding:
        """Encode one frame: RGB ``uint8 (H, W, 3)``."""


class Embedder(Protocol):
    """Says what objects look like, so that the same one is known again on another frame."""

    @property
    def dimensions(self) -> int:
        """Length of an embedding."""

    def embed(self, encoding: Any, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        """Embed a frame's objects.

        Args:
            encoding: the frame, as the encoder that belongs to the embedder makes it.
            boxes: (N, 4) float ``xyxy`` pixels of the displayed frame, on any device.
            masks: for each box what the object covers, ``bool (H, W)``, where that is known; an embedder may do
                without.

        Returns:
            (N, dimensions) float32 on the embedder's device, not normalised.
        """
