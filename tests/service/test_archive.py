from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from backend.errors import SettingsError
from backend.service.archive import Archive
from backend.service.records import TrackKey
from backend.service.store import DATABASE
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import DRAWN, FRAMES, Service, advance, keyframe, moved, region

Start = Callable[..., Service]


def archive(service: Service) -> Archive:
    return Archive(service.settings.data_dir / DATABASE)


def test_a_complete_track_is_read_as_it_was_stored(start: Start) -> None:
    tracker = FakeTracker()
    tracker.absent = frozenset({0, 1})
    service = start(tracker)
    item = service.press_one(region("a", DRAWN))
    with archive(service).open() as store:
        (entry,) = store.entries()
        masks = store.masks(entry)
        assert (entry.key, entry.label, entry.complete, entry.revision) == (TrackKey("1", "1", "a"), "Car", True, 1)
        assert (entry.video, entry.frame_rate, entry.drawn) == ("clip.mp4", 10, (10,))
        assert store.results(entry) == [item]
        assert store.texts(entry) == ["tracked 1-30, absent 1-2"]
        assert list(masks) == list(store.boxes(entry)) == list(range(2, FRAMES))
        assert (store.count_frames(entry), len(masks), store.count_tasks()) == (FRAMES, FRAMES - 2, 1)
        expected = np.zeros((120, 160), bool)
        expected[30:54, 40:72] = True
        np.testing.assert_array_equal(masks[9].array(), expected)
        assert 0 not in masks and masks.get(0) is None and masks.get(FRAMES) is None


def test_what_is_kept_of_a_region(service: Service) -> None:
    item = service.press_one(region("a", DRAWN))
    with archive(service).open() as store:
        kept = store.find("1", "1", "a")
        assert kept is not None
        assert (kept.video, kept.items) == ("clip.mp4", item["value"]["sequence"])
        assert store.find("1", "1", "b") is store.find("1", "2", "a") is store.find("2", "1", "a") is None


def test_of_a_track_that_is_being_made_nothing_counts_as_handed_out(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    with archive(service).open() as store:
        (entry,) = store.entries()
        kept = store.find("1", "1", "a")
        assert not entry.complete and store.results(entry) == []
        assert kept is not None and kept.items is None


def test_an_open_archive_sees_no_later_changes(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    with archive(service).open() as store:
        (entry,) = store.entries()
        before = store.masks(entry)[20].counts
        service.press_one(moved(first, 10, x=40.0))
        assert store.entries() == [entry]
        assert store.results(entry) == [first]
        assert store.masks(entry)[20].counts == before
    with archive(service).open() as store:
        (entry,) = store.entries()
        assert entry.revision == 2
        assert store.masks(entry)[20].counts != before


def test_the_worker_goes_on_while_an_archive_is_open(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    with archive(service).open() as store:
        assert store.count_tasks() == 1
        service.tracker.release()
        service.budget(PATIENCE)
        assert service.press_one(region("a", DRAWN))["meta"]["text"] == ["Keytrack: tracked 1-30"]


def test_frames_that_are_tracked_again_are_counted(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    advance(service, 7)
    service.keytrack._store.flush()
    with archive(service).open() as store:
        (entry,) = store.entries()
        assert store.count_frames(entry) == 7


def test_the_task_that_was_pressed_for_last_comes_first_and_deleted_regions_do_not_come(service: Service) -> None:
    first, _ = service.press(region("a", DRAWN), region("deleted", DRAWN))
    service.press_one(region("p", keyframe(5, 10, 80, 12, 30), label="Person"))
    service.press_one(region("z", DRAWN), number=2)
    with archive(service).open() as store:
        assert [entry.key.region for entry in store.entries()] == ["z", "a", "deleted", "p"]
    service.press_one(first)
    with archive(service).open() as store:
        assert [entry.key.region for entry in store.entries()] == ["a", "p", "z"]
        assert [entry.key.region for entry in store.entries(tasks=1)] == ["a", "p"]
        assert [entry.key.region for entry in store.entries("1", "2")] == ["z"]
        assert store.entries("2") == store.entries("1", "3") == []
        assert store.count_tasks() == 2


def test_a_projects_address_is_known_and_no_more_of_it(service: Service) -> None:
    service.keytrack.remember("1", "http://ls:8080", "s3cret-token")
    with archive(service).open() as store:
        assert (store.hostname("1"), store.hostname("2")) == ("http://ls:8080", "")


def test_a_source_that_is_no_video_is_shown_as_it_is(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    with sqlite3.connect(service.settings.data_dir / DATABASE) as db:
        db.execute("""UPDATE tracks SET source = '[["a.jpg", "b.jpg"], 10, "m"]'""")
    with archive(service).open() as store:
        (entry,) = store.entries()
        assert (entry.video, entry.frame_rate) == ('[["a.jpg", "b.jpg"], 10, "m"]', None)


def test_where_there_is_no_store_none_is_made(tmp_path: Path) -> None:
    there_is_none = r"--data-dir: .*keytrack\.db cannot be read: there is none"
    with pytest.raises(SettingsError, match=there_is_none), Archive(tmp_path / DATABASE).open():
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / DATABASE
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(SettingsError, match="not a database"), Archive(path).open():
        pass
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 1")
    with pytest.raises(SettingsError, match="its layout is version 1"), Archive(path).open():
        pass
