"""What survives a restart: tracks with their observations, what was handed out, and the projects' access.

SQLite with a write-ahead log under the data directory. One connection, one lock, short transactions; the worker's
observations are gathered and written together, at the latest after :data:`FLUSH_SECONDS`. A process that is
killed loses only what was gathered since.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import SettingsError
from backend.tracks import Box, Mask, Observation

SCHEMA_VERSION = 1
FLUSH_ROWS = 64
FLUSH_SECONDS = 1.0
EMISSIONS_KEPT = 8

Item = dict[str, Any]  # one keyframe of a sequence, or one region, as Label Studio writes it

SCHEMA = """
CREATE TABLE projects (
    project TEXT PRIMARY KEY, hostname TEXT NOT NULL, token TEXT NOT NULL, extra TEXT NOT NULL
);
CREATE TABLE tracks (
    id INTEGER PRIMARY KEY, project TEXT NOT NULL, task TEXT NOT NULL, region TEXT NOT NULL,
    label TEXT NOT NULL, source TEXT NOT NULL, direction TEXT NOT NULL, human TEXT NOT NULL, closed TEXT NOT NULL,
    pressed INTEGER NOT NULL, revision INTEGER NOT NULL, problem TEXT, answer TEXT, score REAL, texts TEXT,
    UNIQUE (project, task, region)
);
CREATE TABLE emissions (
    id INTEGER PRIMARY KEY, track INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE,
    sequence TEXT NOT NULL, human TEXT NOT NULL
);
CREATE INDEX emissions_of_track ON emissions (track);
CREATE TABLE observations (
    track INTEGER NOT NULL REFERENCES tracks (id) ON DELETE CASCADE, frame INTEGER NOT NULL,
    revision INTEGER NOT NULL, score REAL NOT NULL, human INTEGER NOT NULL,
    x0 REAL, y0 REAL, x1 REAL, y1 REAL, height INTEGER, width INTEGER, counts BLOB,
    PRIMARY KEY (track, frame)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class TrackKey:
    """Which track: Label Studio's project and task, and the region's id, which is the object's."""

    project: str
    task: str
    region: str


@dataclass(frozen=True)
class Demand:
    """What a press asks for one region.

    ``source`` names all that the result depends on beside the region: the video, its frame rate, the models. ``human``
    are the human's keyframes verbatim; ``closed`` the frames of those among them that end a visible span.
    """

    label: str
    source: str
    direction: str
    human: Sequence[Item]
    closed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Answer:
    """A complete track as Label Studio's results: the region, then its companions; and the notes on it."""

    results: list[Item]
    score: float
    texts: list[str]


@dataclass(frozen=True)
class StoredTrack:
    """A track's row; there is an ``answer`` as soon as it is complete."""

    id: int
    key: TrackKey
    demand: Demand
    pressed: int
    revision: int
    problem: str | None
    answer: Answer | None

    @property
    def complete(self) -> bool:
        """Whether every frame was tracked."""
        return self.answer is not None


@dataclass(frozen=True)
class Emission:
    """A sequence that was handed out, and the frames of the human's keyframes in it."""

    sequence: list[Item]
    human: frozenset[int]


@dataclass(frozen=True)
class StoredFrame:
    """An observation without its mask; ``box`` is None where the object is absent."""

    revision: int
    score: float
    human: bool
    box: Box | None


@dataclass(frozen=True)
class Project:
    """What Label Studio said about a project; ``token`` is a secret and left out of the representation."""

    hostname: str
    token: str
    extra: Any

    def __repr__(self) -> str:
        return f"Project(hostname={self.hostname!r})"


class Store:
    """The database; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            SettingsError: it cannot be created or read there.
        """
        self._lock = threading.RLock()
        self._gathered: list[tuple[Any, ...]] = []
        self._flushed = time.monotonic()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # it holds tokens
            self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"KEYTRACK_DATA_DIR / --data-dir: tracks cannot be stored in {path}: {error}; "
                "give a writable directory, or move that file away"
            ) from error

    def _prepare(self) -> None:
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            with self._transaction() as db:
                for statement in filter(str.strip, SCHEMA.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise sqlite3.DatabaseError(f"its layout is version {version}, this program writes {SCHEMA_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _flushed_transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees everything that was gathered."""
        with self._lock:
            self.flush()
            with self._transaction() as db:
                yield db

    def close(self) -> None:
        """Write what is gathered and close; a closed store stays closed."""
        with self._lock:
            self.flush()
            self._connection.close()

    # Projects

    def remember_project(self, project: str, access: Project) -> None:
        """Keep a project's address and token, over older ones."""
        row = (project, access.hostname, access.token, json.dumps(access.extra))
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO projects (project, hostname, token, extra) VALUES (?, ?, ?, ?)", row)

    def project(self, project: str) -> Project | None:
        """What was last remembered of a project."""
        with self._lock:
            row = self._connection.execute(
                "SELECT hostname, token, extra FROM projects WHERE project = ?", (project,)
            ).fetchone()
        return None if row is None else Project(row[0], row[1], json.loads(row[2]))

    # Tracks

    def track(self, key: TrackKey) -> StoredTrack | None:
        """One track's row."""
        rows = self._tracks("project = ? AND task = ? AND region = ?", (key.project, key.task, key.region))
        return rows[0] if rows else None

    def tracks(self, project: str, task: str) -> list[StoredTrack]:
        """All tracks of a task, in the order in which they were first asked for."""
        return self._tracks("project = ? AND task = ?", (project, task))

    def _tracks(self, where: str, values: tuple[Any, ...]) -> list[StoredTrack]:
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, project, task, region, label, source, direction, human, closed, pressed, revision, "
                f"problem, answer, score, texts FROM tracks WHERE {where} ORDER BY id",
                values,
            ).fetchall()
        return [_stored_track(row) for row in rows]

    def next_press(self) -> int:
        """A number for a press, higher than any before it."""
        with self._lock:
            (latest,) = self._connection.execute("SELECT coalesce(max(pressed), 0) FROM tracks").fetchone()
        return int(latest) + 1

    def touch(self, key: TrackKey, press: int, label: str) -> None:
        """Note that a press sent this track again and asked for nothing new."""
        with self._transaction() as db:
            db.execute(
                "UPDATE tracks SET pressed = ?, label = ? WHERE project = ? AND task = ? AND region = ?",
                (press, label, key.project, key.task, key.region),
            )

    def begin(self, key: TrackKey, press: int, demand: Demand, *, keep: bool) -> int:
        """Start a track, or start it anew after a change; returns its revision.

        ``keep`` leaves the older revision's observations in place until newer ones take theirs.
        """
        columns = (
            demand.label,
            demand.source,
            demand.direction,
            json.dumps(list(demand.human)),
            json.dumps(sorted(demand.closed)),
            press,
        )
        with self._flushed_transaction() as db:
            (track, revision) = db.execute(
                "INSERT INTO tracks "
                "(project, task, region, label, source, direction, human, closed, pressed, revision) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (project, task, region) DO UPDATE SET "
                "label = excluded.label, source = excluded.source, direction = excluded.direction, "
                "human = excluded.human, closed = excluded.closed, pressed = excluded.pressed, "
                "revision = revision + 1, problem = NULL, answer = NULL, score = NULL, texts = NULL "
                "RETURNING id, revision",
                (key.project, key.task, key.region, *columns),
            ).fetchone()
            if not keep:
                db.execute("DELETE FROM observations WHERE track = ?", (track,))
        return int(revision)

    def finish(self, key: TrackKey, revision: int, answer: Answer, human: Collection[int]) -> None:
        """Store a complete track's answer, which counts as handed out: Label Studio may fetch it at any time.

        What older revisions left on frames that this one did not reach goes.
        """
        with self._flushed_transaction() as db:
            track = self._current(key, revision)
            if track is not None:
                db.execute("DELETE FROM observations WHERE track = ? AND revision <> ?", (track, revision))
                db.execute(
                    "UPDATE tracks SET problem = NULL, answer = ?, score = ?, texts = ? WHERE id = ?",
                    (json.dumps(answer.results), answer.score, json.dumps(answer.texts), track),
                )
                self._note_emission(track, answer.results, human)

    def fail(self, key: TrackKey, revision: int, problem: str | None) -> None:
        """Remember why a track could not be made or finished; None forgets it."""
        with self._transaction() as db:
            track = self._current(key, revision)
            if track is not None:
                db.execute("UPDATE tracks SET problem = ? WHERE id = ?", (problem, track))

    def _current(self, key: TrackKey, revision: int) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM tracks WHERE project = ? AND task = ? AND region = ? AND revision = ?",
            (key.project, key.task, key.region, revision),
        ).fetchone()
        return None if row is None else int(row[0])

    # What was handed out

    def emit(self, key: TrackKey, revision: int, results: Sequence[Item], human: Collection[int]) -> bool:
        """Note a region's results as handed out; False, and nothing noted, where a newer press changed the track."""
        with self._transaction() as db:
            track = self._current(key, revision)
            if track is None:
                return False
            db.execute(
                "UPDATE tracks SET answer = ? WHERE id = ? AND answer IS NOT NULL", (json.dumps(list(results)), track)
            )
            self._note_emission(track, results, human)
        return True

    def _note_emission(self, track: int, results: Sequence[Item], human: Collection[int]) -> None:
        row = (json.dumps(results[0]["value"]["sequence"]), json.dumps(sorted(human)))
        latest = self._connection.execute(
            "SELECT sequence, human FROM emissions WHERE track = ? ORDER BY id DESC LIMIT 1", (track,)
        ).fetchone()
        if latest != row:
            self._connection.execute("INSERT INTO emissions (track, sequence, human) VALUES (?, ?, ?)", (track, *row))
            self._connection.execute(
                "DELETE FROM emissions WHERE track = ? AND id NOT IN "
                "(SELECT id FROM emissions WHERE track = ? ORDER BY id DESC LIMIT ?)",
                (track, track, EMISSIONS_KEPT),
            )

    def emitted(self, key: TrackKey) -> list[Emission]:
        """The sequences last handed out for a track, newest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT e.sequence, e.human FROM emissions e JOIN tracks t ON t.id = e.track "
                "WHERE t.project = ? AND t.task = ? AND t.region = ? ORDER BY e.id DESC",
                (key.project, key.task, key.region),
            ).fetchall()
        return [Emission(json.loads(sequence), frozenset(json.loads(human))) for sequence, human in rows]

    # Observations

    def add(self, key: TrackKey, revision: int, observations: Iterable[Observation]) -> None:
        """Gather observations of a track; those of a revision that is no longer current are dropped."""
        with self._lock:
            self._gathered.extend(_row(key, revision, observation) for observation in observations)
            if len(self._gathered) >= FLUSH_ROWS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        with self._lock:
            self._flushed = time.monotonic()
            if not self._gathered:
                return
            with self._transaction() as db:
                db.executemany(
                    "INSERT OR REPLACE INTO observations "
                    "(track, frame, revision, score, human, x0, y0, x1, y1, height, width, counts) "
                    "SELECT id, ?, revision, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tracks "
                    "WHERE project = ? AND task = ? AND region = ? AND revision = ?",
                    self._gathered,
                )
            self._gathered.clear()  # not before they are safe

    def frames(self, track: StoredTrack) -> dict[int, StoredFrame]:
        """A track's observations by frame (decode index), without their masks."""
        with self._lock:
            self.flush()
            rows = self._connection.execute(
                "SELECT frame, revision, score, human, x0, y0, x1, y1 FROM observations WHERE track = ? ORDER BY frame",
                (track.id,),
            ).fetchall()
        return {
            frame: StoredFrame(revision, score, bool(human), None if x0 is None else (x0, y0, x1, y1))
            for frame, revision, score, human, x0, y0, x1, y1 in rows
        }

    def observations(self, track: StoredTrack) -> Iterator[Observation]:
        """A track's observations with their masks, by frame."""
        with self._lock:
            self.flush()
            rows = self._connection.execute(
                "SELECT frame, score, human, height, width, counts FROM observations WHERE track = ? ORDER BY frame",
                (track.id,),
            ).fetchall()
        for frame, score, human, height, width, counts in rows:
            mask = None if counts is None else Mask((height, width), counts)
            yield Observation(track.key.region, frame, mask, score, bool(human))


def _row(key: TrackKey, revision: int, observation: Observation) -> tuple[Any, ...]:
    box = observation.box or (None, None, None, None)
    mask = observation.mask
    size, counts = ((None, None), None) if mask is None else (mask.size, mask.counts)
    values = (observation.frame, observation.score, observation.human, *box, *size, counts)
    return (*values, key.project, key.task, key.region, revision)


def _stored_track(row: tuple[Any, ...]) -> StoredTrack:
    (track, project, task, region, label, source, direction, human, closed, *rest) = row
    pressed, revision, problem, answer, score, texts = rest
    return StoredTrack(
        id=track,
        key=TrackKey(project, task, region),
        demand=Demand(label, source, direction, json.loads(human), frozenset(json.loads(closed))),
        pressed=pressed,
        revision=revision,
        problem=problem,
        answer=None if answer is None else Answer(json.loads(answer), score, json.loads(texts)),
    )
