"""The store's observations: gathered as they come, written together, read by track."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backend.service.database import Database
from backend.service.records import StoredFrame, StoredTrack, TrackKey
from backend.tracks import Mask, Observation

FLUSH_ROWS = 64
FLUSH_SECONDS = 1.0

Row = tuple[Any, ...]


class Observations:
    """Observations of tracks; what is gathered is written at the latest after :data:`FLUSH_SECONDS`, when more comes.

    Args:
        database: where to.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered: list[Row] = []
        self._flushed = time.monotonic()

    def add(self, key: TrackKey, revision: int, observations: Iterable[Observation]) -> None:
        """Gather observations of a track; those of a revision that is no longer current are dropped."""
        with self._database.lock:
            of_track = key.project, key.task, key.region, revision
            self._gathered.extend((*values_of(observation), *of_track) for observation in observations)
            if len(self._gathered) >= FLUSH_ROWS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write what is gathered."""
        with self._database.lock:
            self._flushed = time.monotonic()
            if not self._gathered:
                return
            with self._database.transaction() as db:
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
        with self._database.lock:
            self.flush()
            rows = self._database.all(
                "SELECT frame, revision, score, human, x0, y0, x1, y1 FROM observations WHERE track = ? ORDER BY frame",
                (track.id,),
            )
        return {
            frame: StoredFrame(revision, score, bool(human), None if x0 is None else (x0, y0, x1, y1))
            for frame, revision, score, human, x0, y0, x1, y1 in rows
        }

    def masks(self, track: StoredTrack, revision: int | None = None) -> Iterator[Observation]:
        """A track's observations with their masks, by frame; those of one revision, or all."""
        with self._database.lock:
            self.flush()
            rows = self._database.all(
                "SELECT frame, score, human, height, width, counts FROM observations "
                "WHERE track = ? AND revision = coalesce(?, revision) ORDER BY frame",
                (track.id, revision),
            )
        for frame, score, human, height, width, counts in rows:
            mask = None if counts is None else Mask((height, width), counts)
            yield Observation(track.key.region, frame, mask, score, bool(human))

    def at(self, tracks: Sequence[StoredTrack], frame: int) -> Iterator[Observation]:
        """What complete tracks have on one frame; nothing of those that are not any more what they were."""
        for track in tracks:
            row = self._database.one(
                "SELECT o.score, o.human, height, width, counts FROM observations o JOIN tracks t ON t.id = o.track "
                "WHERE o.track = ? AND frame = ? AND o.revision = ? AND t.revision = o.revision AND answer IS NOT NULL",
                (track.id, frame, track.revision),
            )
            if row is not None:
                score, human, height, width, counts = row
                mask = None if counts is None else Mask((height, width), counts)
                yield Observation(track.key.region, frame, mask, score, bool(human))


def exchange(db: sqlite3.Connection, sides: tuple[tuple[int, int], tuple[int, int]], frames: Iterable[int]) -> None:
    """Exchange what two tracks, each with a revision, have on some frames; to be called in a transaction."""
    columns = "frame, score, human, x0, y0, x1, y1, height, width, counts"
    wanted = sorted(frames)
    rows = [
        [
            row
            for frame in wanted
            for row in db.execute(
                f"SELECT {columns} FROM observations WHERE track = ? AND revision = ? AND frame = ?",  # noqa: S608
                (*side, frame),
            )
        ]
        for side in sides
    ]
    for side, taken in zip(sides, reversed(rows), strict=True):
        db.executemany(
            f"INSERT OR REPLACE INTO observations (track, revision, {columns}) "  # noqa: S608
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(*side, *row) for row in taken],
        )


def insert(db: sqlite3.Connection, track: int, revision: int, rows: Iterable[Row]) -> None:
    """Write the rows of a track that has none; to be called in a transaction. See :func:`values_of`."""
    db.executemany(
        "INSERT INTO observations (track, revision, frame, score, human, x0, y0, x1, y1, height, width, counts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        ((track, revision, *row) for row in rows),
    )


def values_of(observation: Observation) -> Row:
    """Frame, score, human, box, size and mask of an observation, as a row has them.

    Raises:
        ValueError: the score is not finite.
    """
    if not math.isfinite(observation.score):  # SQLite has no NaN: it would refuse all that is written along with it
        raise ValueError(f"{observation.object_id} has a score of {observation.score} on frame {observation.frame}")
    box = observation.box or (None, None, None, None)
    mask = observation.mask
    size, counts = ((None, None), None) if mask is None else (mask.size, mask.counts)
    return (observation.frame, observation.score, observation.human, *box, *size, counts)
