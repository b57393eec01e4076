"""From prompts and a video to a mask of every object on every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from backend.propagation.propagator import Propagator
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Segmenter
from backend.tracking.follow import Follower
from backend.tracking.initial import initial_masks
from backend.tracking.plan import Pass, by_frame, clamp_span, make_passes, take_turns
from backend.tracks import BoolArray, Direction, FrameResult, ImageArray, Mask, Observation, Prompt
from backend.video.ahead import Ahead, read_ahead
from backend.video.frames import Frames


class VideoTracker:
    """Tracks prompted objects through videos, one call at a time.

    Args:
        segmenter: makes masks of prompts, and the encodings that the propagator reads.
        new_propagator: a propagator without memory.
        cache: keeps encodings from one call to the next.
        ahead: hands out the frames of a pass; by default a thread decodes the next ones meanwhile.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        new_propagator: Callable[[], Propagator],
        cache: EncodingCache,
        *,
        ahead: Ahead = read_ahead,
    ) -> None:
        self._segmenter = segmenter
        self._new_propagator = new_propagator
        self._cache = cache
        self._ahead = ahead

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """Track the prompted objects.

        Args:
            video: the frames.
            prompts: boxes, points or masks on any frames; several of an object are all heeded.
            span: first and last frame to track, by default the whole video.
            direction: which way from an object's prompts, for all or by object (both for one that is not named).
                Between two prompts of an object it is always tracked.
            cancelled: asked between frames; True ends the results.

        Returns:
            results as they come: prompted frames first (``human``), then those nearest to them, forwards and backwards
            in turn. Each object has one observation on each frame of its way.

        Raises:
            PromptError: a prompt cannot be used, before any frame is decoded; or nothing can be made out where it
                marks an object.
            FrameOutOfRange: a prompt or the span lies beyond the video.
            VideoError: a frame cannot be decoded.
        """
        marked = by_frame(prompts)
        reach = clamp_span(span, prompts, len(video))
        for prompt in prompts:
            prompt.validate(video.width, video.height)
        return self._track(video, marked, make_passes(prompts, reach, direction), cancelled)

    def _track(
        self,
        video: Frames,
        marked: Mapping[int, Mapping[str, Prompt]],
        passes: Sequence[Pass],
        cancelled: Callable[[], bool],
    ) -> Iterator[FrameResult]:
        encode = self._encoder(video)
        propagator = self._new_propagator()
        given: dict[int, dict[str, BoolArray]] = {}
        for frame, prompts in marked.items():
            if cancelled():
                return
            encoding = encode(frame, video.frame(frame))
            masks = initial_masks(self._segmenter, encoding, prompts)
            given[frame] = {name: mask for name, (mask, _) in masks.items()}
            propagator.step(frame, encoding, given[frame], ())
            yield FrameResult(
                frame,
                tuple(
                    Observation(name, frame, Mask.from_array(mask), score, human=True)
                    for name, (mask, score) in sorted(masks.items())
                ),
            )
        ways = [Follower(video, encode, propagator.fork(), given, self._ahead).follow(route) for route in passes]
        try:
            yield from take_turns(ways, cancelled)
        finally:
            for way in ways:
                way.close()

    def _encoder(self, video: Frames) -> Callable[[int, ImageArray], Encoding]:
        identity = video.identity()

        def encode(frame: int, image: ImageArray) -> Encoding:
            return self._cache.get((identity, frame), lambda: self._segmenter.encode(image))

        return encode
