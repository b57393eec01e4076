"""The objects of one video, as they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from backend.export.tracked import TrackedObject
from backend.prelabel.given import Given, GivenPrompts
from backend.service.engine import Tracker
from backend.tracking.labels import Labels, Votes
from backend.tracking.learned import Learned
from backend.tracks import Track
from backend.video.frames import Frames


class Finder:
    """Finds and tracks the objects of one video.

    Args:
        given: what the video is tracked by.
        label: what all objects are; by default what the detections say.
        learned: takes in what they look like.
    """

    def __init__(self, given: Given, label: str | None = None, learned: Learned | None = None) -> None:
        self._given = given
        self._label = label
        self._learned = learned
        self._labels = Labels()
        self._tracks: dict[str, Track] = {}

    def run(self, tracker: Tracker, video: Frames, cancelled: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Track; gives each frame once, when it was dealt with, in steps of well under a second.

        Args:
            tracker: the models.
            video: the frames.
            cancelled: asked between frames; True ends it, and what was found until then is kept.

        Raises:
            FrameOutOfRange: a detection lies beyond the video.
            VideoError: a frame cannot be decoded.
        """
        told: set[int] = set()
        for result in self._given.results(tracker, video, self._labels, cancelled, self._learned):
            for observation in result.observations:
                name = observation.object_id
                self._tracks.setdefault(name, Track(name)).add(observation)
            if result.frame not in told:  # what is settled later adds to it
                told.add(result.frame)
                yield result.frame

    @property
    def tracks(self) -> list[Track]:
        """What was found so far, in the order of the frames on which the objects begin."""
        return sorted(self._tracks.values(), key=lambda track: min(track.observations))

    def votes(self, name: str) -> Votes:
        """What an object's detections said that it is, so far."""
        return self._labels.votes(name)

    def objects(self) -> list[TrackedObject]:
        """The same as ``tracks``, each with its label and its prompts."""
        prompts = self._given.prompts if isinstance(self._given, GivenPrompts) else ()
        return [
            TrackedObject(
                track.object_id,
                self._label or self._labels.of(track.object_id),
                tuple(prompt for prompt in prompts if prompt.object_id == track.object_id),
                track,
            )
            for track in self.tracks
        ]
