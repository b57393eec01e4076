"""What was pressed and not complete when the service ended goes on by itself after a restart."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from backend import model
from backend.errors import LabelConfigError, MediaError
from backend.service.records import StoredTrack, TrackKey
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import Background, Service, keyframe, notes_of, region, sequence_of, task, without_notes
from support.video_client import eventually

DRAWN = keyframe(10, 40, 30, 32, 24)
Start = Callable[..., Service]


def interrupt(start: Start, *drawn: object) -> Service:
    """A press whose track has begun when the service ends."""
    before = start(FakeTracker(paced=True), budget=0.05)
    before.press(*(drawn or (region("a", DRAWN),)))  # type: ignore[arg-type]
    before.tracker.until(lambda: len(before.tracker.calls) == 1)
    before.tracker.allow(4)
    before.close()
    return before


def idle(service: Service) -> bool:
    return bool(service.client.get("/health").get_json()["jobs"] == 0)


def test_a_press_goes_on_without_anybody_pressing_again(start: Start) -> None:
    interrupt(start)
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert sorted(after.tracker.calls[0].boxes_of("a")) == [9]
    answer = after.press_one(region("a", DRAWN))
    assert notes_of(answer) == ["tracked 1-30"]
    assert len(after.tracker.calls) == 1


def test_all_regions_of_it_go_on_together_and_keep_the_humans_keyframes(start: Start) -> None:
    other = keyframe(5, 90, 60, 20, 20)
    interrupt(start, region("a", DRAWN), region("b", other))
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert len(after.tracker.calls) == 1
    for item, drawn in zip(after.press(region("a", DRAWN), region("b", other)), (DRAWN, other), strict=True):
        assert drawn in item["value"]["sequence"]
    assert len(after.tracker.calls) == 1


def test_who_presses_meanwhile_goes_first(start: Start) -> None:
    interrupt(start)
    after = start(FakeTracker(paced=True))
    after.keytrack.resume()
    after.tracker.until(lambda: len(after.tracker.calls) == 1)
    (resumed,) = after.keytrack._jobs.live()
    assert resumed.idle
    after.tracker.release()
    assert notes_of(after.press_one(region("z", DRAWN), number=2)) == ["tracked 1-30"]


def test_nothing_is_left_to_take_up_after_a_complete_press(start: Start) -> None:
    service = start()
    service.press_one(region("a", DRAWN))
    assert list(service.keytrack._store.presses) == []


def test_a_track_that_was_completed_in_the_background_is_not_made_again(start: Start) -> None:
    before = start(FakeTracker(paced=True), budget=0.05)
    before.press_one(region("a", DRAWN))
    before.tracker.release()
    eventually(lambda: idle(before))
    before.close()
    after = start()
    after.keytrack.resume()
    assert (len(after.keytrack._jobs), list(after.keytrack._store.presses)) == (0, [])


def test_a_track_that_failed_is_not_tried_at_each_restart(start: Start) -> None:
    before = start(FakeTracker(paced=True), budget=0.05)
    before.press_one(region("a", DRAWN), video="missing.mp4")
    eventually(lambda: idle(before))
    before.close()
    after = start()
    after.keytrack.resume()
    assert (len(after.keytrack._jobs), list(after.keytrack._store.presses)) == (0, [])


def test_a_region_that_is_of_another_class_meanwhile_is_left_as_it_is(start: Start) -> None:
    paced = FakeTracker(paced=True)
    before = start(paced, budget=0.05)
    before.press(region("a", DRAWN), region("b", keyframe(5, 90, 60, 20, 20)))
    paced.until(lambda: len(paced.calls) == 1)
    before.budget(PATIENCE)
    moved = region("a", keyframe(10, 44, 30, 32, 24), label="Person")
    waiting = Background(lambda: before.press_one(moved))
    eventually(lambda: any(job.waiters and job.status == "ready" for job in before.keytrack._jobs.live()))
    paced.allow(31)  # a frame for the step under way, and all of them for the one that is waited for
    assert notes_of(waiting.result()) == ["tracked 1-30"]
    before.close()
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert [sorted(call.boxes_of(name)) for call in after.tracker.calls for name in "ab"] == [[], [4]]
    assert notes_of(after.press_one(moved)) == ["tracked 1-30"]
    assert len(after.tracker.calls) == 1


def test_of_two_presses_on_a_class_the_later_one_is_kept(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    later = keyframe(10, 44, 30, 32, 24)
    service.press_one(region("a", later))
    (kept,) = service.keytrack._store.presses
    assert kept.body.result[0]["value"]["sequence"] == [later]


def test_a_service_that_is_stopped_while_it_starts_keeps_what_was_pressed(start: Start) -> None:
    interrupt(start)
    after = start()
    after.keytrack.stop()
    after.keytrack.resume()
    assert len(list(after.keytrack._store.presses)) == 1


def test_a_press_whose_video_was_being_fetched_is_taken_up_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    before = start(budget=0.05)
    media, closing, told = before.keytrack._media, threading.Event(), threading.Event()
    close, fail = media.close, before.keytrack._jobs._fail

    def fetch(*_: object) -> Path:
        assert closing.wait(PATIENCE)
        raise MediaError("the download was ended, the backend is shutting down")

    def end() -> None:
        close()
        closing.set()
        told.wait(0.2)  # what the download says of that is heard at once

    def note(*failed: Any) -> None:
        fail(*failed)
        told.set()

    monkeypatch.setattr(media, "resolve", fetch)
    monkeypatch.setattr(media, "close", end)
    monkeypatch.setattr(before.keytrack._jobs, "_fail", note)
    before.press(region("a", DRAWN))
    before.close()
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert len(after.tracker.calls) == 1


def test_a_press_that_was_refused_as_busy_is_taken_up_too(start: Start) -> None:
    before = start(FakeTracker(paced=True), budget=0.05, max_jobs=1)
    before.press_one(region("a", DRAWN))
    assert "busy" in notes_of(before.press_one(region("b", DRAWN), number=2))[0]
    before.close()
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert len(after.tracker.calls) == 2
    assert notes_of(after.press_one(region("b", DRAWN), number=2)) == ["tracked 1-30"]
    assert len(after.tracker.calls) == 2


class Killed(BaseException):
    """What kill -9 is to a process: nothing catches it."""


def mortal(service: Service, monkeypatch: pytest.MonkeyPatch, at: int | None = None) -> list[int]:
    """Have a service die of its next transactions on this thread: before the one that is the ``at``-th, and then of
    all. Returns the numbers of those that it began, a list that grows."""
    database = service.keytrack._store._database
    whole, begun, mine = database.transaction, list[int](), threading.get_ident()
    inside: list[int] = []

    @contextmanager
    def transaction() -> Iterator[sqlite3.Connection]:
        if threading.get_ident() != mine:  # a worker begins with the job at any moment
            with whole() as connection:
                yield connection
            return
        if not inside:
            begun.append(len(begun))
        if at is not None and len(begun) > at:
            raise Killed
        inside.append(begun[-1])
        try:
            with whole() as connection:
                yield connection
        finally:
            inside.pop()

    monkeypatch.setattr(database, "transaction", transaction)
    return begun


def bury(service: Service) -> None:
    """What a process that was killed leaves is what it had stored."""
    service.closed = True
    service.keytrack._jobs.close()
    service.keytrack._store._database.close()


def track_of(service: Service, name: str) -> StoredTrack:
    track = service.keytrack._store.track(TrackKey("1", "1", name))
    assert track is not None
    return track


def test_a_process_that_is_killed_while_it_takes_a_press_has_all_of_it_or_what_was_pressed_before(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = region("a", DRAWN), region("b", keyframe(5, 90, 60, 20, 20))
    later = region("a", keyframe(10, 44, 30, 32, 24)), region("c", keyframe(7, 20, 20, 20, 20))
    moments, at = 1, 0
    while at < moments:
        number = at + 1  # a task for each moment
        before = start(FakeTracker(paced=True), budget=0.01)
        before.press(*first, number=number)
        with monkeypatch.context() as patch:
            if at == 0:
                counted = mortal(before, patch)
                before.press(*later, number=99)
                moments = len(counted)
        with monkeypatch.context() as patch:
            mortal(before, patch, at)
            with pytest.raises(Killed):
                before.press(*later, number=number)
            bury(before)
        after = start()
        after.keytrack.resume()
        eventually(lambda after=after: idle(after))
        tracks = {one.key.region: one for one in after.keytrack._store.tracks("1", str(number))}
        assert all(one.complete for one in tracks.values()), at
        drawn = tracks["a"].demand.human[0]
        assert (set(tracks), drawn) in (({"a", "b"}, sequence_of(first[0])[0]), (set("abc"), sequence_of(later[0])[0]))
        assert list(after.keytrack._store.presses) == []
        after.close()
        at += 1


def test_the_press_of_one_annotator_is_taken_up_beside_that_of_another_on_the_same_class(start: Start) -> None:
    before = start(FakeTracker(paced=True), budget=0.05)
    before.press_one(region("a", DRAWN))
    before.press_one(region("b", keyframe(5, 90, 60, 20, 20)))
    before.close()
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert [track.complete for track in after.keytrack._store.tracks("1", "1")] == [True, True]
    assert list(after.keytrack._store.presses) == []


def test_a_press_that_is_taken_up_stays_older_than_a_later_one(start: Start) -> None:
    """Of a class that counts which the last press brought."""
    paced = FakeTracker(paced=True)
    before = start(paced, budget=0.05)
    before.press_one(region("a", DRAWN))
    before.press_one(region("b", keyframe(5, 90, 60, 20, 20)))
    before.keytrack._jobs.cancel([TrackKey("1", "1", "a")])
    paced.release()
    eventually(lambda: idle(before))
    before.close()
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert [track.complete for track in after.keytrack._store.tracks("1", "1")] == [True, True]
    assert [item["id"] for item in after.batch(task())[0]["result"]] == ["b"]


def test_another_try_of_what_failed_is_taken_up_where_the_process_is_killed_at_once(
    start: Start, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = start()
    assert "late.mp4" in notes_of(before.press_one(region("a", DRAWN), video="late.mp4"))[0]
    shutil.copy(media / "clip.mp4", tmp_path / "media" / "late.mp4")

    def die(*_: object, **__: object) -> None:
        raise Killed

    monkeypatch.setattr(before.keytrack._interactive, "_begin", die)
    with pytest.raises(Killed):
        before.press_one(region("a", DRAWN), video="late.mp4")
    bury(before)
    after = start()
    after.keytrack.resume()
    eventually(lambda: idle(after))
    assert track_of(after, "a").complete


def test_a_press_that_cannot_be_taken_up_any_more_is_told_of_and_kept_no_longer(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt(start)
    after = start()
    with monkeypatch.context() as patch:
        patch.setattr(model, "parse_config", Mock(side_effect=LabelConfigError("not any more")))
        after.keytrack.resume()
    assert (track_of(after, "a").problem, list(after.keytrack._store.presses)) == ("not any more", [])
    assert notes_of(after.press_one(region("a", DRAWN))) == ["tracked 1-30"]


KILLED = """
import os, signal, sys
from pathlib import Path
from support.fake_tracker import FakeTracker
from support.video_client import eventually
from support.service import Service, keyframe, region
from support.video_client import eventually

service = Service(Path(sys.argv[1]), FakeTracker(paced=True), budget=0.05)
service.press_one(region("a", keyframe(10, 40, 30, 32, 24)))
service.tracker.until(lambda: len(service.tracker.calls) == 1)
service.tracker.allow(12)
eventually(lambda: service.press_one(region("a", keyframe(10, 40, 30, 32, 24)))["value"]["sequence"][1:])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_process_loses_neither_the_press_nor_what_was_shown(start: Start, tmp_path: Path) -> None:
    start().close()  # the video is there
    tests = Path(__file__).parents[1]
    paths = os.pathsep.join([str(tests), str(tests.parent)])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    after = start(FakeTracker(paced=True), budget=0.05)
    after.keytrack.resume()
    shown = after.press_one(region("a", DRAWN))
    assert len(shown["value"]["sequence"]) > 1
    assert DRAWN in shown["value"]["sequence"]
    after.tracker.release()
    eventually(lambda: idle(after))
    assert notes_of(after.press_one(shown)) == ["tracked 1-30"]
    assert without_notes(after.press_one(region("a", DRAWN)))["value"]["framesCount"] == 30
