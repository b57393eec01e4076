"""The seam: what a propagator is, and what it needs of a segmenter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from backend.propagation.quality import Quality
from backend.tracks import BoolArray, Box, FloatArray, ImageArray, Point


@dataclass(frozen=True, eq=False)
class Propagation:
    """One object on one frame.

    ``mask`` is None where the object was not found. ``score`` is the confidence in that, from 0 to 1; ``quality`` the
    signs that it was drawn from, by propagators that know them.
    """

    mask: BoolArray | None
    score: float
    quality: Quality | None = None


@dataclass(frozen=True, eq=False)
class Cue:
    """What a propagator asks a segmenter about: a box and points in pixels, logits on the encoding's grid."""

    box: Box | None
    points: tuple[Point, ...]
    logits: Tensor | None


class Encoded(Protocol):
    """A frame as a SAM-like segmenter encodes it; see ``segmentation.segmenter.Encoding``."""

    @property
    def embedding(self) -> Tensor:
        """(1, 256, h, w)."""

    @property
    def middle(self) -> Tensor | None:
        """(1, C, 2h, 2w)."""

    @property
    def fine(self) -> Tensor | None:
        """(1, C, 4h, 4w)."""

    @property
    def size(self) -> tuple[int, int]:
        """The frame's (height, width)."""

    @property
    def scaled(self) -> tuple[int, int]:
        """(height, width) of the frame as it was encoded, without padding."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the low-resolution logits."""


class Segmented(Protocol):
    """A segmenter's answer for N cues."""

    @property
    def logits(self) -> Tensor:
        """(N, M, rows, columns)."""

    @property
    def iou(self) -> Tensor:
        """(N, M), predicted."""


class Decoder(Protocol):
    """The part of a segmenter that turns cues into masks."""

    # The encoding is of the decoder's own kind: a decoder is asked only about what its segmenter encoded.
    def segment(self, encoding: Any, prompts: Sequence[Cue], *, multimask: bool = True) -> Segmented:
        """Several masks for each cue."""

    def full_size(self, logits: Tensor, encoding: Any) -> Tensor:
        """(N, rows, columns) -> (N, H, W)."""


class FrameEncoding(Protocol):
    """A frame as a propagator takes it."""

    @property
    def nbytes(self) -> int:
        """Bytes that its tensors hold."""


class FrameEncoder(Protocol):
    """What encodes frames for a propagator that does not take the segmenter's encodings."""

    def encode(self, image: ImageArray) -> FrameEncoding:
        """Encode one frame: RGB ``uint8 (H, W, 3)``."""


class Propagator(Protocol):
    """Carries masks from frame to frame, forwards or backwards, with a memory of its own."""

    def step(
        self,
        frame: int,
        encoding: Any,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        """Take in one frame.

        Args:
            frame: its decode index; a neighbour of the last call's or a few frames on, in either direction.
            encoding: the frame, as the encoder that belongs to the propagator makes it.
            given: masks ``bool (H, W)`` that hold, by object: remembered for good, and what the object is from here on.
            wanted: the objects to propagate; each was given to this propagator, now or before.
            claims: how probable it is that pixels belong to somebody who is not propagated: float32 (H, W). The wanted
                objects compete with that, and nothing of it is remembered as an object.

        Returns:
            a propagation for each object of ``wanted``.
        """

    @property
    def probabilities(self) -> Mapping[str, Tensor]:
        """What the last step made of each object that it found: float32 (rows, columns), which cover the frame."""

    def amend(self, frame: int, encoding: Any, masks: Mapping[str, BoolArray]) -> None:
        """Believe other masks of objects on the frame of the last step, and remember them.

        They take the place of what was propagated, in memory too, but are not remembered for good as given ones are.

        Args:
            frame: the last step's.
            encoding: the last step's.
            masks: ``bool (H, W)`` by object.

        Raises:
            KeyError: an object that the last step did not find.
        """

    def expect(self, encoding: Any, regions: Mapping[str, BoolArray]) -> None:
        """Follow objects from places: nothing else is believed of where each was on the frame before.

        Args:
            encoding: of any frame of the video.
            regions: ``bool (H, W)`` by object, of those that were given to this propagator or to the one that it is a
                fork of.
        """

    def lose(self) -> None:
        """The picture has changed altogether (a cut): look for every object anew instead of following it."""

    def deny(self, names: Collection[str]) -> None:
        """What the last step found of objects is not they: nothing is remembered of it, and they are looked for."""

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        """Two objects have taken each other's place: each goes on as the other, and what is remembered of them from
        frames on which they were propagated is exchanged. What was given stays.

        Args:
            one: an object that is followed.
            other: another one.
            frames: those since they met.
        """

    def forget(self, names: Collection[str]) -> None:
        """Drop all that is remembered of objects; none is wanted again before it is given anew."""

    def fork(self) -> Propagator:
        """Another one that remembers what was given so far and nothing else; it follows no object yet."""

    def branch(self) -> Propagator:
        """Another one in the same state, to go on by itself."""
