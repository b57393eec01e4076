"""What tells objects apart by what they look like."""

from __future__ import annotations

from dataclasses import dataclass

from backend.association.embedder import Embedder, FrameEncoder
from backend.association.identity import Calibration


@dataclass(frozen=True, eq=False)
class Looks:
    """An embedder and what belongs to it.

    Attributes:
        embedder: says what objects look like.
        calibration: what its similarities mean.
        encoder: encodes frames for the embedder; without one it takes the segmenter's encodings.
    """

    embedder: Embedder
    calibration: Calibration
    encoder: FrameEncoder | None = None
