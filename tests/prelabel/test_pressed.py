"""A press whose budget ends: its tracks become the task's prediction when the last of them is complete."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import pytest

from backend.prelabel import delivery, pressed
from backend.service.jobs import Job
from support.fake_studio import FakeStudio
from support.fake_tracker import FakeTracker
from support.service import (
    Item,
    Service,
    advance,
    choice,
    finish,
    keyframe,
    moved,
    notes_of,
    region,
    sequence_of,
    task,
)
from support.video_client import eventually

Start = Callable[..., Service]
CAR = region("car", keyframe(3, 40, 30, 32, 24))
OTHER = region("other", keyframe(5, 100, 60, 20, 20))
MAN = region("man", keyframe(3, 100, 60, 20, 40), label="Person")


@pytest.fixture
def slow(start: Start) -> Service:
    """A service whose presses do not wait, and whose tracker waits to be let go."""
    return start(FakeTracker(paced=True), budget=0.01)


def begin(service: Service, *regions: Item) -> None:
    """A press, which is answered while its tracks are being made."""
    calls = len(service.tracker.calls)
    service.press(*regions)
    service.tracker.until(lambda: len(service.tracker.calls) > calls)


def idle(service: Service) -> None:
    eventually(lambda: len(service.keytrack._jobs) == 0)


def end(service: Service) -> None:
    """Let all work come to its end, and be posted."""
    finish(service)
    idle(service)


def kept(service: Service) -> list[Any]:
    return list(service.keytrack._store.presses)


def test_what_is_posted_is_what_the_next_press_returns(slow: Service, fake: FakeStudio) -> None:
    pressed_for = [CAR, choice(CAR, "forward"), OTHER]
    begin(slow, *pressed_for)
    assert fake.predictions == {}
    end(slow)
    (posted,) = fake.of(1)
    entry = slow.entry(*pressed_for)
    assert posted["result"] == entry["result"]
    assert {item["id"] for item in posted["result"]} == {"car", "other"}
    assert notes_of(posted["result"][0]) == ["tracked 3-30"]
    assert (posted["score"], posted["model_version"]) == (entry["score"], slow.keytrack.model_version)
    assert posted["result"] == slow.batch(task())[0]["result"]  # and what Label Studio gets when it asks
    idle(slow)
    assert fake.writes() == ["POST"]
    assert kept(slow) == []


def test_what_was_waited_for_is_not_posted(start: Start, fake: FakeStudio) -> None:
    service = start()
    service.press(CAR, OTHER)
    idle(service)
    assert fake.writes() == []


def test_what_is_complete_before_it_is_waited_for_is_not_posted_either(
    start: Start, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()
    jobs = service.keytrack._jobs
    wait = jobs.wait

    def late(waited: Mapping[Hashable, Job], deadline: float) -> bool:
        eventually(lambda: not any(job.live for job in waited.values()))
        return wait(waited, deadline)

    monkeypatch.setattr(jobs, "wait", late)
    service.press(CAR, OTHER)
    idle(service)
    assert fake.writes() == []


def test_a_correction_in_the_background_takes_the_older_ones_place(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    end(slow)
    (first,) = fake.of(1)
    corrected = moved(slow.press_one(CAR), 20, x=10.0, y=10.0)
    begin_again(slow, corrected)
    end(slow)
    (posted,) = fake.of(1)
    assert posted["id"] == first["id"]  # an annotation that was begun with it can still be submitted
    assert posted["result"] == [slow.press_one(corrected)]
    assert {(one["frame"], one["x"]) for one in sequence_of(posted["result"][0])} >= {(20, 10.0)}
    assert fake.writes() == ["POST", "PATCH"]


def begin_again(service: Service, *regions: Item) -> None:
    service.tracker._paced = True
    begin(service, *regions)


def test_a_correction_that_was_waited_for_brings_a_prediction_up_to_date(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    end(slow)
    slow.budget(30)
    corrected = slow.press_one(moved(slow.press_one(CAR), 20, x=10.0, y=10.0))
    idle(slow)
    (posted,) = fake.of(1)
    assert posted["result"] == [corrected]
    assert fake.writes() == ["POST", "PATCH"]


def test_what_is_no_track_of_its_own_is_brought_up_to_date_too(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    end(slow)
    renamed = slow.press_one(CAR)
    renamed = slow.press_one({**renamed, "value": renamed["value"] | {"labels": ["Person"]}})
    idle(slow)
    (posted,) = fake.of(1)
    assert posted["result"] == [renamed]
    assert (len(slow.tracker.calls), fake.writes()) == (1, ["POST", "PATCH"])


def test_the_last_of_several_classes_brings_all(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    slow.press(MAN)
    advance(slow, 3)
    assert fake.predictions == {}
    end(slow)
    (posted,) = fake.of(1)
    assert posted["result"] == [slow.press_one(CAR), slow.press_one(MAN)]
    assert fake.writes() == ["POST"]


def test_a_class_that_is_waited_for_brings_the_one_that_was_not(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    slow.budget(30)
    slow.tracker.release()
    man = slow.press_one(MAN)
    idle(slow)
    (posted,) = fake.of(1)
    assert posted["result"] == [slow.press_one(CAR), man]
    assert kept(slow) == []


def test_what_a_newer_press_takes_over_is_posted_once(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR)
    advance(slow, 4)
    begin_again(slow, moved(CAR, 3, x=9.0))
    end(slow)
    (posted,) = fake.of(1)
    assert {one["frame"]: one["x"] for one in sequence_of(posted["result"][0])}[3] == 9.0
    assert fake.writes() == ["POST"]


def test_a_region_that_was_deleted_is_none_of_the_prediction(slow: Service, fake: FakeStudio) -> None:
    begin(slow, CAR, OTHER)
    end(slow)
    begin_again(slow, moved(slow.press(CAR, OTHER)[0], 20, x=10.0))
    end(slow)
    (posted,) = fake.of(1)
    assert [item["id"] for item in posted["result"]] == ["car"]


def test_nothing_is_posted_where_somebody_has_annotated_the_task(
    slow: Service, fake: FakeStudio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, delivery.logger.name)
    begin(slow, CAR)
    fake.tasks = [task(1, annotations=[{"id": 7, "result": [CAR]}])]
    end(slow)
    assert fake.writes() == []
    assert "task 1 of project 1: not posted: somebody has annotated it" in caplog.text
    assert slow.keytrack._store.parcels.addresses() == []


def test_drafts_and_skipped_annotations_are_nobodys_last_word(slow: Service, fake: FakeStudio) -> None:
    fake.tasks = [
        task(1, drafts=[{"id": 7, "result": [CAR]}], annotations=[{"id": 8, "result": [], "was_cancelled": True}])
    ]
    begin(slow, CAR)
    end(slow)
    assert len(fake.of(1)) == 1


def test_a_track_that_failed_is_left_out_and_of_a_corrected_one_the_prediction_stays(
    slow: Service, fake: FakeStudio
) -> None:
    outside = region("outside", keyframe(90, 40, 30, 32, 24))
    begin(slow, CAR, outside)
    end(slow)
    (posted,) = fake.of(1)
    assert [item["id"] for item in posted["result"]] == ["car"]
    before = copy.deepcopy(posted)
    corrected = moved(slow.press_one(CAR), 20, x=10.0, y=10.0)
    slow.tracker.fails_at = {25: RuntimeError("a fault")}
    begin_again(slow, corrected)
    end(slow)
    assert fake.of(1) == [before]


OUTSIDE = region("outside", keyframe(90, 40, 30, 32, 24))


def test_a_press_one_of_whose_tracks_failed_is_over_when_it_is_answered(start: Start, fake: FakeStudio) -> None:
    service = start()
    assert "frame" in notes_of(service.press(CAR, OUTSIDE)[1])[0]
    idle(service)
    assert (kept(service), fake.writes()) == ([], [])


def test_a_prediction_is_not_replaced_by_one_that_lacks_what_failed_since(
    slow: Service, fake: FakeStudio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, delivery.logger.name)
    begin(slow, CAR, OTHER)
    end(slow)
    before = copy.deepcopy(fake.of(1))
    assert [item["id"] for item in before[0]["result"]] == ["car", "other"]
    # Of another direction nothing is left of what it was.
    turned = region("other", keyframe(90, 100, 60, 20, 20))
    begin_again(slow, moved(slow.press(CAR, OTHER)[0], 20, x=10.0), turned, choice(turned, "forward"))
    end(slow)
    assert fake.of(1) == before
    assert "not posted: a track failed that its prediction has" in caplog.text
    assert kept(slow) == []


def test_without_a_token_nothing_is_kept_and_it_is_said_once(
    start: Start, fake: FakeStudio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    service = start(FakeTracker(paced=True), budget=0.01, label_studio_token=None)
    for number in (1, 2):
        service.tracker._paced = True
        service.press(CAR, number=number)
        service.tracker.until(lambda number=number: len(service.tracker.calls) == number)
        end(service)
    said = [one for one in caplog.records if one.name == pressed.logger.name]
    assert len(said) == 1 and "no token is known" in said[0].getMessage()
    assert (service.keytrack._store.parcels.addresses(), kept(service), fake.site.asked) == ([], [], [])


def test_a_token_that_is_refused_is_said_once(start: Start, fake: FakeStudio, caplog: pytest.LogCaptureFixture) -> None:
    service = start(FakeTracker(paced=True), budget=0.01, label_studio_token="0ff")
    for number in (1, 2):
        service.tracker._paced = True
        service.press(CAR, number=number)
        service.tracker.until(lambda number=number: len(service.tracker.calls) == number)
        end(service)
    said = [one.getMessage() for one in caplog.records if one.name == delivery.logger.name]
    assert len(said) == 1 and "401" in said[0]
    assert len(fake.site.asked) == 2  # it may have been allowed meanwhile


def test_one_that_label_studio_could_not_take_is_posted_after_a_restart_as_it_is_by_then(
    start: Start, fake: FakeStudio
) -> None:
    before = start(FakeTracker(paced=True), budget=0.01)
    fake.refuses = 503
    begin(before, CAR)
    end(before)
    before.budget(30)
    corrected = before.press_one(moved(before.press_one(CAR), 20, x=10.0, y=10.0))
    idle(before)
    before.close()
    fake.refuses = None
    after = start(FakeTracker())
    after.keytrack.resume()
    eventually(lambda: fake.of(1))
    (posted,) = fake.of(1)
    assert posted["result"] == [corrected]
    assert after.tracker.calls == []


def test_what_ended_without_being_posted_is_posted_after_a_restart(
    start: Start, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = start(FakeTracker(paced=True), budget=0.01)
    monkeypatch.setattr(before.keytrack._pressed_for, "_send", lambda *_: None)  # as if it were killed there
    begin(before, CAR, OTHER)
    end(before)
    before.close()
    assert fake.predictions == {}
    after = start(FakeTracker())
    after.keytrack.resume()
    eventually(lambda: fake.of(1))
    assert [item["id"] for item in fake.of(1)[0]["result"]] == ["car", "other"]
    assert (after.tracker.calls, kept(after)) == ([], [])


def test_a_prediction_of_what_was_tracked_without_a_press_is_the_same_one(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(), budget=30)
    service.batch(task(1, predictions=[{"id": 9, "model_version": "yolo-8", "result": [CAR, MAN], "score": 0.5}]))
    eventually(lambda: fake.of(1))
    idle(service)
    (first,) = copy.deepcopy(fake.of(1))
    car, man = first["result"]
    corrected = service.press_one(moved(car, 20, x=10.0, y=10.0))
    idle(service)
    (posted,) = fake.of(1)
    assert (posted["id"], posted["result"]) == (first["id"], [corrected, man])
