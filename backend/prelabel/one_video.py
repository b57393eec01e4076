"""The seam for whoever runs it: one video, what to track it by, tracks, a prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from backend.labelstudio.config import VideoConfig
from backend.prelabel.finder import Finder
from backend.prelabel.given import Given
from backend.prelabel.prediction import Prediction, TrackedRegion, format_regions
from backend.service.engine import Tracker
from backend.service.timeline import Timeline
from backend.video.frames import Frames


class TrackedBy(Protocol):
    """What to track a video by, before the video is known; ``label`` is what all objects are, None what is said of
    each."""

    @property
    def label(self) -> str | None: ...

    def given(self, timeline: Timeline, video: Frames) -> Given:
        """The same on the frames of the video."""


class OneVideo:
    """A video that is tracked for one task.

    Attributes:
        timeline: Label Studio's frames.
        given: what it is tracked by, on the frames of the video.

    Args:
        video: the frames.
        by: what to track it by.
        config: the project's.
        frame_rate: the one that Label Studio takes; None is its default.
        model_version: of the models.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
        regions: what the ids of the regions begin with; by default new each time.

    Raises:
        LabelConfigError: the frame rate cannot be used.
        FrameOutOfRange: a box lies beyond the video.
    """

    def __init__(
        self,
        video: Frames,
        by: TrackedBy,
        *,
        config: VideoConfig,
        frame_rate: float | None,
        model_version: str,
        keyframe_iou: float,
        regions: str | None = None,
    ) -> None:
        self._video = video
        self._config = config
        self._name = regions
        self.timeline = Timeline.of(video, frame_rate)
        self.given = by.given(self.timeline, video)
        self._finder = Finder(self.given, by.label)
        self._model_version = model_version
        self._keyframe_iou = keyframe_iou
        self._regions: list[TrackedRegion] = []

    def __len__(self) -> int:
        return len(self._video)

    def steps(self, tracker: Tracker, cancelled: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Track: a step for each frame, and then one for each region.

        Args:
            tracker: the models.
            cancelled: asked between frames; True ends it, and then there is no prediction.

        Raises:
            VideoError: a frame cannot be decoded.
        """
        for _ in self._finder.run(tracker, self._video, cancelled):
            yield
        if cancelled():
            return
        for region in format_regions(
            self._finder.objects(),
            config=self._config,
            timeline=self.timeline,
            keyframe_iou=self._keyframe_iou,
            name=self._name,
        ):
            self._regions.append(region)
            yield

    @property
    def prediction(self) -> Prediction:
        """What came of it; complete when the steps are at their end."""
        return Prediction(self._model_version, self._regions)
