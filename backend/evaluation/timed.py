"""A tracker's parts with a stopwatch around them: what is measured knows nothing of it."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor

from backend.association.embedder import Embedder
from backend.evaluation.stages import ASSOCIATE, CUTS, DECODE, ENCODE, MASKS, PROMPTS, PROPAGATE, REFINE, WAIT
from backend.evaluation.stopwatch import Stopwatch
from backend.propagation.propagator import Decoder, FrameEncoder, FrameEncoding, Propagation, Propagator
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation, Segmenter
from backend.tracking.build import Models
from backend.tracking.looks import Looks
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, FloatArray, ImageArray
from backend.video.ahead import Ahead, read_ahead
from backend.video.frames import Frames, FrameSource


def timed_tracker(models: Models, cache: EncodingCache, watch: Stopwatch) -> VideoTracker:
    """The tracker that a profile's models make, on a stopwatch."""
    decoder = cast(Decoder, TimedSegmenter(models.segmenter, watch, REFINE))
    return VideoTracker(
        timed_segmenter(models.segmenter, watch),
        lambda: timed_propagator(models.new_propagator(decoder), watch),
        cache,
        encoder=None if models.encoder is None else TimedEncoder(models.encoder, watch),
        ahead=timed_ahead(watch),
        looks=None if models.looks is None else timed_looks(models.looks, watch),
    )


def timed_segmenter(segmenter: Segmenter, watch: Stopwatch) -> Segmenter:
    """A segmenter for what humans mark, on a stopwatch."""
    return cast(Segmenter, TimedSegmenter(segmenter, watch, PROMPTS))


def timed_propagator(propagator: Propagator, watch: Stopwatch) -> Propagator:
    """A propagator on a stopwatch, with all that come of it."""
    return cast(Propagator, TimedPropagator(propagator, watch))


def timed_looks(looks: Looks, watch: Stopwatch) -> Looks:
    """What tells objects apart, on a stopwatch."""
    encoder = None if looks.encoder is None else TimedEncoder(looks.encoder, watch)
    return replace(looks, embedder=TimedEmbedder(looks.embedder, watch), encoder=encoder)


def timed_frames(frames: Frames, watch: Stopwatch) -> Frames:
    """A video on a stopwatch."""
    return cast(Frames, TimedFrames(frames, watch))


class TimedEncoder:
    """A propagator's own encoder on a stopwatch."""

    def __init__(self, inner: FrameEncoder, watch: Stopwatch) -> None:
        self._inner = inner
        self._watch = watch

    def encode(self, image: ImageArray) -> FrameEncoding:
        """See :meth:`FrameEncoder.encode`."""
        with self._watch.stage(ENCODE):
            return self._inner.encode(image)


class TimedEmbedder:
    """An embedder on a stopwatch."""

    def __init__(self, inner: Embedder, watch: Stopwatch) -> None:
        self._inner = inner
        self._watch = watch

    @property
    def dimensions(self) -> int:
        """See :class:`Embedder`."""
        return self._inner.dimensions

    def embed(self, encoding: Any, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        """See :meth:`Embedder.embed`."""
        with self._watch.stage(ASSOCIATE):
            return self._inner.embed(encoding, boxes, masks)


class TimedSegmenter:
    """A segmenter whose decoder counts as the stage ``asked``, which says on whose behalf it is asked."""

    def __init__(self, inner: Segmenter, watch: Stopwatch, asked: str) -> None:
        self._inner = inner
        self._watch = watch
        self._asked = asked

    def encode(self, image: ImageArray) -> Encoding:
        """See :meth:`Segmenter.encode`."""
        with self._watch.stage(ENCODE):
            return self._inner.encode(image)

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        """See :meth:`Segmenter.segment`."""
        with self._watch.stage(self._asked):
            return self._inner.segment(encoding, prompts, multimask=multimask)

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        """See :meth:`Segmenter.full_size`."""
        with self._watch.stage(MASKS):
            return self._inner.full_size(logits, encoding)


class TimedPropagator:
    """A propagator; what it asks of others is timed there, and taken from its time."""

    def __init__(self, inner: Propagator, watch: Stopwatch) -> None:
        self._inner = inner
        self._watch = watch

    def step(
        self,
        frame: int,
        encoding: FrameEncoding,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        """See :meth:`Propagator.step`."""
        # What the tracker does next is to encode the masks.
        with self._watch.stage(PROPAGATE, then=MASKS):
            return self._inner.step(frame, encoding, given, wanted, claims)

    def fork(self) -> Propagator:
        """See :meth:`Propagator.fork`."""
        return timed_propagator(self._inner.fork(), self._watch)

    def branch(self) -> Propagator:
        """See :meth:`Propagator.branch`."""
        return timed_propagator(self._inner.branch(), self._watch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class TimedFrames:
    """A video, on whatever thread its frames are asked for."""

    def __init__(self, inner: Frames, watch: Stopwatch) -> None:
        self._inner = inner
        self._watch = watch

    def __len__(self) -> int:
        return len(self._inner)

    def frame(self, index: int) -> ImageArray:
        """See :meth:`Frames.frame`."""
        with self._watch.stage(DECODE):
            return self._inner.frame(index)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def timed_ahead(watch: Stopwatch) -> Ahead:
    """Frames read ahead; what is timed is how long their consumer waits for them."""

    def ahead(frames: FrameSource, indices: Iterable[int]) -> Generator[tuple[int, ImageArray], None, None]:
        decoded = read_ahead(frames, indices)
        try:
            while True:
                # What the tracker does first with a frame is to look for a cut before it.
                with watch.stage(WAIT, then=CUTS):
                    item = next(decoded, None)
                if item is None:
                    return
                yield item
        finally:
            decoded.close()

    return ahead
