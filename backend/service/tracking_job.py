"""The work of one press: fetch the video, track the regions in one pass, store what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from backend.errors import KeytrackError, PromptError, VideoError
from backend.labelstudio.edits import Item
from backend.labelstudio.regions import Region, format_region, prompts
from backend.labelstudio.untouched import Earlier
from backend.service import notes
from backend.service.engine import Engine
from backend.service.jobs import Job
from backend.service.partial import compare, is_settled, reach_of
from backend.service.readers import Readers
from backend.service.records import Answer, Base, StoredFrame, TrackKey
from backend.service.store import Store
from backend.service.timeline import Timeline
from backend.tracking.stretches import Before
from backend.tracks import Prompt

UNEXPECTED = "an internal error; the log of the backend has the details. Press t to try again"


@dataclass(frozen=True, eq=False)
class Pursuit:
    """One region of a press: as it came, the human's keyframes in it, the revision to store under, and what it was when
    it was last complete."""

    key: TrackKey
    revision: int
    region: Region
    human: tuple[Item, ...]
    closed: frozenset[int]
    base: Base | None = None

    def results(
        self, frames: Mapping[int, StoredFrame], timeline: Timeline, keyframe_iou: float, texts: Sequence[str]
    ) -> list[Item]:
        """The region with the track of ``frames`` in place of its own, and its companions as they came.

        What lies between keyframes of the human that did not change, and was not tracked again, is as it was.

        Raises:
            FrameOutOfRange: the video does not have a human keyframe's frame.
        """
        earlier, touched = None, frozenset[int]()
        if self.base is not None:
            earlier = Earlier(self.base.human, self.base.closed, self.base.sequence)
            touched = frozenset(frame for frame, found in frames.items() if found.revision != self.base.revision)
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
            earlier=earlier,
            touched=touched,
        )
        return [item, *self.region.companions]


class _Plan:
    """What is to be tracked of a region, in a video of ``count`` frames.

    ``before`` is None where it was not tracked before; ``settled`` says that nothing has to be tracked.
    """

    def __init__(self, pursuit: Pursuit, prompts: list[Prompt], before: Before | None, count: int) -> None:
        self.pursuit = pursuit
        self.prompts = prompts
        self.before = before
        direction = pursuit.region.direction
        self.reach = reach_of(prompts, direction, count)
        self.settled = before is not None and is_settled(prompts, direction, count, before)


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
            plans = self._plans(timeline, len(video))
            for plan in [plan for plan in plans if plan.settled]:
                self._finish(plan, timeline)
                plans.remove(plan)
                yield
            if not plans:
                return
            if not self._engine.loaded:
                self.stage = "loading the models"
            yield
            tracker = self._engine.tracker()
            self.stage = "tracking"
            yield
            pursuits = {plan.pursuit.key.region: plan.pursuit for plan in plans}
            for result in tracker.track(
                video,
                [prompt for plan in plans for prompt in plan.prompts],
                direction={name: pursuit.region.direction for name, pursuit in pursuits.items()},
                before={plan.pursuit.key.region: plan.before for plan in plans if plan.before is not None},
                cancelled=job.cancelled,
            ):
                for observation in result.observations:  # the store drops those that a newer press has overtaken
                    pursuit = pursuits[observation.object_id]
                    self._store.add(pursuit.key, pursuit.revision, [observation])
                yield
            self.stage = "finishing"
            for plan in plans:
                if job.owns(plan.pursuit.key) and not job.cancelled():
                    self._finish(plan, timeline)
                yield  # thinning a long track takes a while

    def _plans(self, timeline: Timeline, count: int) -> list[_Plan]:
        """What to do for each region; of one that has no prompts to track it is noted why, and the others go on."""
        plans = []
        for key, pursuit in self.pursuits.items():
            frames = {item["frame"] for item in pursuit.human}
            try:
                marked = prompts(pursuit.region, frames, timeline.clock, timeline.size)
            except (PromptError, VideoError) as error:
                self._store.fail(key, pursuit.revision, str(error))
                continue
            before = self._before(pursuit, timeline)
            plans.append(_Plan(pursuit, marked, before, count))
        return plans

    def _before(self, pursuit: Pursuit, timeline: Timeline) -> Before | None:
        """What a region's base has left; what unfinished work has overwritten since is missing in it."""
        track = self._store.track(pursuit.key)
        if pursuit.base is None or track is None:
            return None
        kept = {one.frame: one for one in self._store.observations(track, pursuit.base.revision)}
        before = compare(pursuit.base, pursuit.human, timeline.clock, kept.values())
        confirmed = [one for frame, one in before.observations.items() if one is not kept[frame]]
        self._store.add(pursuit.key, pursuit.revision, confirmed)
        return before

    def _finish(self, plan: _Plan, timeline: Timeline) -> None:
        pursuit = plan.pursuit
        track = self._store.track(pursuit.key)
        if track is None or track.revision != pursuit.revision:
            return
        counts = {pursuit.revision} if pursuit.base is None else {pursuit.revision, pursuit.base.revision}
        frames = {
            frame: found
            for frame, found in self._store.frames(track).items()
            if found.revision in counts and frame in plan.reach
        }
        texts = [notes.complete(frames, timeline), *timeline.warnings]
        results = pursuit.results(frames, timeline, self._keyframe_iou, texts)
        human = [item["frame"] for item in pursuit.human]
        answer = Answer(results, notes.score(frames), texts)
        self._store.finish(pursuit.key, pursuit.revision, answer, human, reach=plan.reach)

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
