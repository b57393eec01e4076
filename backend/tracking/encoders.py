"""A video's frames as the models take them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from backend.propagation.propagator import FrameEncoder
from backend.segmentation.cache import EncodingCache, Held
from backend.segmentation.segmenter import Encoding, Segmenter
from backend.tracks import ImageArray
from backend.video.frames import Frames

Made = TypeVar("Made", bound=Held)


class CachedEncoder(Generic[Made]):
    """Encodes frames of a video, or recalls their encodings; that of the last frame in any case."""

    def __init__(self, video: Frames, cache: EncodingCache, encode: Callable[[ImageArray], Made]) -> None:
        self._identity = video.identity()
        self._cache = cache
        self._encode = encode
        self._last: tuple[int, Made] | None = None

    def __call__(self, frame: int, image: ImageArray) -> Made:
        """The encoding of a frame, by its index and as it was decoded."""
        return self.of(frame, lambda: image)

    def of(self, frame: int, decode: Callable[[], ImageArray]) -> Made:
        """The encoding of a frame, which is decoded only where its encoding is not there."""
        if self._last is None or self._last[0] != frame:
            self._last = frame, self._cache.get(self._key(frame), lambda: self._encode(decode()))
        return self._last[1]

    def holds(self, frame: int) -> bool:
        """Whether the cache has the encoding of a frame."""
        return self._key(frame) in self._cache

    def _key(self, frame: int) -> Hashable:
        return self._identity, frame, self._encode


def forget(identity: Hashable, cache: EncodingCache) -> None:
    """Let go of all encodings of a video's frames, by the video's identity."""
    cache.drop(lambda key: isinstance(key, tuple) and key[0] == identity)


@dataclass(frozen=True, eq=False)
class Encoders:
    """What encodes a video's frames: for the segmenter, for the propagator, and for what tells objects apart."""

    segmenting: CachedEncoder[Encoding]
    propagating: CachedEncoder[Any]
    looking: CachedEncoder[Any]

    @classmethod
    def of(
        cls,
        video: Frames,
        cache: EncodingCache,
        segmenter: Segmenter,
        propagating: FrameEncoder | None = None,
        looking: FrameEncoder | None = None,
    ) -> Encoders:
        """Encoders of a video: where there is none for a purpose, or the same one, encodings are shared."""
        made: dict[int, CachedEncoder[Any]] = {}
        for encoder in (segmenter, propagating, looking):
            if encoder is not None and id(encoder) not in made:
                made[id(encoder)] = CachedEncoder(video, cache, encoder.encode)
        return cls(*(made[id(encoder or segmenter)] for encoder in (segmenter, propagating, looking)))
