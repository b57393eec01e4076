"""Doing one job: what a worker does, be it this process or another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from backend.labelstudio.in_use import media_in_use
from backend.prelabel.jobs import Failed, Job, JoinJob, Outcome, PieceJob, PieceTracked, Split, Tracked, VideoJob
from backend.prelabel.joining import Joiner
from backend.prelabel.one_video import OneVideo
from backend.prelabel.passing import patiently
from backend.prelabel.pieces import PieceTracking, plan_pieces
from backend.prelabel.plan import Leave
from backend.prelabel.prediction import Prediction, TrackedRegion, format_regions
from backend.prelabel.summary import Summary, Thumbnail
from backend.service.engine import Tracker
from backend.service.failures import relieve
from backend.service.notes import is_doubtful
from backend.service.records import observed
from backend.service.timeline import Timeline
from backend.video.reader import VideoReader

Told = Callable[[int, int], None]
"""Is told how many steps are done, and of how many."""


class Doer:
    """Does one job after the other.

    Args:
        tracker: gives the models; asked with each job.
        fetch: gives the file of a video that has an address.
        name: who this is, for a report.
    """

    def __init__(self, tracker: Callable[[], Tracker], fetch: Callable[[str], Path], name: str = "") -> None:
        self._tracker = tracker
        self._fetch = fetch
        self._name = name

    def load(self) -> None:
        """Load the models before the first job.

        Raises:
            KeytrackError: they cannot be loaded.
        """
        self._tracker()

    def do(
        self, job: Job, told: Told = lambda done, steps: None, cancelled: Callable[[], bool] = lambda: False
    ) -> Outcome | None:
        """Do a job, and say what came of it.

        Args:
            job: what to do.
            told: is told after each frame.
            cancelled: asked between frames.

        Returns:
            None where it was cancelled.

        Raises:
            KeytrackError: the models cannot be loaded.
        """
        tracker = self._tracker()
        fetched = False
        try:
            with media_in_use():
                began = time.monotonic()
                path = self._path(job.whole.video, cancelled)
                fetched = True
                turn = _Turn(job.whole, self._name, time.monotonic() - began, told, cancelled)
                with VideoReader(path) as video:
                    found = turn.do(job, tracker, video)
        except Leave as leave:
            return leave.left
        except Exception as error:  # noqa: BLE001 - one video does not keep the others
            relieve(error)
            # What cannot be fetched was tried again already.
            return None if cancelled() else Failed.of(error, again=fetched)
        return None if cancelled() else found

    def _path(self, video: str | Path, cancelled: Callable[[], bool]) -> Path:
        return video if isinstance(video, Path) else patiently(lambda: self._fetch(video), cancelled=cancelled)


class _Turn:
    """One job with its video at hand."""

    def __init__(
        self, whole: VideoJob, worker: str, fetching: float, told: Told, cancelled: Callable[[], bool]
    ) -> None:
        self._whole = whole
        self._worker = worker
        self._fetching = fetching
        self._told = told
        self._cancelled = cancelled
        self._began = time.monotonic()

    def do(self, job: Job, tracker: Tracker, video: VideoReader) -> Outcome | None:
        """What came of it; None where it was cancelled."""
        if isinstance(job, PieceJob):
            return self._piece(job, tracker, video)
        if isinstance(job, JoinJob):
            return self._join(job, video)
        return self._video(tracker, video)

    def _video(self, tracker: Tracker, video: VideoReader) -> Outcome | None:
        whole = self._whole
        work = OneVideo(
            video,
            whole.by,
            config=whole.config,
            frame_rate=whole.rate(video),
            model_version=whole.manner.model_version,
            keyframe_iou=whole.manner.keyframe_iou,
            regions=whole.regions,
        )
        pieces = plan_pieces(video, whole.manner.pieces, work.given)
        if len(pieces) > 1:
            return Split(tuple(pieces))
        self._count(work.steps(tracker, self._cancelled), len(video))
        return None if self._cancelled() else self._tracked(work.prediction, video, work.timeline, 0.0, 0.0)

    def _piece(self, job: PieceJob, tracker: Tracker, video: VideoReader) -> Outcome | None:
        given = self._whole.by.given(Timeline.of(video, self._whole.rate(video)), video)
        work = PieceTracking(video, given, job.piece)
        self._count(work.run(tracker, self._cancelled), len(work))
        if self._cancelled():
            return None
        return PieceTracked(work.result, time.monotonic() - self._began, self._fetching)

    def _join(self, job: JoinJob, video: VideoReader) -> Outcome | None:
        whole, timeline = self._whole, Timeline.of(video, self._whole.rate(video))
        joiner = Joiner()
        regions: list[TrackedRegion] = []

        def steps() -> Iterator[None]:
            for piece in job.pieces:
                joiner.add(piece)
                yield
            for region in format_regions(
                joiner.objects(whole.by.label),
                config=whole.config,
                timeline=timeline,
                keyframe_iou=whole.manner.keyframe_iou,
                name=whole.regions,
            ):
                regions.append(region)
                yield

        self._count(steps(), len(job.pieces))
        found = Prediction(whole.manner.model_version, regions)
        return self._tracked(found, video, timeline, job.seconds, job.fetching)

    def _count(self, steps: Iterable[object], expected: int) -> None:
        for done, _ in enumerate(steps, start=1):
            self._told(min(done, expected), expected)
            if self._cancelled():
                break

    def _tracked(
        self, found: Prediction, video: VideoReader, timeline: Timeline, seconds: float, fetching: float
    ) -> Tracked:
        """With the seconds that were spent before."""
        thumbnails: tuple[Thumbnail, ...] = ()
        if self._whole.manner.thumbnails:
            from backend.prelabel.report_pictures import contact_sheet  # draws: only where somebody will look

            thumbnails = contact_sheet(video, [region.item for region in found.regions], timeline)
        summary = Summary(
            by=str(self._whole.by),
            frames=len(video),
            frame_rate=timeline.clock.frame_rate,
            size=timeline.size,
            seconds=seconds + time.monotonic() - self._began,
            fetching=fetching + self._fetching,
            objects=dict(Counter(region.item.label or "" for region in found.regions)),
            score=found.score,
            doubtful=_doubtful(found.regions, timeline),
            worker=self._worker,
            thumbnails=thumbnails,
        )
        return Tracked(found, summary)


def _doubtful(regions: Sequence[TrackedRegion], timeline: Timeline) -> tuple[tuple[int, int], ...]:
    """First and last of Label Studio's frames on which any object is in doubt."""
    frames = {
        frame
        for region in regions
        for frame, found in observed(region.item.track).items()
        if found.box is not None and is_doubtful(found)
    }
    spans: list[tuple[int, int]] = []
    for position, index in enumerate(timeline.shown, start=1):
        if index not in frames:
            continue
        if spans and spans[-1][1] == position - 1:
            spans[-1] = spans[-1][0], position
        else:
            spans.append((position, position))
    return tuple(spans)
