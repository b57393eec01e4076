"""What a video is tracked by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from backend.service.engine import Tracker
from backend.tracking.labels import Labels
from backend.tracking.learned import Learned
from backend.tracking.lives import DEFAULT_RULES, Rules
from backend.tracks import Detection, FrameResult, Prompt
from backend.video.frames import Frames


class Given(Protocol):
    """What a video is tracked by."""

    def results(
        self,
        tracker: Tracker,
        video: Frames,
        labels: Labels,
        cancelled: Callable[[], bool],
        learned: Learned | None = None,
    ) -> Iterator[FrameResult]:
        """A result for every frame, in order, and later ones of earlier frames. ``labels`` takes in what is said of
        the objects, ``learned`` what they look like; ``cancelled`` is asked between frames, and True ends the
        results."""

    def within(self, frames: range) -> Given:
        """What some consecutive frames of the video are tracked by, as a video that has these alone."""


@dataclass(frozen=True, eq=False)
class GivenDetections:
    """Boxes of a detector, or of anybody else.

    Attributes:
        detections: by frame. An empty sequence says that there is nothing; a frame without any was not looked at.
        rules: when tracks begin, continue and end.
    """

    detections: Mapping[int, Sequence[Detection]]
    rules: Rules = field(default=DEFAULT_RULES)

    def results(
        self,
        tracker: Tracker,
        video: Frames,
        labels: Labels,
        cancelled: Callable[[], bool],
        learned: Learned | None = None,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track_detections`."""
        return tracker.track_detections(
            video, self.detections, rules=self.rules, labels=labels, learned=learned, cancelled=cancelled
        )

    def within(self, frames: range) -> GivenDetections:
        """The detections of these frames."""
        own = {frame - frames.start: found for frame, found in self.detections.items() if frame in frames}
        return replace(self, detections=own)


@dataclass(frozen=True)
class GivenNothing:
    """Whatever looks like an object.

    Attributes:
        every: seconds from one search for new objects to the next.
        most: objects that show at a time.
    """

    every: float | None = None
    most: int | None = None

    def results(
        self,
        tracker: Tracker,
        video: Frames,
        labels: Labels,
        cancelled: Callable[[], bool],
        learned: Learned | None = None,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track_everything`; nothing is said of what objects are."""
        from backend.tracking.everything import DEFAULT_EVERYTHING  # imports torch

        rules = DEFAULT_EVERYTHING
        rules = rules if self.every is None else replace(rules, every=self.every)
        rules = rules if self.most is None else replace(rules, most=self.most)
        return tracker.track_everything(video, rules=rules, learned=learned, cancelled=cancelled)

    def within(self, frames: range) -> GivenNothing:
        """The same: nothing."""
        return self


@dataclass(frozen=True, eq=False)
class GivenPrompts:
    """Objects that somebody has marked. A video is tracked by them in one piece: each goes on over every border.

    Attributes:
        prompts: at least one of each object.
        labels: what each object is, where that is known.
    """

    prompts: Sequence[Prompt]
    labels: Mapping[str, str | None]

    def results(
        self,
        tracker: Tracker,
        video: Frames,
        labels: Labels,
        cancelled: Callable[[], bool],
        learned: Learned | None = None,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track`; frames come in no order, each once or more."""
        for name, label in self.labels.items():
            if label is not None:
                labels.vote(name, label)
        return tracker.track(video, self.prompts, cancelled=cancelled)

    def within(self, frames: range) -> GivenPrompts:
        """Raises ValueError: see above."""
        raise ValueError("a video is not split whose objects are prompted")
