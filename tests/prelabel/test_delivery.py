"""Predictions that Label Studio does not take at once: each arrives, and once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.errors import BusyError, StorageError
from backend.prelabel import delivery
from backend.prelabel.delivery import FIRST_WAIT, LONGEST_WAIT
from backend.service.parcels import Parcel
from support.fake_studio import FakeStudio
from support.fake_tracker import FakeTracker
from support.post import CAR, VERSION, Post
from support.service import Service, task
from support.video_client import eventually


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_label_studio_cannot_take_now_is_tried_until_it_can(post: Post, fake: FakeStudio, status: int) -> None:
    fake.refuses = status
    post.send(1)
    post.settle()
    waits = [FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    for wait in waits:
        assert (fake.of(1), post.left()) == ([], [("1", "1")])
        tries = len(fake.site.asked)
        post.wait(0.9 * wait)
        assert len(fake.site.asked) == tries
        if wait == waits[-1]:
            fake.refuses = None
        post.wait(0.1 * wait)
    (posted,) = fake.of(1)
    assert (posted["result"][0]["id"], posted["model_version"], posted["score"]) == ("car-1", VERSION, 0.5)
    assert (post.left(), post.alarms) == ([], [])


def test_a_day_without_label_studio_is_waited_out(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    post.send(1)
    post.settle()
    for _ in range(48):
        post.wait(LONGEST_WAIT)
    fake.refuses = None
    post.wait(LONGEST_WAIT)
    assert len(fake.of(1)) == 1


def test_many_that_wait_have_one_alarm(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    for number in range(1, 6):
        post.send(number)
        post.settle()
        post.now += 0.1
    assert len(post.alarms) == 1
    fake.refuses = None
    for _ in range(6):
        post.wait(FIRST_WAIT)
    assert ([len(fake.of(number)) for number in range(1, 6)], post.alarms) == ([1] * 5, [])


def test_a_queue_that_is_full_is_asked_again_after_a_while(
    post: Post, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BusyError("1000 things wait")

    with monkeypatch.context() as full:
        full.setattr(post.jobs, "submit", refuse)
        post.send(1)
        post.wait(FIRST_WAIT)
        assert (fake.of(1), post.left()) == ([], [("1", "1")])
    post.wait(FIRST_WAIT)
    assert (len(fake.of(1)), post.left(), post.alarms) == (1, [], [])


def test_one_that_waits_holds_no_other_back(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    post.send(1)
    post.settle()
    fake.refuses = None
    post.send(2)
    post.settle()
    assert (fake.of(1), len(fake.of(2))) == ([], 1)
    assert not post.delivery.sending("1", "1")  # so that Label Studio gets it when it asks


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_is_refused_is_not_tried_again(
    post: Post, fake: FakeStudio, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    fake.refuses = status
    post.send(1)
    post.settle()
    assert (post.left(), post.alarms) == ([], [])
    assert "Retrieve Predictions brings it" in caplog.text


def test_without_a_token_nothing_is_kept(tmp_path: Path, fake: FakeStudio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, delivery.logger.name)
    post = Post(tmp_path / "keytrack.db", fake, token="")
    post.send(1)
    post.settle()
    assert (post.left(), fake.site.asked) == ([], [])
    assert "no token is known" in caplog.text
    post.close()


def test_what_was_not_posted_is_posted_after_a_restart(tmp_path: Path, fake: FakeStudio) -> None:
    path = tmp_path / "keytrack.db"
    fake.refuses = 503
    first = Post(path, fake)
    for number in (1, 2, 3):
        first.send(number)
    first.settle()
    first.close()
    fake.refuses = None
    second = Post(path, fake)
    second.delivery.resume()
    eventually(lambda: not second.left())
    second.settle()
    assert [len(fake.of(number)) for number in (1, 2, 3)] == [1, 1, 1]
    second.close()


def test_an_answer_that_got_lost_makes_no_second_prediction(post: Post, fake: FakeStudio) -> None:
    fake.add(1, model_version=VERSION, result=[{**CAR, "id": "car-1"}])  # it was posted; nobody knows
    post.send(1)
    post.settle()
    assert (len(fake.of(1)), post.left()) == (1, [])


def test_a_newer_parcel_for_the_task_takes_the_place_of_the_one_that_waits(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    post.send(1)
    post.settle()
    fake.refuses = None
    post.delivery.send(Parcel("1", "1", VERSION, 0.9, [{**CAR, "id": "newer"}]))
    post.settle()
    (posted,) = fake.of(1)
    assert posted["result"][0]["id"] == "newer"
    post.wait(LONGEST_WAIT)
    assert len(fake.of(1)) == 1


def test_a_store_that_cannot_be_read_for_a_while_holds_it_up_alone(
    post: Post, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("disk I/O error")

    with monkeypatch.context() as broken:
        broken.setattr(post.store.parcels, "get", refuse)
        post.send(1)
        post.settle()
    assert (fake.of(1), post.left()) == ([], [("1", "1")])
    post.wait(FIRST_WAIT)
    assert (len(fake.of(1)), post.left()) == (1, [])


def test_what_waits_for_a_task_that_somebody_annotates_is_left(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    for number in (1, 2):
        post.send(number)
    post.settle()
    post.delivery.leave("1", "1")
    post.delivery.leave("1", "9")  # of which there is none
    fake.refuses = None
    post.wait(LONGEST_WAIT)
    post.settle()
    assert (fake.of(1), len(fake.of(2)), post.left()) == ([], 1, [])


def test_the_service_goes_on_with_it_after_a_restart(start: Callable[..., Service], fake: FakeStudio) -> None:
    fake.refuses = 500
    before = start(FakeTracker())
    before.batch(task(1, predictions=[{"id": 9, "model_version": "yolo-8", "result": [CAR], "score": 0.5}]))
    eventually(lambda: before.keytrack._store.parcels.addresses() and len(before.keytrack._jobs) == 0)
    before.close()
    fake.refuses = None
    after = start(FakeTracker())
    after.keytrack.resume()
    eventually(lambda: fake.of(1))
    assert after.tracker.calls == []
