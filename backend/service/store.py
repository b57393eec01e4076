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
from pathlib import Path
from typing import Any

from backend.errors import SettingsError
from backend.service import schema
from backend.service.records import Answer, Base, Demand, Emission, Item, Project, StoredFrame, StoredTrack, TrackKey
from backend.tracks import Mask, Observation

DATABASE = "keytrack.db"
"""Its name in the data directory."""

FLUSH_ROWS = 64
FLUSH_SECONDS = 1.0
EMISSIONS_KEPT = 24  # undo, and several annotators who work on copies of one region, go back to older ones


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
        with self._transaction() as db:
            schema.upgrade(db)

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
                "SELECT t.id, project, task, region, label, source, direction, t.human, t.closed, pressed, t.revision, "
                "problem, answer, score, texts, remarks, b.revision, b.human, b.closed, b.sequence "
                f"FROM tracks t LEFT JOIN bases b ON b.track = t.id AND t.answer IS NULL WHERE {where} ORDER BY t.id",
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

        What was last complete becomes the base of the new revision, unless it was made of another source or in another
        direction. ``keep`` also leaves what unfinished revisions have observed since, until newer ones take its place.
        """
        values = (
            demand.label,
            demand.source,
            demand.direction,
            json.dumps(list(demand.human)),
            json.dumps(sorted(demand.closed)),
            press,
        )
        with self._flushed_transaction() as db:
            old = self.track(key)
            (revision,) = db.execute(
                "INSERT INTO tracks "
                "(project, task, region, label, source, direction, human, closed, pressed, revision) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (project, task, region) DO UPDATE SET "
                "label = excluded.label, source = excluded.source, direction = excluded.direction, "
                "human = excluded.human, closed = excluded.closed, pressed = excluded.pressed, "
                "revision = revision + 1, problem = NULL, answer = NULL, score = NULL, texts = NULL "
                "RETURNING revision",
                (key.project, key.task, key.region, *values),
            ).fetchone()
            if old is not None:
                self._rebase(old, demand, keep)
        return int(revision)

    def _rebase(self, old: StoredTrack, demand: Demand, keep: bool) -> None:
        """Settle what a new revision builds on."""
        if (old.demand.source, old.demand.direction) != (demand.source, demand.direction):
            self._connection.execute("DELETE FROM bases WHERE track = ?", (old.id,))
            self._connection.execute("DELETE FROM observations WHERE track = ?", (old.id,))
            self._connection.execute("UPDATE tracks SET remarks = '[]' WHERE id = ?", (old.id,))
            return
        if old.answer is not None:
            human, closed = json.dumps(list(old.demand.human)), json.dumps(sorted(old.demand.closed))
            sequence = json.dumps(old.answer.results[0]["value"]["sequence"])
            self._connection.execute(
                "INSERT OR REPLACE INTO bases (track, revision, human, closed, sequence) VALUES (?, ?, ?, ?, ?)",
                (old.id, old.revision, human, closed, sequence),
            )
        elif not keep:
            self._connection.execute(
                "DELETE FROM observations WHERE track = ? AND revision NOT IN "
                "(SELECT revision FROM bases WHERE track = ?)",
                (old.id, old.id),
            )

    def finish(
        self,
        key: TrackKey,
        revision: int,
        answer: Answer,
        human: Collection[int],
        *,
        reach: range,
    ) -> None:
        """Store a complete track's answer, which counts as handed out: Label Studio may fetch it at any time.

        Frames of the base that this revision did not touch become its own, where they lie in ``reach``, the frames
        that the track goes over; what else older revisions left goes.
        """
        with self._flushed_transaction() as db:
            track = self._current(key, revision)
            if track is not None:
                db.execute(
                    "UPDATE observations SET revision = ? WHERE track = ? AND frame BETWEEN ? AND ? "
                    "AND revision IN (SELECT revision FROM bases WHERE track = ?)",
                    (revision, track, reach.start, reach.stop - 1, track),
                )
                db.execute("DELETE FROM observations WHERE track = ? AND revision <> ?", (track, revision))
                db.execute("DELETE FROM bases WHERE track = ?", (track,))
                db.execute(
                    "UPDATE tracks SET problem = NULL, answer = ?, score = ?, texts = ? WHERE id = ?",
                    (json.dumps(answer.results), answer.score, json.dumps(answer.texts), track),
                )
                self._note_emission(track, answer.results, human)

    def remark(self, key: TrackKey, revision: int, remarks: Sequence[str]) -> None:
        """Replace a track's remarks."""
        with self._transaction() as db:
            track = self._current(key, revision)
            if track is not None:
                db.execute("UPDATE tracks SET remarks = ? WHERE id = ?", (json.dumps(list(remarks)), track))

    def exchange(self, one: StoredTrack, other: StoredTrack, frames: Collection[int], answer: Answer) -> bool:
        """Exchange the observations that the base of ``one`` and the complete track ``other`` have on some frames.

        ``answer`` is what becomes of ``other``, and counts as handed out. False, and nothing done, where a newer press
        has changed either.
        """
        if one.base is None:
            return False
        columns = "frame, score, human, x0, y0, x1, y1, height, width, counts"
        with self._flushed_transaction() as db:
            current = self.track(other.key)
            if self._current(one.key, one.revision) is None or current is None or not current.complete:
                return False
            if current.revision != other.revision:
                return False
            sides = (one.id, one.base.revision), (other.id, other.revision)
            rows = [
                [
                    row
                    for frame in sorted(frames)
                    for row in db.execute(
                        f"SELECT {columns} FROM observations WHERE track = ? AND revision = ? AND frame = ?",
                        (*side, frame),
                    )
                ]
                for side in sides
            ]
            for side, taken in zip(sides, reversed(rows), strict=True):
                db.executemany(
                    f"INSERT OR REPLACE INTO observations (track, revision, {columns}) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [(*side, *row) for row in taken],
                )
            db.execute(
                "UPDATE tracks SET answer = ?, score = ?, texts = ? WHERE id = ?",
                (json.dumps(answer.results), answer.score, json.dumps(answer.texts), other.id),
            )
            self._note_emission(other.id, answer.results, [item["frame"] for item in other.demand.human])
        return True

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
        (closed,) = self._connection.execute("SELECT closed FROM tracks WHERE id = ?", (track,)).fetchone()
        row = (json.dumps(results[0]["value"]["sequence"]), json.dumps(sorted(human)), closed)
        latest = self._connection.execute(
            "SELECT sequence, human, closed FROM emissions WHERE track = ? ORDER BY id DESC LIMIT 1", (track,)
        ).fetchone()
        if latest != row:
            self._connection.execute(
                "INSERT INTO emissions (track, sequence, human, closed) VALUES (?, ?, ?, ?)", (track, *row)
            )
            self._connection.execute(
                "DELETE FROM emissions WHERE track = ? AND id NOT IN "
                "(SELECT id FROM emissions WHERE track = ? ORDER BY id DESC LIMIT ?)",
                (track, track, EMISSIONS_KEPT),
            )

    def emitted(self, key: TrackKey) -> list[Emission]:
        """The sequences last handed out for a track, newest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT e.sequence, e.human, e.closed FROM emissions e JOIN tracks t ON t.id = e.track "
                "WHERE t.project = ? AND t.task = ? AND t.region = ? ORDER BY e.id DESC",
                (key.project, key.task, key.region),
            ).fetchall()
        return [
            Emission(json.loads(sequence), frozenset(json.loads(human)), frozenset(json.loads(closed)))
            for sequence, human, closed in rows
        ]

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

    def observations(self, track: StoredTrack, revision: int | None = None) -> Iterator[Observation]:
        """A track's observations with their masks, by frame; those of one revision, or all."""
        with self._lock:
            self.flush()
            rows = self._connection.execute(
                "SELECT frame, score, human, height, width, counts FROM observations "
                "WHERE track = ? AND revision = coalesce(?, revision) ORDER BY frame",
                (track.id, revision),
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
    pressed, revision, problem, answer, score, texts, remarks, *base = rest
    return StoredTrack(
        id=track,
        key=TrackKey(project, task, region),
        demand=Demand(label, source, direction, json.loads(human), frozenset(json.loads(closed))),
        pressed=pressed,
        revision=revision,
        problem=problem,
        answer=None if answer is None else Answer(json.loads(answer), score, json.loads(texts)),
        base=None if base[0] is None else Base(base[0], *_loaded(*base[1:])),
        remarks=tuple(json.loads(remarks)),
    )


def _loaded(human: str, closed: str, sequence: str) -> tuple[list[Item], frozenset[int], list[Item]]:
    return json.loads(human), frozenset(json.loads(closed)), json.loads(sequence)
