"""What goes on, for people who look: the work under way, and the tracks that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import SecretStr

from backend.export.colours import bright_colours
from backend.labelstudio.hosts import shown
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.memory import device_bytes, resident_bytes
from backend.service.archive import Archive, Entry, Snapshot
from backend.service.engine import Choice, Engine
from backend.service.jobs import Job, Jobs
from backend.service.picture_work import PictureWork
from backend.service.records import TrackKey
from backend.service.store import DATABASE, Store
from backend.service.thumbnails import Thumbnails, pictured
from backend.service.track_files import TrackFiles
from backend.service.tracking_job import TrackingWork
from backend.service.workers import WorkerState
from backend.settings import Settings

RECENT_TASKS = 12

State = Literal["tracking", "complete", "stopped", "interrupted"]


@dataclass(frozen=True)
class Progress:
    """How many frames of how many are done; ``total`` is None where that is not known."""

    done: int
    total: int | None


@dataclass(frozen=True)
class JobRow:
    """A job: what it is about, where it is, and who waits for it."""

    name: str
    stage: str
    pace: str
    progress: Progress | None


@dataclass(frozen=True)
class TrackRow:
    """A track; ``text`` is what its notes say first, or why it is not complete, ``colour`` the one that it has in the
    picture, if it is there."""

    region: str
    label: str
    state: State
    text: str
    progress: Progress | None
    colour: str | None


@dataclass(frozen=True)
class TaskCard:
    """A task with its tracks.

    Attributes:
        project, task: Label Studio's.
        video: its file's name, or how many pictures there are.
        link: the task in Label Studio; empty where its address is not known.
        tracks: in the order in which they were first asked for.
        files: whether they can be downloaded.
        complete: whether all tracks are.
        picture: what tells its picture from earlier ones; None where there is none.
    """

    project: str
    task: str
    video: str
    link: str
    tracks: Sequence[TrackRow]
    files: bool
    complete: bool
    picture: str | None


@dataclass(frozen=True)
class Status:
    """All that the page shows; memory in bytes, of the device what is taken and what there is."""

    model_version: str
    choice: Choice
    models_loaded: bool
    memory: int
    device_memory: tuple[int, int] | None
    workers: Sequence[WorkerState]
    jobs: Sequence[JobRow]
    tasks: Sequence[TaskCard]
    task_count: int


class Overview:
    """Reads beside the service: it waits neither for the worker nor for the models.

    Attributes:
        files: makes tracks into files.
        thumbnails: makes pictures of tasks.
    """

    def __init__(
        self,
        settings: Settings,
        choice: Choice,
        model_version: str,
        *,
        store: Store,
        jobs: Jobs,
        engine: Engine,
        media: MediaLibrary,
    ) -> None:
        self._choice = choice
        self._model_version = model_version
        self._store = store
        self._jobs = jobs
        self._engine = engine
        self._media = media
        self._closed = False
        self._archive = Archive(settings.data_dir / DATABASE)
        self.files = TrackFiles(
            self._archive, settings.data_dir / "outgoing", self._fetch, self._is_busy, lambda: self._closed
        )
        self.thumbnails = Thumbnails(self._archive, self._at_hand)

    def close(self) -> None:
        """End the files that are being made."""
        self._closed = True

    def status(self) -> Status:
        """What goes on now, with the tasks that were pressed for last."""
        with self._archive.open() as store:
            jobs = [self._job(store, job) for job in self._jobs.live()]
            entries: dict[tuple[str, str], list[Entry]] = {}
            for entry in store.entries(tasks=RECENT_TASKS):
                entries.setdefault((entry.key.project, entry.key.task), []).append(entry)
            return Status(
                model_version=self._model_version,
                choice=self._choice,
                models_loaded=self._engine.loaded,
                memory=resident_bytes(),
                device_memory=device_bytes(self._choice.device),
                workers=self._jobs.workers(),
                jobs=jobs,
                tasks=[self._card(store, one) for one in entries.values()],
                task_count=store.count_tasks(),
            )

    def tracks(self, project: str | None = None, task: str | None = None, *, tasks: int) -> list[dict[str, Any]]:
        """The tracks of at most so many tasks, the one that was pressed for last first, for JSON."""
        with self._archive.open() as store:
            return [
                {
                    "project": entry.key.project,
                    "task": entry.key.task,
                    "region": entry.key.region,
                    "label": entry.label,
                    "state": self._state(entry),
                    "frames": store.count_frames(entry),
                    "revision": entry.revision,
                    "video": entry.title,
                    "problem": entry.problem,
                }
                for entry in store.entries(project, task, tasks=tasks)
            ]

    def _card(self, store: Snapshot, entries: Sequence[Entry]) -> TaskCard:
        key = entries[0].key
        shown = pictured(entries)
        colours = {
            one.key.region: "#{:02x}{:02x}{:02x}".format(*colour)
            for one, colour in zip(shown, bright_colours(len(shown)), strict=True)
        }
        hostname = store.hostname(key.project)
        has_picture = bool(shown) and self._at_hand(hostname, shown[0].video) is not None
        latest = max(entries, key=lambda entry: entry.pressed)
        complete = all(entry.complete for entry in entries)
        return TaskCard(
            project=key.project,
            task=key.task,
            video=latest.title,
            link=_link(hostname, key),
            tracks=[self._row(store, entry, colours.get(entry.key.region)) for entry in entries],
            files=complete and not latest.of_pictures,
            complete=complete,
            picture="-".join(str(one.id) + "." + str(one.revision) for one in shown) if has_picture else None,
        )

    def _row(self, store: Snapshot, entry: Entry, colour: str | None) -> TrackRow:
        state = self._state(entry)
        if state == "complete":
            text, progress = next(iter(store.texts(entry)), ""), None
        elif state == "tracking":
            job = self._jobs.owner(entry.key)
            progress = _progress(store, entry, job)
            text = _stage(job) if job is not None and not progress.done else ""
        else:
            text, progress = entry.problem or "the next press takes it up again", None
        return TrackRow(entry.key.region, entry.label, state, text, progress, colour)

    def _job(self, store: Snapshot, job: Job) -> JobRow:
        entries = [store.entry(key) for key in job.keys if isinstance(key, TrackKey)]
        found = [_progress(store, entry, job) for entry in entries if entry is not None]
        totals = [one.total for one in found if one.total is not None]
        total = sum(totals) if len(totals) == len(found) else None
        progress = Progress(sum(one.done for one in found), total) if found else None
        pace = "somebody waits for it" if job.waiters else "when there is nothing else to do" if job.idle else ""
        return JobRow(job.name, _stage(job), pace, progress)

    def _state(self, entry: Entry) -> State:
        if entry.complete:
            return "complete"
        if self._is_busy(entry.key):
            return "tracking"
        return "interrupted" if entry.problem is None else "stopped"

    def _is_busy(self, key: TrackKey) -> bool:
        return self._jobs.owner(key) is not None

    def _at_hand(self, hostname: str, video: str) -> Path | None:
        return self._media.at_hand(video, LabelStudioAccess(hostname) if hostname else None)

    def _fetch(self, project: str, video: str) -> Path:
        known = self._store.project(project)
        if known is None or not known.hostname:
            return self._media.resolve(video)
        token = SecretStr(known.token) if known.token else None
        return self._at_hand(known.hostname, video) or self._media.resolve(
            video, LabelStudioAccess(known.hostname, token)
        )


def _progress(store: Snapshot, entry: Entry, job: Job | None) -> Progress:
    """A track's, as far as it is stored; a correction's total is not known, as it ends where it meets the old track."""
    timeline = job.work.timeline if job is not None and isinstance(job.work, TrackingWork | PictureWork) else None
    done = store.count_frames(entry)
    if timeline is None or not entry.drawn or store.is_correction(entry):
        return Progress(done, None)
    if entry.of_pictures:
        return Progress(done, timeline.clock.frame_count if entry.direction == "both" else None)
    first = timeline.clock.index(min(entry.drawn)) if entry.direction == "forward" else 0
    last = timeline.clock.index(max(entry.drawn)) if entry.direction == "backward" else timeline.shown[-1]
    return Progress(min(done, last - first + 1), last - first + 1)


def _stage(job: Job) -> str:
    stage = getattr(job.work, "stage", None)  # not every work has several
    return stage or {"preparing": "getting ready", "running": "at work"}.get(job.status, "waiting for its turn")


def _link(hostname: str, key: TrackKey) -> str:
    if not hostname.startswith(("http://", "https://")):
        return ""
    return f"{shown(hostname).rstrip('/')}/projects/{quote(key.project, safe='')}/data?task={quote(key.task, safe='')}"
