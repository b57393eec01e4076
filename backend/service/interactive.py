"""A press of the Track button: what changed is tracked anew, what is done by the deadline is returned."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from backend.errors import BusyError, KeytrackError, StorageError, UnavailableError
from backend.labelstudio.edits import Item, same_keyframe, split_human
from backend.labelstudio.hosts import shown
from backend.labelstudio.regions import Region, replace_sequence
from backend.service import notes
from backend.service.engine import Engine
from backend.service.jobs import Job, Jobs
from backend.service.presses import KeptPress, PressBody
from backend.service.pursuit import Pursuit
from backend.service.readers import Readers
from backend.service.records import Demand, Emission, StoredFrame, StoredTrack, TrackKey
from backend.service.store import Store
from backend.service.tracking_job import TrackingWork

logger = logging.getLogger(__name__)


def source_of(name: str, frame_rate: float | None, model_version: str) -> str:
    """The source of a track: its video, by name, the frame rate it is counted at, and the models."""
    return json.dumps([name, frame_rate, model_version])


@dataclass(frozen=True)
class Footage:
    """The video of a task: how it is named, how to get it, and the frame rate that Label Studio takes for it."""

    name: str
    fetch: Callable[[], Path]
    frame_rate: float | None

    @property
    def shown(self) -> str:
        """The name as a log may show it: without a query, which may hold a signature, and without a password."""
        return shown(self.name)

    def source(self, model_version: str) -> str:
        """All that a track depends on beside its region; with another source, stored results are stale."""
        return source_of(self.name, self.frame_rate, model_version)


@dataclass(frozen=True, eq=False)
class Reply:
    """A region's results after a press, its score where it has been tracked, and whether that is all of its track.

    ``over``: nothing more comes of this press for it: it is complete, it failed, or a newer press asks for it.
    """

    results: list[Item]
    score: float | None = None
    complete: bool = False
    over: bool = False


Ended = Callable[[str, str, Collection[int]], None]
"""Told of a project and a task whose tracks were worked on, and of the presses on them that somebody waits for."""


class Interactive:
    """Presses on the tasks of all projects; ``ended`` is called where the work that one began is at its end."""

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        readers: Readers,
        engine: Engine,
        *,
        model_version: str,
        keyframe_iou: float,
        ended: Ended,
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._readers = readers
        self._engine = engine
        self._model_version = model_version
        self._keyframe_iou = keyframe_iou
        self._ended = ended
        self._deciding = threading.Lock()  # held while presses are compared with the store, never during work
        self._waited: set[int] = set()  # presses whose work somebody waits for, or is about to

    def press(
        self,
        project: str,
        task: str,
        regions: Sequence[Region],
        footage: Footage,
        deadline: float,
        *,
        body: PressBody,
        annotator: Hashable = None,
    ) -> tuple[int, list[Reply]]:
        """Track ``regions``, all of one class; returns the press's number, and a reply for each, in their order.

        Regions that changed since they were last handed out are tracked in one new job, which replaces older jobs
        for the same regions. What is not done at ``deadline`` (of ``time.monotonic``) goes on in the background, and
        the next press returns it. A region that cannot be tracked comes back as it was, with a note that says why.
        The press is kept as it came, in the ``body``, until somebody drops it. All that an ``annotator`` wants has one
        share of the work, where it is known who that is.
        """
        press = 0
        try:
            with self._deciding:
                demands = self._demands(project, task, regions, footage)
                # A process that is killed has stored all of a press, or the older ones are as they were.
                with self._store.together():
                    press = self._store.next_press()
                    pursuits, wanted = self._ask(demands, press)
                    self._store.presses.keep(KeptPress(project, task, press, body))
                self._waited.add(press)  # before the work begins, which may be done in no time
                jobs, refused = self._begin(pursuits, wanted, footage, self._submitter(project, task, owner=annotator))
            if jobs:
                self._jobs.wait(jobs, deadline)
            self._waited.discard(press)  # and only then is looked what there is to answer
            return press, [
                _verbatim(pursuit.region, notes.problem(refused, {}, 0, None))
                if refused is not None and pursuit in wanted
                else self._reply(pursuit, jobs.get(pursuit.key))
                for pursuit in pursuits
            ]
        except StorageError as error:  # to be said at the regions: of a failed request the page shows nothing
            logger.error("task %s of project %s: %s", task, project, error)
            return press, [_verbatim(region, notes.problem(str(error), {}, 0, None)) for region in regions]
        finally:
            self._waited.discard(press)

    def resume(self, project: str, task: str, regions: Sequence[Region], footage: Footage, press: int) -> None:
        """Go on with what was pressed for, under the number that it has: idle work, which has its turns when there is
        nothing else to do.

        Raises:
            UnavailableError: the service is stopping, or too much waits.
            StorageError: the store cannot be used.
        """
        with self._deciding:
            demands = self._demands(project, task, regions, footage)
            with self._store.together():
                pursuits, wanted = self._ask(demands, press)
            _, refused = self._begin(pursuits, wanted, footage, self._submitter(project, task, idle=True))
        if refused is not None:
            raise UnavailableError(refused)

    def _submitter(self, project: str, task: str, **further: Any) -> Callable[..., Job]:
        name, place = f"task {task} of project {project}", (project, task)
        return partial(self._jobs.submit, name, place=place, moves=True, **further)

    def _demands(
        self, project: str, task: str, regions: Sequence[Region], footage: Footage
    ) -> list[tuple[TrackKey, Region, Demand]]:
        """What is asked for each region, compared with what was handed out."""
        source = footage.source(self._model_version)
        keys = [(TrackKey(project, task, region.id), region) for region in regions]
        return [
            (key, region, _demand(region, self._store.track(key), self._store.emitted(key), source))
            for key, region in keys
        ]

    def _ask(
        self, demands: Sequence[tuple[TrackKey, Region, Demand]], press: int
    ) -> tuple[list[Pursuit], list[Pursuit]]:
        """Store what is asked for: all, and those that have to be tracked and are not being tracked."""
        pursuits: list[Pursuit] = []
        wanted: list[Pursuit] = []
        for key, region, demand in demands:
            stored = self._store.track(key)
            if stored is not None and _same(demand, stored.demand):
                revision = stored.revision
                at_work = self._jobs.owner(key) is not None
                self._store.touch(key, press, demand.label)
            else:
                keep = stored is not None and _builds_on(demand, stored.demand)
                revision = self._store.begin(key, press, demand, keep=keep)
                stored = self._store.track(key)
                at_work = False
            base = stored.base if stored is not None else None
            pursuits.append(Pursuit(key, revision, region, tuple(demand.human), demand.closed, base))
            if not at_work and (stored is None or not stored.complete):
                wanted.append(pursuits[-1])
                self._store.fail(key, revision, None)
        return pursuits, wanted

    def _begin(
        self, pursuits: Sequence[Pursuit], wanted: Sequence[Pursuit], footage: Footage, submit: Callable[..., Job]
    ) -> tuple[dict[Hashable, Job], str | None]:
        """Submit a job for those that are wanted: the jobs at work, by track, and why there is none for those."""
        owners = {pursuit.key: self._jobs.owner(pursuit.key) for pursuit in pursuits if pursuit not in wanted}
        jobs: dict[Hashable, Job] = {key: job for key, job in owners.items() if job is not None}
        if wanted:
            neighbours = [pursuit for pursuit in pursuits if pursuit not in wanted and pursuit.key not in jobs]
            try:
                job = self._submit(wanted, neighbours, footage, submit)
            except BusyError as error:  # to be said at the regions: of a failed request the page shows nothing
                return jobs, str(error)
            jobs.update(dict.fromkeys((pursuit.key for pursuit in wanted), job))
        return jobs, None

    def _submit(
        self,
        pursuits: Sequence[Pursuit],
        neighbours: Sequence[Pursuit],
        footage: Footage,
        submit: Callable[..., Job],
    ) -> Job:
        work = TrackingWork(
            pursuits,
            neighbours,
            footage.fetch,
            footage.frame_rate,
            engine=self._engine,
            readers=self._readers,
            store=self._store,
            keyframe_iou=self._keyframe_iou,
            ended=self._tell_end,
        )
        job = submit(work, [pursuit.key for pursuit in pursuits])
        logger.info("job %d: %s, %d region(s) of %s", job.number, job.name, len(pursuits), footage.shown)
        return job

    def _tell_end(self, pursuits: Collection[Pursuit]) -> None:
        tracks = [self._store.track(pursuit.key) for pursuit in pursuits]
        presses = {track.pressed for track in tracks if track is not None} & self._waited
        for project, task in {(pursuit.key.project, pursuit.key.task) for pursuit in pursuits}:
            self._ended(project, task, presses)

    def _reply(self, pursuit: Pursuit, job: Job | None) -> Reply:
        track = self._store.track(pursuit.key)
        if track is None or track.revision != pursuit.revision:  # a newer press took over; it will answer
            return _verbatim(pursuit.region, over=True)
        if track.answer is not None:
            human = {item["frame"]: item for item in pursuit.human}
            stored = track.answer.results[0]["value"]
            sequence = [human.get(item["frame"], item) for item in stored["sequence"]]
            item = replace_sequence(
                pursuit.region,
                sequence,
                frame_count=stored["framesCount"],
                duration=stored["duration"],
                score=track.answer.score,
                texts=track.answer.texts,
            )
            results = [item, *pursuit.region.companions]
            return self._hand_out(pursuit, Reply(results, track.answer.score, complete=True, over=True))
        return self._unfinished(pursuit, track, job)

    def _unfinished(self, pursuit: Pursuit, track: StoredTrack, job: Job | None) -> Reply:
        work = job.work if job is not None and isinstance(job.work, TrackingWork) else None
        timeline = work.timeline if work is not None else None
        frames = self._on_show(track)
        if track.problem is not None:
            text = notes.problem(track.problem, frames, track.revision, timeline)
        elif timeline is None or all(found.revision != track.revision for found in frames.values()):
            text = notes.progress(work.stage if work is not None else "waiting for its turn")
        else:
            text = notes.partial(frames, track.revision, timeline, again=track.base is not None)
        over = track.problem is not None
        if timeline is None or not frames:
            return _verbatim(pursuit.region, text, over=over)
        try:
            results = pursuit.results(frames, timeline, self._keyframe_iou, [text, *timeline.warnings, *track.remarks])
        except KeytrackError as error:
            return _verbatim(pursuit.region, notes.problem(str(error), {}, track.revision, None), over=over)
        return self._hand_out(pursuit, Reply(results, notes.score(frames), over=over))

    def _on_show(self, track: StoredTrack) -> dict[int, StoredFrame]:
        """A track's frames; without those of the base where nothing that it rests on still holds."""
        frames = self._store.frames(track)
        if track.base is None or _share(track.demand.human, track.base.human):
            return frames
        return {frame: found for frame, found in frames.items() if found.revision != track.base.revision}

    def _hand_out(self, pursuit: Pursuit, reply: Reply) -> Reply:
        human = [item["frame"] for item in pursuit.human]
        if self._store.emit(pursuit.key, pursuit.revision, reply.results, human, complete=reply.complete):
            return reply
        return _verbatim(pursuit.region, over=True)


def _verbatim(region: Region, *texts: str, over: bool = False) -> Reply:
    """The region as it came, with notes."""
    item = replace_sequence(region, region.raw["value"]["sequence"], texts=texts) if texts else region.raw
    return Reply([item, *region.companions], over=over)


def _demand(region: Region, stored: StoredTrack | None, emissions: Sequence[Emission], source: str) -> Demand:
    """What the press asks for: which keyframes are the human's is found by comparing with what was handed out."""
    handed_out, known, closed = _recognised(region, stored, emissions)
    edits = split_human(region.items, handed_out, known)
    return Demand(
        label=region.labels[0] if region.labels else "",
        source=source,
        direction=region.direction,
        human=edits.human,
        closed=edits.closed | closed,
    )


def _recognised(
    region: Region, stored: StoredTrack | None, emissions: Sequence[Emission]
) -> tuple[list[Item], frozenset[int], frozenset[int]]:
    """What was handed out at the region's keyframes, the frames of those that are still a human's, and of those among
    them that end a visible span.

    Not the last emission alone counts: a reply may never have arrived, an undo brings back an older one, and nothing in
    a press tells one annotator from another, who may both work on copies of a region. A keyframe that is like none of
    theirs was changed, or added, in the one that the region is most like, the latest of several.
    """
    emitted = [({item["frame"]: item for item in one.sequence}, one.human, one.closed) for one in emissions]
    asked = []
    if stored is not None:
        drawn = {item["frame"]: item for item in stored.demand.human}
        asked.append((drawn, frozenset(drawn), stored.demand.closed))
    held = max([*emitted, *asked], key=lambda one: _agreeing(region.items, one[0]), default=None)
    handed_out: list[Item] = []
    known: set[int] = set()
    closed: set[int] = set()
    for item in region.items:
        frame = item["frame"]
        same = next((one for one in [*asked, *emitted] if _agreeing([item], one[0])), None)
        before = same or held
        if before is None or frame not in before[0]:
            continue
        sequence, human, shut = before
        handed_out.append(sequence[frame])
        if same is not None and frame in human:
            known.add(frame)
        if frame in shut and not item["enabled"]:  # also where its box was drawn anew
            closed.add(frame)
    return handed_out, frozenset(known), frozenset(closed)


def _agreeing(items: Sequence[Item], past: Mapping[int, Item]) -> int:
    """How many keyframes are as they were, by frame, in the past."""
    return sum(item["frame"] in past and same_keyframe(item, past[item["frame"]]) for item in items)


def _same(a: Demand, b: Demand) -> bool:
    """Whether two demands ask for the same track; a class or a note may have changed."""
    return (
        (a.source, a.direction, a.closed) == (b.source, b.direction, b.closed)
        and len(a.human) == len(b.human)
        and all(same_keyframe(one, other) for one, other in zip(a.human, b.human, strict=True))
    )


def _builds_on(new: Demand, old: Demand) -> bool:
    """Whether older results are worth showing until newer ones come: part of what they rest on still holds."""
    return (new.source, new.direction) == (old.source, old.direction) and _share(new.human, old.human)


def _share(human: Sequence[Item], others: Sequence[Item]) -> bool:
    return any(same_keyframe(one, other) for one in human for other in others)
