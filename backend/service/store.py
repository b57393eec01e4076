"""What survives a restart: tracks with their observations, what was handed out, and the projects' access.

SQLite with a write-ahead log under the data directory. One connection, one lock, short transactions; the worker's
observations are gathered and written together (``observations.py``), at the latest after a second. A process that is
killed loses only what was gathered since.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backend.service.database import Database
from backend.service.observations import Observations, exchange, insert, values_of
from backend.service.parcels import Parcels
from backend.service.presses import Presses
from backend.service.records import (
    FIRST_REVISION,
    Answer,
    Base,
    Demand,
    Emission,
    Item,
    NewTrack,
    Project,
    StoredFrame,
    StoredTrack,
    TrackKey,
)
from backend.tracks import Observation

DATABASE = "keytrack.db"
"""Its name in the data directory."""

EMISSIONS_KEPT = 24  # undo, and several annotators who work on copies of one region, go back to older ones


class Store:
    """The database; safe to use from any thread."""

    def __init__(self, path: Path) -> None:
        """Open or create the database at ``path``.

        Raises:
            SettingsError: it cannot be created or read there.
        """
        self._database = Database(path)
        self._observations = Observations(self._database)
        self.presses = Presses(self._database)
        self.parcels = Parcels(self._database)

    @contextmanager
    def together(self) -> Iterator[sqlite3.Connection]:
        """What is stored inside is stored as one, whatever ends the process, or, where something raises, not at all."""
        with self._database.lock:
            self._observations.flush()
            with self._database.transaction() as db:
                yield db

    def close(self) -> None:
        """Write what is gathered and close; a closed store stays closed."""
        with self._database.lock:
            self._observations.flush()
            self._database.close()

    # Projects

    def remember_project(self, project: str, access: Project) -> None:
        """Keep a project's address and token, over older ones."""
        row = (project, access.hostname, access.token, json.dumps(access.extra))
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO projects (project, hostname, token, extra) VALUES (?, ?, ?, ?)", row)

    def project(self, project: str) -> Project | None:
        """What was last remembered of a project."""
        row = self._database.one("SELECT hostname, token, extra FROM projects WHERE project = ?", (project,))
        return None if row is None else Project(row[0], row[1], json.loads(row[2]))

    # Tracks

    def track(self, key: TrackKey) -> StoredTrack | None:
        """One track's row."""
        rows = self._tracks(key.project, key.task, key.region)
        return rows[0] if rows else None

    def tracks(self, project: str, task: str) -> list[StoredTrack]:
        """All tracks of a task, in the order in which they were first asked for."""
        return self._tracks(project, task)

    def _tracks(self, project: str, task: str, region: str | None = None) -> list[StoredTrack]:
        rows = self._database.all(
            "SELECT t.id, project, task, region, label, source, direction, t.human, t.closed, pressed, t.revision, "
            "problem, answer, score, texts, remarks, b.revision, b.human, b.closed, b.sequence "
            "FROM tracks t LEFT JOIN bases b ON b.track = t.id AND t.answer IS NULL "
            "WHERE project = ? AND task = ? AND region = coalesce(?, region) ORDER BY t.id",
            (project, task, region),
        )
        return [_stored_track(row) for row in rows]

    def next_press(self) -> int:
        """A number for a press, higher than any before it."""
        (latest,) = self._database.one(
            "SELECT max((SELECT coalesce(max(pressed), 0) FROM tracks), (SELECT coalesce(max(number), 0) FROM presses))"
        )
        return int(latest) + 1

    def touch(self, key: TrackKey, press: int, label: str) -> None:
        """Note that a press sent this track again and asked for nothing new."""
        with self._database.transaction() as db:
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
        with self.together() as db:
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
                _rebase(db, old, demand, keep)
        return int(revision)

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
        with self.together() as db:
            track = _current(db, key, revision)
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
                _note_emission(db, track, answer.results, human)

    def keep_all(
        self,
        project: str,
        task: str,
        source: str,
        tracks: Sequence[NewTrack],
        *,
        since: int,
        instead_of: Collection[str] = (),
    ) -> bool:
        """Store all that was found in a task without a press, in one transaction; it counts as handed out.

        Args:
            project: Label Studio's.
            task: Label Studio's.
            source: what the tracks depend on.
            tracks: what was found.
            since: the press, as :meth:`next_press` gives it, that would have been the next one when this was begun.
            instead_of: regions whose older tracks go; see :meth:`forget`.

        Returns:
            False, and nothing done, where a track of this source was stored or pressed for since: that goes before.
        """
        rows = [[values_of(observation) for observation in track.observations] for track in tracks]
        with self.together() as db:
            if db.execute(
                "SELECT 1 FROM tracks WHERE project = ? AND task = ? AND source = ? AND pressed >= ?",
                (project, task, source, since),
            ).fetchone():
                return False
            _forget(db, project, task, instead_of, since)
            press = self.next_press()
            for track, observed in zip(tracks, rows, strict=True):
                answer = track.answer
                (number,) = db.execute(
                    "INSERT INTO tracks (project, task, region, label, source, direction, human, closed, pressed, "
                    "revision, answer, score, texts) VALUES (?, ?, ?, ?, ?, 'both', '[]', '[]', ?, ?, ?, ?, ?) "
                    "RETURNING id",
                    (
                        *(project, task, track.region, track.label, source, press, FIRST_REVISION),
                        *(json.dumps(answer.results), answer.score, json.dumps(answer.texts)),
                    ),
                ).fetchone()
                insert(db, number, FIRST_REVISION, observed)
                _note_emission(db, number, answer.results, ())
        return True

    def forget(self, project: str, task: str, regions: Collection[str], *, since: int) -> None:
        """Remove tracks; those stay in which a human has, or had, a keyframe, and those of the press ``since`` or of a
        later one."""
        with self.together() as db:
            _forget(db, project, task, regions, since)

    def remark(self, key: TrackKey, revision: int, remarks: Sequence[str]) -> None:
        """Replace a track's remarks."""
        with self._database.transaction() as db:
            track = _current(db, key, revision)
            if track is not None:
                db.execute("UPDATE tracks SET remarks = ? WHERE id = ?", (json.dumps(list(remarks)), track))

    def exchange(self, one: StoredTrack, other: StoredTrack, frames: Collection[int], answer: Answer) -> bool:
        """Exchange the observations that the base of ``one`` and the complete track ``other`` have on some frames.

        ``answer`` is what becomes of ``other``, and counts as handed out. False, and nothing done, where a newer press
        has changed either.
        """
        if one.base is None:
            return False
        with self.together() as db:
            current = self.track(other.key)
            if _current(db, one.key, one.revision) is None or current is None or not current.complete:
                return False
            if current.revision != other.revision:
                return False
            sides = (one.id, one.base.revision), (other.id, other.revision)
            exchange(db, sides, frames)
            db.execute(
                "UPDATE tracks SET answer = ?, score = ?, texts = ? WHERE id = ?",
                (json.dumps(answer.results), answer.score, json.dumps(answer.texts), other.id),
            )
            _note_emission(db, other.id, answer.results, [item["frame"] for item in other.demand.human])
        return True

    def fail(self, key: TrackKey, revision: int, problem: str | None) -> None:
        """Remember why a track could not be made or finished; None forgets it."""
        with self._database.transaction() as db:
            track = _current(db, key, revision)
            if track is not None:
                db.execute("UPDATE tracks SET problem = ? WHERE id = ?", (problem, track))

    # What was handed out

    def emit(
        self, key: TrackKey, revision: int, results: Sequence[Item], human: Collection[int], *, complete: bool = True
    ) -> bool:
        """Note a region's results as handed out; False, and nothing noted, where a newer press changed the track.

        Those that are not ``complete`` leave the track's answer alone: it may have come since they were put together.
        """
        with self._database.transaction() as db:
            track = _current(db, key, revision)
            if track is None:
                return False
            if complete:
                db.execute(
                    "UPDATE tracks SET answer = ? WHERE id = ? AND answer IS NOT NULL",
                    (json.dumps(list(results)), track),
                )
            _note_emission(db, track, results, human)
        return True

    def emitted(self, key: TrackKey) -> list[Emission]:
        """The sequences last handed out for a track, newest first."""
        rows = self._database.all(
            "SELECT e.sequence, e.human, e.closed FROM emissions e JOIN tracks t ON t.id = e.track "
            "WHERE t.project = ? AND t.task = ? AND t.region = ? ORDER BY e.id DESC",
            (key.project, key.task, key.region),
        )
        return [
            Emission(json.loads(sequence), frozenset(json.loads(human)), frozenset(json.loads(closed)))
            for sequence, human, closed in rows
        ]

    # Observations

    def add(self, key: TrackKey, revision: int, observations: Iterable[Observation]) -> None:
        """Gather observations of a track; those of a revision that is no longer current are dropped."""
        self._observations.add(key, revision, observations)

    def flush(self) -> None:
        """Write what is gathered."""
        self._observations.flush()

    def frames(self, track: StoredTrack) -> dict[int, StoredFrame]:
        """A track's observations by frame (decode index), without their masks."""
        return self._observations.frames(track)

    def observations(self, track: StoredTrack, revision: int | None = None) -> Iterator[Observation]:
        """A track's observations with their masks, by frame; those of one revision, or all."""
        return self._observations.masks(track, revision)

    def observations_at(self, tracks: Sequence[StoredTrack], frame: int) -> Iterator[Observation]:
        """What complete tracks have on one frame; nothing of those that a newer press has changed."""
        return self._observations.at(tracks, frame)


def _rebase(db: sqlite3.Connection, old: StoredTrack, demand: Demand, keep: bool) -> None:
    """Settle what a new revision builds on."""
    if (old.demand.source, old.demand.direction) != (demand.source, demand.direction):
        db.execute("DELETE FROM bases WHERE track = ?", (old.id,))
        db.execute("DELETE FROM observations WHERE track = ?", (old.id,))
        db.execute("UPDATE tracks SET remarks = '[]' WHERE id = ?", (old.id,))
        return
    if old.answer is not None:
        human, closed = json.dumps(list(old.demand.human)), json.dumps(sorted(old.demand.closed))
        sequence = json.dumps(old.answer.results[0]["value"]["sequence"])
        db.execute(
            "INSERT OR REPLACE INTO bases (track, revision, human, closed, sequence) VALUES (?, ?, ?, ?, ?)",
            (old.id, old.revision, human, closed, sequence),
        )
    elif not keep:
        db.execute(
            "DELETE FROM observations WHERE track = ? AND revision NOT IN (SELECT revision FROM bases WHERE track = ?)",
            (old.id, old.id),
        )


def _forget(db: sqlite3.Connection, project: str, task: str, regions: Collection[str], since: int) -> None:
    db.executemany(
        "DELETE FROM tracks WHERE project = ? AND task = ? AND region = ? AND pressed < ? AND human = '[]' "
        "AND NOT EXISTS (SELECT 1 FROM emissions WHERE track = tracks.id AND human <> '[]') "
        "AND NOT EXISTS (SELECT 1 FROM bases WHERE track = tracks.id AND human <> '[]')",
        [(project, task, region, since) for region in regions],
    )


def _current(db: sqlite3.Connection, key: TrackKey, revision: int) -> int | None:
    row = db.execute(
        "SELECT id FROM tracks WHERE project = ? AND task = ? AND region = ? AND revision = ?",
        (key.project, key.task, key.region, revision),
    ).fetchone()
    return None if row is None else int(row[0])


def _note_emission(db: sqlite3.Connection, track: int, results: Sequence[Item], human: Collection[int]) -> None:
    (closed,) = db.execute("SELECT closed FROM tracks WHERE id = ?", (track,)).fetchone()
    row = (json.dumps(results[0]["value"]["sequence"]), json.dumps(sorted(human)), closed)
    latest = db.execute(
        "SELECT sequence, human, closed FROM emissions WHERE track = ? ORDER BY id DESC LIMIT 1", (track,)
    ).fetchone()
    if latest != row:
        db.execute("INSERT INTO emissions (track, sequence, human, closed) VALUES (?, ?, ?, ?)", (track, *row))
        db.execute(
            "DELETE FROM emissions WHERE track = ? AND id NOT IN "
            "(SELECT id FROM emissions WHERE track = ? ORDER BY id DESC LIMIT ?)",
            (track, track, EMISSIONS_KEPT),
        )


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
