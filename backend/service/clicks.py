"""A click on a picture: the mask of what was clicked on, refined click by click."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from backend.errors import KeytrackError, PayloadError, PromptError
from backend.labelstudio.edits import Item
from backend.labelstudio.picture_marks import Marks, mask_region, region_id
from backend.service.albums import Album, Albums
from backend.service.click_memory import Asked, ClickMemory, Made
from backend.service.click_objects import Shown, find_asked
from backend.service.engine import Engine
from backend.service.jobs import Job, Jobs
from backend.service.picture_task import PictureTask
from backend.service.records import still_there
from backend.service.store import Store
from backend.tracks import Mask

log = logging.getLogger(__name__)

AHEAD = (1, -1, 2, 3, 4)
"""Which pictures after a click's own are encoded while there is nothing else to do, the likeliest next one first."""


class Clicks:
    """Clicks on the tasks of all projects. Its methods may be called from any thread."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        albums: Albums,
        engine: Engine,
        memory: ClickMemory,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._albums = albums
        self._engine = engine
        self._memory = memory
        self._clock = clock

    def click(self, task: PictureTask, marks: Marks, deadline: float) -> list[Item]:
        """The masks of what is marked, and those that are suggested already: Label Studio drops what a reply lacks.

        A newer click on the task takes the place of an older one. Nothing comes back of what is not done at
        ``deadline`` (of ``time.monotonic``); the next click finds it done.

        Raises:
            MediaError, VideoError: the picture cannot be had.
            PayloadError: it is not of the size that was clicked on.
            PromptError: nothing can be made out there.
        """
        made = self._memory.of(task.project, task.task)
        pending = task.pending(self._memory, self._clock())
        asked = find_asked(marks, made, lambda frame: self._shown(task, pending, frame))
        if not asked:
            return []
        work = _Clicking(task, asked, made, self._albums, self._engine, self._memory, self._clock)
        key, place = ("click", task.project, task.task), (task.project, task.task)
        name = f"a click on task {task.task} of project {task.project}"
        job = self._jobs.submit(name, work, [key], place=place, moves=True)
        self._jobs.wait({key: job}, deadline)
        if isinstance(job.error, KeytrackError):
            raise job.error
        if work.album is not None and job.error is None:
            ahead = _Ahead(work.album, asked[-1].frame, self._engine)
            self._jobs.submit(f"pictures ahead of task {task.task}", ahead, [("ahead", *place)], idle=True, place=place)
        anew = {one.asked.object_id for one in work.made}
        others = [one for one in pending if one.asked.object_id not in anew]
        return [
            mask_region(
                one.asked.object_id,
                one.asked.frame,
                one.mask.array(),
                one.asked.label,
                task.config,
                score=one.score,
                region=one.asked.region,
            )
            for one in (*work.made, *others)
        ]

    def _shown(self, task: PictureTask, pending: Sequence[Made], frame: int) -> list[Shown]:
        """The masks on a picture, each object's latest: suggested, saved, or tracked."""
        found: dict[str, Shown] = {}
        for one in reversed(pending):
            if one.asked.frame == frame:
                asked = one.asked
                found.setdefault(asked.object_id, Shown(asked.object_id, asked.region, asked.label, one.mask))
        for mark in task.saved.masks if task.saved is not None else ():
            if mark.index == frame and mark.object_id not in found:
                mask = Mask.from_array(mark.mask())
                found[mark.object_id] = Shown(mark.object_id, mark.id, mark.label, mask)
        tracks = [track for track in still_there(self._store.tracks(task.project, task.task)) if track.complete]
        labels = {track.key.region: track.demand.label for track in tracks}
        for seen in self._store.observations_at(tracks, frame):
            if seen.mask is not None and seen.object_id not in found:
                region = region_id(seen.object_id, frame)
                found[seen.object_id] = Shown(seen.object_id, region, labels[seen.object_id], seen.mask)
        return list(found.values())


class _Clicking:
    """Answers what is asked on the worker. ``made`` are the answers so far, ``album`` is there once it is open."""

    def __init__(
        self,
        task: PictureTask,
        asked: Sequence[Asked],
        known: Sequence[Made],
        albums: Albums,
        engine: Engine,
        memory: ClickMemory,
        clock: Callable[[], float],
    ) -> None:
        self.made: list[Made] = []
        self.album: Album | None = None
        self._task = task
        self._asked = asked
        self._known = {(one.asked.object_id, one.asked.frame): one for one in known}
        self._albums = albums
        self._engine = engine
        self._memory = memory
        self._clock = clock

    def prepare(self, job: Job) -> None:
        """Fetch the pictures, and see that they are what was clicked on."""
        album = self._task.album(self._albums, self._asked[-1].frame)
        for one in self._asked:
            if one.size != (album.width, album.height):
                raise PayloadError(
                    f"context.result: picture {one.frame + 1} is {one.size[0]} x {one.size[1]} pixels in the browser, "
                    f"and picture {self._asked[-1].frame + 1} of the task {album.width} x {album.height}; all of a "
                    "task have to be of one size"
                )
            album.locate(one.frame)
        self.album = album
        job.ticket.steps = len(self._asked)

    def steps(self, job: Job) -> Iterator[None]:
        """A step is an object on a picture."""
        album = self.album
        if album is None:
            return
        self.made.clear()  # where it is begun again
        tracker = self._engine.tracker(job.worker)
        for one in self._asked:
            known = self._known.get((one.object_id, one.frame))
            if known is not None and one.says_the_same(known.asked):
                self.made.append(known)
                continue
            logits = known.logits if known is not None and one.goes_on_from(known.asked) else None
            found = tracker.click(album, one.prompt, logits)
            mask = Mask.from_array(one.limit(found.mask))
            if mask.box is None:
                raise PromptError(
                    f"picture {one.frame + 1}: nothing is left of the mask after that click; delete the mask instead"
                )
            made = Made(one, mask, found.score, found.logits, self._clock())
            self._memory.put(self._task.project, self._task.task, made)
            self.made.append(made)
            yield


class _Ahead:
    """Encodes the pictures that are likely to be clicked on next."""

    def __init__(self, album: Album, frame: int, engine: Engine) -> None:
        self._album = album
        self._frames = [frame + step for step in AHEAD if 0 <= frame + step < len(album)]
        self._engine = engine

    def prepare(self, job: Job) -> None:
        """Fetch them."""
        for frame in self._frames:
            if job.cancelled():
                return
            self._album.locate(frame)

    def steps(self, job: Job) -> Iterator[None]:
        """A step is a picture."""
        tracker = self._engine.tracker(job.worker)
        for frame in self._frames:
            if not tracker.prepared(self._album, frame):
                tracker.prepare(self._album, frame)
                yield
