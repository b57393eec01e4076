"""The work of one press: fetch the video, track the regions in one pass, store what comes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backend.errors import FrameOutOfRange, PromptError, VideoError
from backend.labelstudio.regions import prompts
from backend.service import notes
from backend.service.engine import Engine
from backend.service.failures import reason
from backend.service.jobs import Job
from backend.service.partial import compare, is_settled, reach_of
from backend.service.pursuit import Pursuit
from backend.service.readers import Readers
from backend.service.records import Answer
from backend.service.standing import StoredNeighbours
from backend.service.store import Store
from backend.service.timeline import Timeline
from backend.service.uncross import Uncrosser
from backend.tracking.stretches import Before
from backend.tracks import Prompt

OVERHEAD_STEPS = 5
"""Steps of a job beside those of its frames: loading the models, finishing."""


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
    """Tracks several regions of one video in one pass. ``stage`` says where it is, ``timeline`` is there once known.

    ``neighbours`` are the other regions of the press, which are complete: a correction may be about them too. ``ended``
    is called when the work is at its end, well or not, unless it was cancelled.
    """

    def __init__(
        self,
        pursuits: Sequence[Pursuit],
        neighbours: Sequence[Pursuit],
        fetch: Callable[[], Path],
        frame_rate: float | None,
        *,
        engine: Engine,
        readers: Readers,
        store: Store,
        keyframe_iou: float,
        ended: Callable[[Collection[Pursuit]], None],
    ) -> None:
        self.pursuits = {pursuit.key: pursuit for pursuit in pursuits}
        self._neighbours = neighbours
        self.stage = "fetching the video"
        self.timeline: Timeline | None = None
        self._fetch = fetch
        self._frame_rate = frame_rate
        self._path = Path()
        self._engine = engine
        self._readers = readers
        self._store = store
        self._keyframe_iou = keyframe_iou
        self._ended = ended

    def prepare(self, job: Job) -> None:
        """Fetch the video and read its timeline."""
        with self._telling(job):
            self._path = self._fetch()
            self.stage = "reading the video"
            with self._readers.lease(self._path) as video:
                self.timeline = Timeline.of(video, self._frame_rate)
                job.ticket.steps = self._expected(len(video))
        self.stage = "waiting for its turn"

    def steps(self, job: Job) -> Iterator[None]:
        """Check the prompts, load the models, track, and store the answers; a step is a frame."""
        with self._telling(job):
            yield from self._steps(job)
        self._end(job)

    def _steps(self, job: Job) -> Iterator[None]:
        with self._readers.lease(self._path) as video:
            timeline = self.timeline or Timeline.of(video, self._frame_rate)
            plans = self._plans(timeline, len(video))
            for plan in [plan for plan in plans if plan.settled]:
                self._finish(plan, timeline)
                plans.remove(plan)
                yield
            if not plans:
                return
            if self._engine.ready(job.worker) is None:
                self.stage = "loading the models"
            yield
            tracker = self._engine.tracker(job.worker)
            self.stage = "tracking"
            yield
            pursuits = {plan.pursuit.key.region: plan.pursuit for plan in plans}
            for result in tracker.track(
                video,
                [prompt for plan in plans for prompt in plan.prompts],
                direction={name: pursuit.region.direction for name, pursuit in pursuits.items()},
                before={plan.pursuit.key.region: plan.before for plan in plans if plan.before is not None},
                standing=StoredNeighbours(self._store, [plan.pursuit.key for plan in plans], timeline.size[::-1]),
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

    def _expected(self, count: int) -> int:
        """Steps of a video of ``count`` frames; a correction ends where it meets the old track, who knows where."""
        corrections = all(pursuit.base is not None for pursuit in self.pursuits.values())
        return OVERHEAD_STEPS + (count // 2 if corrections else count)

    def _plans(self, timeline: Timeline, count: int) -> list[_Plan]:
        """What to do for each region; of one that has no prompts to track it is noted why, and the others go on."""
        plans = []
        uncrosser = Uncrosser(self._store, self._neighbours, timeline, self._keyframe_iou)
        for key, pursuit in self.pursuits.items():
            frames = {item["frame"] for item in pursuit.human}
            try:
                marked = prompts(pursuit.region, frames, timeline.clock, timeline.size, pursuit.closed)
            except (PromptError, VideoError) as error:
                self._store.fail(key, pursuit.revision, str(error))
                continue
            before = self._before(pursuit, timeline)
            if before is None or before.removed:  # remarks may be about what those led to
                self._store.remark(key, pursuit.revision, [])
            if before is not None and uncrosser.heed(pursuit, marked, before.changed):
                before = self._before(pursuit, timeline)
            if before is not None:
                self._confirm(pursuit, before)
            plans.append(_Plan(pursuit, marked, before, count))
        return plans

    def _before(self, pursuit: Pursuit, timeline: Timeline) -> Before | None:
        """What a region's base has left; what unfinished work has overwritten since is missing in it."""
        track = self._store.track(pursuit.key)
        if pursuit.base is None or track is None:
            return None
        left = list(self._store.observations(track, pursuit.base.revision))
        if any(one.mask is not None and one.mask.size != timeline.size[::-1] for one in left):
            return None  # the video is another one than it was
        try:
            return compare(pursuit.base, pursuit.human, pursuit.closed, timeline.clock, left)
        except FrameOutOfRange:
            return None

    def _confirm(self, pursuit: Pursuit, before: Before) -> None:
        """Note the masks that have become a human's."""
        track = self._store.track(pursuit.key)
        if track is not None:
            known = self._store.frames(track)
            drawn = [one for one in before.observations.values() if one.human]
            new = [one for one in drawn if (there := known.get(one.frame)) is not None and not there.human]
            self._store.add(pursuit.key, pursuit.revision, new)

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
        texts = notes.finished(frames, timeline, track.remarks)
        results = pursuit.results(frames, timeline, self._keyframe_iou, texts)
        human = [item["frame"] for item in pursuit.human]
        answer = Answer(results, notes.score(frames), texts)
        self._store.finish(pursuit.key, pursuit.revision, answer, human, reach=plan.reach)

    @contextmanager
    def _telling(self, job: Job) -> Iterator[None]:
        """Note an error with each region that is still this job's, for the next press to tell; not where the work was
        cancelled, as when the service stops: then the next start takes it up again."""
        try:
            yield
        except Exception as error:
            if job.goes_on(error):
                raise
            told = reason(error)
            for key, pursuit in self.pursuits.items():
                if job.owns(key) and not job.cancelled():
                    self._store.fail(key, pursuit.revision, told)
            self._end(job)
            raise

    def _end(self, job: Job) -> None:
        if not job.cancelled():
            self._ended(self.pursuits.values())
