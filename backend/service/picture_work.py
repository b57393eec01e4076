"""The work of one press on pictures: fetch them, track the objects from the human's masks in one pass, store what
comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from backend.service import notes
from backend.service.albums import Album, Albums
from backend.service.engine import Engine
from backend.service.failures import reason
from backend.service.jobs import Job
from backend.service.partial import reach_of
from backend.service.picture_prompts import Drawn, digest_of, summary
from backend.service.picture_task import PictureTask
from backend.service.records import Answer, Base, TrackKey
from backend.service.standing import StoredNeighbours
from backend.service.store import Store
from backend.service.timeline import Timeline
from backend.service.tracking_job import OVERHEAD_STEPS
from backend.tracking.stretches import Before
from backend.tracks import Direction, Prompt


@dataclass(frozen=True, eq=False)
class Chase:
    """An object that is tracked: where it is stored, under which revision, from which masks by picture, and what it was
    when it was last complete."""

    key: TrackKey
    revision: int
    drawn: Mapping[int, Drawn]
    base: Base | None

    def prompts(self) -> list[Prompt]:
        """The masks, as they are."""
        return [Prompt(self.key.region, frame, mask=one.mask.array()) for frame, one in sorted(self.drawn.items())]


class PictureWork:
    """Tracks several objects over a task's pictures. ``stage`` says where it is, ``timeline`` is there once known."""

    def __init__(
        self,
        chases: Sequence[Chase],
        task: PictureTask,
        direction: Direction,
        *,
        albums: Albums,
        engine: Engine,
        store: Store,
    ) -> None:
        self.stage = "fetching the pictures"
        self.timeline: Timeline | None = None
        self._chases = {chase.key.region: chase for chase in chases}
        self._task = task
        self._direction = direction
        self._albums = albums
        self._engine = engine
        self._store = store
        self._album: Album | None = None

    def prepare(self, job: Job) -> None:
        """Fetch the pictures, those with prompts first."""
        with self._telling(job):
            marked = sorted({frame for chase in self._chases.values() for frame in chase.drawn})
            album = self._task.album(self._albums, marked[0])
            self.timeline = Timeline.of(album, album.fps)
            for done, frame in enumerate([*marked, *range(len(album))]):
                if job.cancelled():
                    return
                self.stage = f"fetching picture {min(done + 1, len(album))} of {len(album)}"
                album.locate(frame)
            self._album = album
        job.ticket.steps = len(album) + OVERHEAD_STEPS
        self.stage = "waiting for its turn"

    def steps(self, job: Job) -> Iterator[None]:
        """Load the models, track, and store what comes; a step is a picture."""
        album, timeline = self._album, self.timeline
        if album is None or timeline is None:
            return
        with self._telling(job):
            if self._engine.ready(job.worker) is None:
                self.stage = "loading the models"
            yield
            tracker = self._engine.tracker(job.worker)
            self.stage = "tracking"
            known = {name: self._before(chase, album) for name, chase in self._chases.items()}
            for result in tracker.track(
                album,
                [prompt for chase in self._chases.values() for prompt in chase.prompts()],
                direction=self._direction,
                before={name: one for name, one in known.items() if one is not None},
                standing=StoredNeighbours(
                    self._store, [chase.key for chase in self._chases.values()], (album.height, album.width)
                ),
                cancelled=job.cancelled,
            ):
                for observation in result.observations:  # the store drops those that a newer press has overtaken
                    chase = self._chases[observation.object_id]
                    self._store.add(chase.key, chase.revision, [observation])
                yield
            self.stage = "finishing"
            for chase in self._chases.values():
                if job.owns(chase.key) and not job.cancelled():
                    self._finish(chase, timeline, len(album))
                yield

    def _before(self, chase: Chase, album: Album) -> Before | None:
        """What an object's base has left."""
        track = self._store.track(chase.key)
        if chase.base is None or track is None:
            return None
        left = {one.frame: one for one in self._store.observations(track, chase.base.revision)}
        if any(one.mask is not None and one.mask.size != (album.height, album.width) for one in left.values()):
            return None  # the pictures are others than they were
        then = {item["frame"]: item["digest"] for item in chase.base.human}
        changed = {
            frame
            for frame, one in chase.drawn.items()
            if then.get(frame) != one.digest or frame not in left or left[frame].mask is None
        }
        return Before(left, frozenset(changed), frozenset(then.keys() - chase.drawn.keys()))

    def _finish(self, chase: Chase, timeline: Timeline, count: int) -> None:
        track = self._store.track(chase.key)
        if track is None or track.revision != chase.revision:
            return
        counts = {chase.revision} if chase.base is None else {chase.revision, chase.base.revision}
        reach = reach_of(chase.prompts(), self._direction, count)
        frames = {
            frame: found
            for frame, found in self._store.frames(track).items()
            if found.revision in counts and frame in reach
        }
        digests = {
            one.frame: digest_of(one.mask)
            for one in self._store.observations(track)
            if one.frame in frames and one.mask is not None
        }
        answer = Answer(summary(digests), notes.score(frames), notes.finished(frames, timeline, track.remarks))
        self._store.finish(chase.key, chase.revision, answer, list(chase.drawn), reach=reach)

    @contextmanager
    def _telling(self, job: Job) -> Iterator[None]:
        """Note an error with each object that is still this job's, for the next press to tell."""
        try:
            yield
        except Exception as error:
            told = reason(error)
            for chase in self._chases.values():
                # A stop is no fault of theirs, nor is a worker's end.
                if job.owns(chase.key) and not job.cancelled() and not job.goes_on(error):
                    self._store.fail(chase.key, chase.revision, told)
            raise
