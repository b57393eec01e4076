"""The work of one press: fetch the video, track the regions in one pass, store what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.errors import KeytrackError, PromptError, VideoError
from backend.labelstudio.edits import Item
from backend.labelstudio.regions import Region, format_region, prompts
from backend.service import notes
from backend.service.engine import Engine
from backend.service.jobs import Job
from backend.service.readers import Readers
from backend.service.store import Answer, Store, StoredFrame, TrackKey
from backend.service.timeline import Timeline
from backend.tracks import Prompt

UNEXPECTED = "an internal error; the log of the backend has the details. Press t to try again"


@dataclass(frozen=True, eq=False)
class Pursuit:
    """One region of a press: as it came, the human's keyframes in it, and the revision to store under."""

    key: TrackKey
    revision: int
    region: Region
    human: tuple[Item, ...]
    closed: frozenset[int]

    def results(
        self, frames: Mapping[int, StoredFrame], timeline: Timeline, keyframe_iou: float, texts: Sequence[str]
    ) -> list[Item]:
        """The region with the track of ``frames`` in place of its own, and its companions as they came.

        Raises:
            FrameOutOfRange: the video does not have a human keyframe's frame.
        """
        item = format_region(
            self.region,
            {frame: found.box for frame, found in frames.items()},
            timeline.clock,
            timeline.size,
            human=self.human,
            closed=self.closed,
            score=notes.score(frames),
            texts=texts,
            keyframe_iou=keyframe_iou,
        )
        return [item, *self.region.companions]


class TrackingWork:
    """Tracks several regions of one video in one pass. ``stage`` says where it is, ``timeline`` is there once known."""

    def __init__(
        self,
        pursuits: Sequence[Pursuit],
        fetch: Callable[[], Path],
        frame_rate: float | None,
        *,
        engine: Engine,
        readers: Readers,
        store: Store,
        keyframe_iou: float,
    ) -> None:
        self.pursuits = {pursuit.key: pursuit for pursuit in pursuits}
        self.stage = "fetching the video"
        self.timeline: Timeline | None = None
        self._fetch = fetch
        self._frame_rate = frame_rate
        self._path = Path()
        self._engine = engine
        self._readers = readers
        self._store = store
        self._keyframe_iou = keyframe_iou

    def prepare(self, job: Job) -> None:
        """Fetch the video and read its timeline."""
        with self._telling(job):
            self._path = self._fetch()
            self.stage = "reading the video"
            with self._readers.lease(self._path) as video:
                self.timeline = Timeline.of(video, self._frame_rate)
        self.stage = "waiting for its turn"

    def steps(self, job: Job) -> Iterator[None]:
        """Check the prompts, load the models, track, and store the answers; a step is a frame."""
        with self._telling(job), self._readers.lease(self._path) as video:
            timeline = self.timeline or Timeline.of(video, self._frame_rate)
            found = self._prompts(timeline)
            if not found:
                return
            if not self._engine.loaded:
                self.stage = "loading the models"
            yield
            tracker = self._engine.tracker()
            self.stage = "tracking"
            yield
            directions = {key.region: self.pursuits[key].region.direction for key in found}
            keys = {key.region: key for key in found}
            every = [prompt for of_region in found.values() for prompt in of_region]
            for result in tracker.track(video, every, direction=directions, cancelled=job.cancelled):
                for observation in result.observations:  # the store drops those that a newer press has overtaken
                    key = keys[observation.object_id]
                    self._store.add(key, self.pursuits[key].revision, [observation])
                yield
            self.stage = "finishing"
            for key in found:
                if job.owns(key) and not job.cancelled():
                    self._finish(self.pursuits[key], timeline)
                yield  # thinning a long track takes a while

    def _prompts(self, timeline: Timeline) -> dict[TrackKey, list[Prompt]]:
        """The prompts of each region; of a region that has none to track it is noted why, and the others go on."""
        found: dict[TrackKey, list[Prompt]] = {}
        for key, pursuit in self.pursuits.items():
            frames = {item["frame"] for item in pursuit.human}
            try:
                found[key] = prompts(pursuit.region, frames, timeline.clock, timeline.size)
            except (PromptError, VideoError) as error:
                self._store.fail(key, pursuit.revision, str(error))
        return found

    def _finish(self, pursuit: Pursuit, timeline: Timeline) -> None:
        track = self._store.track(pursuit.key)
        if track is None or track.revision != pursuit.revision:
            return
        frames = {
            frame: found for frame, found in self._store.frames(track).items() if found.revision == pursuit.revision
        }
        texts = [notes.complete(frames, timeline), *timeline.warnings]
        results = pursuit.results(frames, timeline, self._keyframe_iou, texts)
        human = [item["frame"] for item in pursuit.human]
        self._store.finish(pursuit.key, pursuit.revision, Answer(results, notes.score(frames), texts), human)

    @contextmanager
    def _telling(self, job: Job) -> Iterator[None]:
        """Note an error with each region that is still this job's, for the next press to tell."""
        try:
            yield
        except Exception as error:
            reason = str(error) if isinstance(error, KeytrackError) else UNEXPECTED
            for key, pursuit in self.pursuits.items():
                if job.owns(key):
                    self._store.fail(key, pursuit.revision, reason)
            raise
