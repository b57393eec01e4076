"""A click with Track: every object that has a mask is tracked over the pictures, as far as it was not before."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from backend.labelstudio.edits import Item
from backend.labelstudio.picture_marks import mask_region, named
from backend.labelstudio.regions import NOTE
from backend.service import notes
from backend.service.albums import Albums
from backend.service.click_memory import ClickMemory
from backend.service.engine import Engine
from backend.service.jobs import Job, Jobs
from backend.service.picture_prompts import Wanted, digest, find_wanted, summary
from backend.service.picture_task import PictureTask
from backend.service.picture_work import Chase, PictureWork
from backend.service.records import Demand, StoredTrack, TrackKey
from backend.service.store import Store
from backend.tracks import Direction, Observation

logger = logging.getLogger(__name__)

NO_PROMPT = "no mask of it was clicked or painted by a human; click on it, or paint one, where it shows"


@dataclass(frozen=True, eq=False)
class _Pursued:
    """An object of a press, and the revision under which it is stored; None where there is nothing to track from."""

    key: TrackKey
    wanted: Wanted
    revision: int | None


class PictureTracks:
    """Presses on the tasks of all projects."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        albums: Albums,
        engine: Engine,
        memory: ClickMemory,
        *,
        model_version: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._albums = albums
        self._engine = engine
        self._memory = memory
        self._model_version = model_version
        self._clock = clock
        self._deciding = threading.Lock()  # held while presses are compared with the store, never during work

    def press(self, task: PictureTask, direction: Direction, deadline: float) -> list[Item]:
        """Track all objects that have masks, in one job; the masks of all pictures as far as they are done.

        What is not done at ``deadline`` (of ``time.monotonic``) goes on in the background, and the next press returns
        it. A human's masks come back as they are, with the name of their object.

        Raises:
            PayloadError: a mask that was saved is none.
        """
        saved = task.saved.masks if task.saved is not None else ()
        pending = task.pending(self._memory, self._clock())
        wanted = find_wanted(task.project, task.task, saved, pending, self._store)
        with self._deciding:
            pursued, jobs = self._begin(task, wanted, direction)
        if jobs:
            self._jobs.wait(jobs, deadline)
        return [item for one in pursued for item in self._reply(task, one, jobs.get(one.key))]

    def _begin(
        self, task: PictureTask, every: Sequence[Wanted], direction: Direction
    ) -> tuple[list[_Pursued], dict[Hashable, Job]]:
        """Compare with the store, and submit a job for what has to be tracked; the jobs at work, by track."""
        press = self._store.next_press()
        source = task.source(self._model_version)
        pursued: list[_Pursued] = []
        chases: list[Chase] = []
        jobs: dict[Hashable, Job] = {}
        for wanted in every:
            key = TrackKey(task.project, task.task, wanted.object_id)
            if not wanted.drawn:
                pursued.append(_Pursued(key, wanted, None))
                continue
            demand = Demand(wanted.label or "", source, direction, wanted.human)
            stored = self._store.track(key)
            if stored is not None and _same(demand, stored.demand):
                revision, owner = stored.revision, self._jobs.owner(key)
                self._store.touch(key, press, demand.label)
            else:
                keep = stored is not None and _builds_on(demand, stored.demand)
                revision, owner = self._store.begin(key, press, demand, keep=keep), None
                stored = self._store.track(key)
            pursued.append(_Pursued(key, wanted, revision))
            if owner is not None:
                jobs[key] = owner
            elif stored is None or not stored.complete:
                chases.append(Chase(key, revision, wanted.drawn, stored.base if stored is not None else None))
        if chases:
            jobs.update(dict.fromkeys([chase.key for chase in chases], self._submit(chases, task, direction)))
        return pursued, jobs

    def _submit(self, chases: Sequence[Chase], task: PictureTask, direction: Direction) -> Job:
        for chase in chases:
            self._store.fail(chase.key, chase.revision, None)
        work = PictureWork(chases, task, direction, albums=self._albums, engine=self._engine, store=self._store)
        name = f"task {task.task} of project {task.project}"
        keys, place = [chase.key for chase in chases], (task.project, task.task)
        job = self._jobs.submit(name, work, keys, place=place, moves=True)
        logger.info("job %d: %s, %d object(s) over %d pictures", job.number, name, len(chases), len(task.addresses))
        return job

    def _reply(self, task: PictureTask, one: _Pursued, job: Job | None) -> list[Item]:
        """An object's masks on all pictures: the human's as they are, the others as they were tracked."""
        track = self._store.track(one.key)
        if one.revision is None:
            marks = sorted(one.wanted.saved.values(), key=lambda mark: mark.index)
            return [named(mark, _noted(mark.raw, [f"not tracked: {NO_PROMPT}"])) for mark in marks]
        if track is None or track.revision != one.revision:  # a newer press took over; it will answer
            return _humans(task, one.wanted, [])
        texts = self._texts(track, job)
        items = _humans(task, one.wanted, texts)
        handed_out: dict[int, str] = {}
        for seen in self._store.observations(track):
            if seen.frame in one.wanted.drawn:
                continue
            item = _tracked(task, one.wanted, seen, texts)
            if item is not None:
                items.append(item)
                handed_out[seen.frame] = digest(item["value"]["rle"])
        self._store.emit(one.key, one.revision, summary(handed_out), list(one.wanted.drawn))
        return sorted(items, key=lambda item: int(item["item_index"]))

    def _texts(self, track: StoredTrack, job: Job | None) -> list[str]:
        """What there is to tell of a track."""
        if track.answer is not None:
            return list(track.answer.texts)
        work = job.work if job is not None and isinstance(job.work, PictureWork) else None
        timeline = work.timeline if work is not None else None
        frames = self._store.frames(track)
        if track.problem is not None:
            return [notes.problem(track.problem, frames, track.revision, timeline)]
        if timeline is None or all(found.revision != track.revision for found in frames.values()):
            return [notes.progress(work.stage if work is not None else "waiting for its turn")]
        return [notes.partial(frames, track.revision, timeline, again=track.base is not None)]


def _humans(task: PictureTask, wanted: Wanted, texts: Sequence[str]) -> list[Item]:
    """The human's masks of an object, as they are."""
    items = []
    for frame, drawn in sorted(wanted.drawn.items()):
        if drawn.mark is not None:
            items.append(named(drawn.mark, _noted(drawn.mark.raw, texts)))
        elif drawn.made is not None:
            asked = drawn.made.asked
            items.append(
                mask_region(
                    wanted.object_id,
                    frame,
                    drawn.mask.array(),
                    asked.label,
                    task.config,
                    score=drawn.made.score,
                    texts=_noted({}, texts),
                    region=asked.region,
                )
            )
    return items


def _tracked(task: PictureTask, wanted: Wanted, seen: Observation, texts: Sequence[str]) -> Item | None:
    """The region of a tracked mask; an empty one where the object is not, and Label Studio has a mask that it was
    handed out before; None where there is nothing to show."""
    saved = wanted.saved.get(seen.frame)
    if seen.mask is not None:
        array = seen.mask.array()
    elif saved is not None:
        array = np.zeros(saved.size[::-1], bool)
    else:
        return None
    return mask_region(
        wanted.object_id,
        seen.frame,
        array,
        saved.label if saved is not None else wanted.label,
        task.config,
        score=seen.score,
        texts=_noted(saved.raw if saved is not None else {}, texts),
        region=saved.id if saved is not None else None,
    )


def _noted(raw: Mapping[str, object], texts: Sequence[str]) -> list[str]:
    """A human's own notes on a region, then the backend's."""
    meta = raw.get("meta")
    own = meta.get("text") if isinstance(meta, Mapping) else None
    kept = (
        [text for text in own if isinstance(text, str) and not text.startswith(NOTE)] if isinstance(own, list) else []
    )
    return [*kept, *(NOTE + text for text in texts)]


def _same(a: Demand, b: Demand) -> bool:
    """Whether two demands ask for the same track; the class may have changed."""
    return (a.source, a.direction, list(a.human)) == (b.source, b.direction, list(b.human))


def _builds_on(new: Demand, old: Demand) -> bool:
    """Whether older results are worth showing until newer ones come: part of what they rest on still holds."""
    return (new.source, new.direction) == (old.source, old.direction) and any(item in old.human for item in new.human)
