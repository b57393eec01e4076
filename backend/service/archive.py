"""The store read beside the service: by a connection of its own, which neither waits for the worker nor holds it up."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backend.errors import SettingsError
from backend.export.kept_masks import KeptTrack
from backend.labelstudio.hosts import unsigned
from backend.labelstudio.media import LOCAL_FILES
from backend.labelstudio.media_folder import media_parts, media_stem
from backend.service import schema
from backend.service.records import Item, TrackKey
from backend.tracks import Box, Mask

_PICTURES = re.compile(r"\d+ pictures [0-9a-f]{64}")  # see backend.service.picture_task

BLOCK = 32
"""Masks that are read at a time."""

_COLUMNS = "id, project, task, region, label, source, direction, human, pressed, revision, problem, answer IS NOT NULL"


@dataclass(frozen=True)
class Entry:
    """A track without its observations.

    Attributes:
        id: the store's.
        key: which track.
        label: its class.
        video: the task's value that named the video, or what tells its pictures from others.
        frame_rate: by which Label Studio counts; None is its default.
        direction: in which it is tracked.
        drawn: the Label Studio frames that a human drew.
        pressed: which press sent it last; later ones have higher numbers.
        revision: counts how often it was asked for anew.
        problem: why it was not made, or not finished.
        complete: whether every frame was tracked.
    """

    id: int
    key: TrackKey
    label: str
    video: str
    frame_rate: float | None
    direction: str
    drawn: tuple[int, ...]
    pressed: int
    revision: int
    problem: str | None
    complete: bool

    @property
    def of_pictures(self) -> bool:
        """Whether it is a track over a task's pictures, of no video."""
        return _PICTURES.fullmatch(self.video) is not None

    @property
    def title(self) -> str:
        """What was tracked, as its owner knows it: the video's file without its address, which may hold a signature."""
        if self.of_pictures:
            return self.video.rpartition(" ")[0]
        video = self.video if LOCAL_FILES in self.video else unsigned(self.video)
        return f"{media_stem(video) or 'video'}{Path(next(reversed(media_parts(video)), '')).suffix}"


class Archive:
    """Opens a store's file to read.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def open(self) -> Iterator[Snapshot]:
        """The store as it is now: what changes until the end of the block is not seen. For one thread.

        Raises:
            SettingsError: there is no store, it cannot be read, or it is of another version.
        """
        connection = self._connect()
        try:
            yield Snapshot(connection)
        finally:
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        """A connection in a transaction, so that it sees one state."""
        try:
            address = f"{self._path.absolute().as_uri()}?mode=ro"
            connection = sqlite3.connect(address, uri=True, timeout=10, isolation_level=None)
        except sqlite3.Error as error:
            raise self._unreadable(str(error)) from error
        try:
            connection.execute("BEGIN")
            (found,) = connection.execute("PRAGMA user_version").fetchone()
            if found != schema.VERSION:
                raise self._unreadable(
                    f"its layout is version {found}, this program reads {schema.VERSION}; serve of this version brings "
                    "an older one up to date"
                )
        except sqlite3.Error as error:
            connection.close()
            raise self._unreadable(str(error)) from error
        except SettingsError:
            connection.close()
            raise
        return connection

    def _unreadable(self, reason: str) -> SettingsError:
        reason = reason if self._path.exists() else "there is none"
        return SettingsError(
            f"KEYTRACK_DATA_DIR / --data-dir: the store of tracks {self._path} cannot be read: {reason}; give the data "
            "directory of the backend that tracked"
        )


class Snapshot:
    """A store at one moment; see :meth:`Archive.open`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def entries(self, project: str | None = None, task: str | None = None, *, tasks: int | None = None) -> list[Entry]:
        """The tracks that the last press on their class brought, the task that was pressed for last first; a task's in
        the order in which they were first asked for.

        Args:
            project: of one project alone.
            task: of one task alone.
            tasks: of so many tasks at most.
        """
        recent = self._connection.execute(
            "SELECT project, task FROM tracks WHERE project = coalesce(?, project) AND task = coalesce(?, task) "
            "GROUP BY project, task ORDER BY max(pressed) DESC LIMIT ?",
            (project, task, -1 if tasks is None else tasks),
        ).fetchall()
        return [entry for one in recent for entry in self._of_task(*one)]

    def entry(self, key: TrackKey) -> Entry | None:
        """One track, whether the last press brought it or not."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM tracks WHERE project = ? AND task = ? AND region = ?",  # noqa: S608
            (key.project, key.task, key.region),
        ).fetchone()
        return None if row is None else _entry(row)

    def _of_task(self, project: str, task: str) -> list[Entry]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM tracks WHERE project = ? AND task = ? ORDER BY id",  # noqa: S608
            (project, task),
        ).fetchall()
        found = [_entry(row) for row in rows]
        latest: dict[str, int] = {}
        for entry in found:
            latest[entry.label] = max(entry.pressed, latest.get(entry.label, 0))
        return [entry for entry in found if entry.pressed == latest[entry.label]]

    def count_tasks(self) -> int:
        """How many tasks have tracks."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM (SELECT DISTINCT project, task FROM tracks)"
        ).fetchone()
        return int(count)

    def count_frames(self, entry: Entry) -> int:
        """How many frames of a track were observed, under its revision: none of those of an older one that are left."""
        (count,) = self._connection.execute(
            "SELECT count(*) FROM observations WHERE track = ? AND revision = ?", (entry.id, entry.revision)
        ).fetchone()
        return int(count)

    def is_correction(self, entry: Entry) -> bool:
        """Whether a track builds on what it was when it was last complete."""
        return self._connection.execute("SELECT 1 FROM bases WHERE track = ?", (entry.id,)).fetchone() is not None

    def boxes(self, entry: Entry) -> dict[int, Box]:
        """The masks' boxes, without specks, by decode index, where the object shows."""
        rows = self._connection.execute(
            "SELECT frame, x0, y0, x1, y1 FROM observations WHERE track = ? AND x0 IS NOT NULL ORDER BY frame",
            (entry.id,),
        )
        return {frame: (x0, y0, x1, y1) for frame, x0, y0, x1, y1 in rows}

    def masks(self, entry: Entry) -> Mapping[int, Mask]:
        """The masks by decode index, where the object shows; each is read when it is asked for."""
        return _Masks(self._connection, entry.id)

    def results(self, entry: Entry) -> list[Item]:
        """A complete track as it was handed out last, the region and its companions; else nothing."""
        (answer,) = self._connection.execute("SELECT answer FROM tracks WHERE id = ?", (entry.id,)).fetchone()
        results: list[Item] = json.loads(answer or "[]")
        return results

    def texts(self, entry: Entry) -> list[str]:
        """The notes on a complete track."""
        (texts,) = self._connection.execute("SELECT texts FROM tracks WHERE id = ?", (entry.id,)).fetchone()
        found: list[str] = json.loads(texts or "[]")
        return found

    def hostname(self, project: str) -> str:
        """Where a project's Label Studio says it is; empty where that is not known."""
        row = self._connection.execute("SELECT hostname FROM projects WHERE project = ?", (project,)).fetchone()
        return "" if row is None else str(row[0])

    def find(self, project: str, task: str, region: str) -> KeptTrack | None:
        """See :class:`backend.export.kept_masks.MaskSource`."""
        entry = self.entry(TrackKey(project, task, region))
        if entry is None:
            return None
        results = self.results(entry)
        items = results[0]["value"]["sequence"] if results and not entry.of_pictures else None
        return KeptTrack(entry.video, items, self.masks(entry))


class _Masks(Mapping[int, Mask]):
    """A track's masks, in the file. Most readers go through them in order, so that some are read ahead: each query
    hands the interpreter to other threads, and a tracker is slow to give it back."""

    def __init__(self, connection: sqlite3.Connection, track: int) -> None:
        self._connection = connection
        self._track = track
        self._block: dict[int, Mask] = {}

    @cached_property
    def _frames(self) -> dict[int, None]:
        rows = self._connection.execute(
            "SELECT frame FROM observations WHERE track = ? AND height IS NOT NULL ORDER BY frame", (self._track,)
        )
        return dict.fromkeys(frame for (frame,) in rows)

    def __getitem__(self, frame: int) -> Mask:
        if frame not in self._block:
            rows = self._connection.execute(
                "SELECT frame, height, width, counts FROM observations "
                "WHERE track = ? AND frame BETWEEN ? AND ? AND counts IS NOT NULL",
                (self._track, frame, frame + BLOCK - 1),
            ).fetchall()
            self._block = {index: Mask((height, width), counts) for index, height, width, counts in rows}
        return self._block[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(self._frames)

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self._frames


def _entry(row: tuple[Any, ...]) -> Entry:
    (track, project, task, region, label, source, direction, human, pressed, revision, problem, complete) = row
    video, frame_rate = _video_of(source)
    return Entry(
        id=track,
        key=TrackKey(project, task, region),
        label=label,
        video=video,
        frame_rate=frame_rate,
        direction=direction,
        drawn=tuple(item["frame"] for item in json.loads(human)),
        pressed=pressed,
        revision=revision,
        problem=problem,
        complete=bool(complete),
    )


def _video_of(source: str) -> tuple[str, float | None]:
    """What :func:`backend.service.interactive.source_of` was made of; of other sources, all that there is."""
    try:
        video, frame_rate, _ = json.loads(source)
    except (ValueError, TypeError):
        return source, None
    return (video, frame_rate) if isinstance(video, str) else (source, None)
