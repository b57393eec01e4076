"""What goes wrong around the service: nothing is lost, the annotator is told, and the next press works."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from backend.errors import StorageError, VideoError
from backend.service.database import Database
from backend.tracks import FrameResult
from support.fake_tracker import FakeTracker
from support.service import Service, keyframe, notes_of, press, region, sequence_of
from support.video_client import eventually

DRAWN = keyframe(10, 40, 30, 32, 24)
Start = Callable[..., Service]


@contextmanager
def full_disk(database: Database) -> Iterator[None]:
    """SQLite's own limit: what needs another page finds the disk full."""
    connection = database._connection
    (limit,) = connection.execute("PRAGMA max_page_count").fetchone()
    connection.execute("PRAGMA max_page_count = 1")  # it takes the pages that there are
    try:
        yield
    finally:
        connection.execute(f"PRAGMA max_page_count = {limit}")


@contextmanager
def read_only(database: Database) -> Iterator[None]:
    """A disk that takes no byte more."""
    database._connection.execute("PRAGMA query_only = ON")
    try:
        yield
    finally:
        database._connection.execute("PRAGMA query_only = OFF")


def fill(database: Database) -> None:
    """Write until there is no room for more."""
    with pytest.raises(StorageError, match="full"):
        for number in range(10_000):
            with database.transaction() as db:
                db.execute("INSERT INTO notes VALUES (?)", [f"{number} " * 500])


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "kept.db")
    with database.transaction() as db:
        db.execute("CREATE TABLE notes (text TEXT)")
    yield database
    database.close()


def test_a_full_disk_is_told_and_costs_nothing_that_was_stored(database: Database) -> None:
    with database.transaction() as db:
        db.execute("INSERT INTO notes VALUES ('first')")
    with full_disk(database):
        fill(database)
        before = database.one("SELECT count(*) FROM notes")
        fill(database)  # the one before left no half transaction
        assert database.one("SELECT count(*) FROM notes") == before
    with database.transaction() as db:
        db.execute("INSERT INTO notes VALUES (?)", ["long " * 5000])
    assert database.one("SELECT text FROM notes WHERE rowid = 1") == ("first",)


def test_a_fault_of_our_own_is_no_storage_error(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such column"), database.transaction() as db:
        db.execute("SELECT none FROM notes")
    assert database.one("SELECT count(*) FROM notes") == (0,)


def test_a_press_while_nothing_can_be_written_keeps_the_region_and_the_next_one_tracks_it(start: Start) -> None:
    service = start(FakeTracker())
    with read_only(service.keytrack._store._database):
        refused = service.press_one(region("a", DRAWN))
        assert sequence_of(refused) == [DRAWN]
        assert "readonly" in notes_of(refused)[0]
        assert service.client.get("/health").status_code == 200
    assert notes_of(service.press_one(refused)) == ["tracked 1-30"]


def test_a_disk_that_fails_while_a_track_is_made_fails_that_track_alone(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker, budget=0.3)
    drawn = service.press_one(region("a", DRAWN))
    tracker.until(lambda: len(tracker.calls) == 1)
    with read_only(service.keytrack._store._database):
        tracker.release()
        eventually(lambda: service.client.get("/health").get_json()["jobs"] == 0)
    assert "failed" in caplog.text
    service.budget(20)
    found = service.press_one(drawn)
    assert notes_of(found) == ["tracked 1-30"]
    assert DRAWN["frame"] in [item["frame"] for item in sequence_of(found)]


def test_a_store_that_cannot_be_read_answers_503(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start(FakeTracker())

    def broken(*args: object) -> None:
        raise StorageError("the file is damaged")

    monkeypatch.setattr(service.keytrack._store, "tracks", broken)
    status, body = service.predict({**press(), "params": {"context": None}})
    assert (status, body["error"]["code"]) == (503, "storage")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), "not enough memory"),
        (MemoryError(), "not enough memory"),
        (ZeroDivisionError("a fault"), "an internal error"),
        (VideoError("frame 7 cannot be decoded"), "frame 7 cannot be decoded"),
    ],
    ids=["device", "machine", "fault", "video"],
)
def test_a_track_that_fails_half_way_keeps_what_there_is_and_goes_on_at_the_next_press(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    tracker = FakeTracker()
    service = start(tracker)
    track = tracker.track

    def failing(*args: Any, **kwargs: Any) -> Iterator[FrameResult]:
        for number, result in enumerate(track(*args, **kwargs)):
            if number == 5:
                raise error
            yield result

    monkeypatch.setattr(tracker, "track", failing)
    found = service.press_one(region("a", DRAWN))
    assert said in notes_of(found)[0]
    assert DRAWN in sequence_of(found)
    assert len(sequence_of(found)) > 1
    monkeypatch.undo()
    assert notes_of(service.press_one(found)) == ["tracked 1-30"]
    assert service.client.get("/health").get_json()["jobs"] == 0
