"""The tracks of a task as files to download: what ``export`` writes of them, with the masks that are kept."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from types import MappingProxyType

from backend.errors import MediaError, NotKeptError, UnavailableError, UnfinishedError, VideoError
from backend.export.dataset import Dataset
from backend.export.formats import FORMATS
from backend.export.media import Media
from backend.export.names import file_names
from backend.export.notes import Notes
from backend.export.reading import Choices, LabelledTask, Reading
from backend.export.studio_tasks import read_tasks
from backend.export.writing import Options, make_directory
from backend.labelstudio.exported import Labelling, Task
from backend.labelstudio.in_use import media_in_use
from backend.labelstudio.results import parse_results
from backend.service.archive import Archive, Entry, Snapshot
from backend.service.records import TrackKey
from backend.service.zipping import CHUNK, zipped
from backend.video.clock import DEFAULT_FRAME_RATE
from backend.video.shelf import VideoShelf

logger = logging.getLogger(__name__)

MOST_WAITING = 4  # files that are being made or wait for it, one at a time; each holds a thread of the server
STALE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Kind:
    """A file that can be asked for: the format of ``export``, and which of its files it is, None for all of them."""

    format: str
    mimetype: str
    file: str | None = None


KINDS = MappingProxyType(
    {
        "davis.zip": Kind("davis", "application/zip"),
        "coco.json": Kind("coco-video", "application/json", "train/instances.json"),
        "mot.txt": Kind("mot", "text/plain", "*/gt/gt.txt"),
    }
)
"""By the name under which they are asked for."""


class TrackFile:
    """A file that was made: an iterator of its bytes. What lies on the disk for it goes at its end, or when it is
    closed.

    Attributes:
        name: under which it is saved.
        mimetype: what it is.
        notes: what is missing in it, in sentences for the user.
    """

    def __init__(
        self, name: str, mimetype: str, chunks: Iterator[bytes], directory: Path, notes: Sequence[str]
    ) -> None:
        self.name = name
        self.mimetype = mimetype
        self.notes = notes
        self._chunks = chunks
        self._directory = directory

    def __iter__(self) -> TrackFile:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            self.close()
            raise

    def close(self) -> None:
        """Remove what lies on the disk; idempotent."""
        rmtree(self._directory, ignore_errors=True)


class TrackFiles:
    """Makes such files, one at a time, on the disk.

    Args:
        archive: the tracks.
        directory: for what is being made; made when it is needed.
        find: the video's file for a project and the task's value.
        busy: whether somebody is at work on a track.
        cancelled: asked now and then; True ends it.
    """

    def __init__(
        self,
        archive: Archive,
        directory: Path,
        find: Callable[[str, str], Path],
        busy: Callable[[TrackKey], bool],
        cancelled: Callable[[], bool],
    ) -> None:
        self._archive = archive
        self._directory = directory
        self._find = find
        self._busy = busy
        self._cancelled = cancelled
        self._places = threading.BoundedSemaphore(MOST_WAITING)
        self._turn = threading.Lock()

    def make(self, kind: str, project: str, task: str, region: str | None = None, *, partly: bool = False) -> TrackFile:
        """A file of a task's tracks, those that the last press on their class brought, or of one region's.

        Args:
            kind: one of :data:`KINDS`.
            project: Label Studio's.
            task: Label Studio's.
            region: of this region alone.
            partly: leave out tracks that are not complete.

        Raises:
            NotKeptError: there is no such track.
            UnfinishedError: one is not complete.
            UnavailableError: too many files are being made, the video cannot be had, or the service is stopping.
            OutputError: the format cannot hold the tracks, or the disk is full.
        """
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"{MOST_WAITING} files are being made already; ask again in a minute")
        try:
            with self._turn, media_in_use(), self._archive.open() as store:
                entries = self._chosen(store, project, task, region, partly)
                return self._made(store, entries, kind)
        finally:
            self._places.release()

    def _chosen(self, store: Snapshot, project: str, task: str, region: str | None, partly: bool) -> list[Entry]:
        """The tracks that are asked for, all complete and of one video: that of the last press."""
        name = f"task {task} of project {project}"
        if region is None:
            entries = store.entries(project, task)
        else:
            entry = store.entry(TrackKey(project, task, region))
            entries = [] if entry is None else [entry]
            name = f"region {region} of {name}"
        if not entries:
            raise NotKeptError(f"no track is kept of {name}; GET /tracks lists those that are")
        video = max(entries, key=lambda entry: entry.pressed).video
        entries = [entry for entry in entries if entry.video == video]
        left = [entry for entry in entries if not entry.complete]
        complete = [entry for entry in entries if entry.complete]
        if left and (not partly or not complete):
            raise UnfinishedError(
                f"{name}: {'; '.join(self._state(entry) for entry in left)}. "
                "Ask again later, or for what is complete by ?unfinished=skip"
            )
        return complete

    def _state(self, entry: Entry) -> str:
        track = f"the track {' '.join(filter(None, (entry.label, entry.key.region)))}"
        if self._busy(entry.key):
            return f"{track} is being made"
        return f"{track} is not complete ({entry.problem or 'it was interrupted; the next press takes it up again'})"

    def _made(self, store: Snapshot, entries: Sequence[Entry], kind: str) -> TrackFile:
        chosen, of = KINDS[kind], FORMATS[KINDS[kind].format]
        key = entries[0].key
        notes = Notes()
        make_directory(self._directory)
        self._sweep()
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        with ExitStack() as undo:
            undo.callback(rmtree, directory, ignore_errors=True)
            with VideoShelf() as shelf:
                dataset = self._dataset(store, entries, shelf, notes, masked=of.needs_masks)
            done = dataset and of.write(dataset, directory, Options(pictures=None), cancelled=self._cancelled)
            if done is None:
                raise UnavailableError("the service is stopping; ask again once it is back")
            chunks = zipped(directory) if chosen.file is None else _read(next(directory.glob(chosen.file)))
            undo.pop_all()
        (name,) = file_names([f"project-{key.project}-task-{key.task}-{kind}"])
        return TrackFile(name, chosen.mimetype, chunks, directory, list(notes.lines()))

    def _dataset(
        self, store: Snapshot, entries: Sequence[Entry], shelf: VideoShelf, notes: Notes, *, masked: bool
    ) -> Dataset | None:
        """The tracks as if Label Studio had exported them, with their masks."""
        key, video = entries[0].key, entries[0].video
        if entries[0].of_pictures:
            raise NotKeptError(
                f"task {key.task} of project {key.project} has pictures and no video: its masks are in Label Studio; "
                "export its project"
            )
        results = [store.results(entry)[0] for entry in entries]
        task = Task(
            id=key.task,
            project=key.project,
            name=key.task,
            data={results[0]["to_name"]: video},
            path="",
            annotation=None,
            prediction=None,
            hidden_predictions=False,
        )
        labelled = LabelledTask(task, Labelling(results, "result"), parse_results(results, "result"))
        rate = entries[0].frame_rate or DEFAULT_FRAME_RATE
        choices = Choices(frame_rate=rate, pictures=False, masked_only=masked)
        found = _Found(lambda value: self._find(key.project, value))
        try:
            return read_tasks([labelled], Reading(choices, found, shelf, notes, self._cancelled, store))
        except (MediaError, VideoError) as error:
            raise UnavailableError(f"the video that was tracked cannot be had: {error}") from error

    def _sweep(self) -> None:
        """Remove what a process left behind that was killed."""
        oldest = time.time() - STALE_SECONDS
        for directory in self._directory.iterdir():
            with suppress(OSError):
                if directory.stat().st_mtime < oldest:
                    rmtree(directory, ignore_errors=True)


class _Found(Media):
    """Wherever the service finds videos."""

    def __init__(self, find: Callable[[str], Path]) -> None:
        super().__init__(None, None)
        self._find = find

    def find(self, value: str) -> Path:
        """The video's file."""
        return self._find(value)


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
