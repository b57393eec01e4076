"""Label Studio away, slow, restarted, or not itself; clocks that jump. Each prediction arrives, and once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from backend.prelabel.delivery import FIRST_WAIT, LONGEST_WAIT
from support.fake_studio import FakeStudio
from support.fake_tracker import PATIENCE
from support.http import Answer, Asked
from support.post import CAR, VERSION, Post
from support.video_client import eventually

PAGE = Answer(200, b"<!doctype html><title>We will be back soon</title>", {"Content-Type": "text/html"})


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_one_that_is_down_and_comes_up_again(post: Post, fake: FakeStudio) -> None:
    with nobody() as post.url:
        post.send(1)
        post.settle()
        post.wait(FIRST_WAIT)
    assert post.left() == [("1", "1")]
    post.url = fake.url
    post.wait(2 * FIRST_WAIT)
    assert (len(fake.of(1)), post.left()) == (1, [])


@pytest.mark.parametrize("terms", ["first", "latest"])
def test_one_that_is_too_slow_to_tell_that_it_has_it(post: Post, fake: FakeStudio, terms) -> None:
    whole = fake.site.routes["/api/predictions"]
    assert callable(whole)
    given_up, made = threading.Event(), threading.Event()

    def serve(asked: Asked) -> Answer:
        given_up.wait(PATIENCE)
        answer = whole(asked)
        made.set()
        return answer

    fake.site.routes["/api/predictions"] = serve
    post.patience = 1.0
    post.send(1, terms)
    post.settle()
    assert post.left() == [("1", "1")]
    post.patience = PATIENCE
    given_up.set()
    assert made.wait(PATIENCE)
    fake.site.routes["/api/predictions"] = whole
    post.wait(FIRST_WAIT)
    assert (len(fake.of(1)), post.left(), fake.writes()) == (1, [], ["POST"])


def test_a_page_of_a_proxy_is_waited_out(post: Post, fake: FakeStudio) -> None:
    fake.refuses = PAGE
    post.send(1)
    post.settle()
    assert post.left() == [("1", "1")]
    fake.refuses = None
    post.wait(FIRST_WAIT)
    assert (len(fake.of(1)), post.left()) == (1, [])


def in_seconds(seconds: float) -> str:
    """A date as HTTP has it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", 120),
        ("2", FIRST_WAIT),  # it is not asked sooner than it would be without
        ("999999999", LONGEST_WAIT),
        ("soon", FIRST_WAIT),
        (900.0, 900),
        (-900.0, FIRST_WAIT),
    ],
    ids=["seconds", "fewer", "too many", "words", "date", "past"],
)
def test_one_that_says_when_to_ask_again(post: Post, fake: FakeStudio, value: str | float, wait: float) -> None:
    said = value if isinstance(value, str) else in_seconds(value)
    fake.refuses = Answer(429, b"{}", {"Retry-After": said})
    post.send(1)
    post.settle()
    asked = len(fake.site.asked)
    fake.refuses = None
    post.wait(0.5 * wait)  # since a date is of the clock on the wall, which goes on meanwhile
    assert len(fake.site.asked) == asked
    post.wait(0.5 * wait)
    assert len(fake.of(1)) == 1


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0, -1e9], ids=["a day back", "a day on", "before it was made"])
def test_a_clock_on_the_wall_that_jumps(
    tmp_path: Path, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    """Neither while it waits nor over a restart."""
    before = Post(tmp_path / "keytrack.db", fake)
    fake.refuses = 503
    before.send(1)
    before.send(2)
    before.settle()
    wall = time.time
    monkeypatch.setattr(time, "time", lambda: wall() + jump)
    assert len(before.alarms) == 1
    fake.refuses = None
    before.delivery.leave("1", "2")
    before.wait(FIRST_WAIT)
    assert len(fake.of(1)) == 1
    fake.refuses = 503
    before.send(3)
    before.settle()
    before.close()
    monkeypatch.setattr(time, "time", lambda: wall() - jump)
    fake.refuses = None
    after = Post(tmp_path / "keytrack.db", fake)
    after.delivery.resume()
    eventually(lambda: not after.left())
    after.settle()
    assert [len(fake.of(number)) for number in (1, 2, 3)] == [1, 0, 1]
    after.close()


def test_what_label_studio_asked_for_itself_is_not_posted_again(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    for number, terms in ((1, "first"), (2, "latest")):
        post.send(number, terms)
    post.settle()
    fake.refuses = None
    for number in (1, 2):
        fake.add(number, model_version=VERSION, score=0.5, result=[{**CAR, "id": f"car-{number}"}])
    post.wait(FIRST_WAIT)
    assert (post.left(), fake.writes()) == ([], [])


def test_two_of_one_version_become_one(post: Post, fake: FakeStudio) -> None:
    """Label Studio asked for one while one was posted."""
    _, newer = (fake.add(1, model_version=VERSION, score=0.1, result=[CAR]) for _ in range(2))
    other = fake.add(1, model_version="yolo-8", result=[CAR])
    post.send(1, "latest")
    post.settle()
    assert {one["id"] for one in fake.of(1)} == {newer, other}
    assert fake.predictions[newer]["result"][0]["id"] == "car-1"


def test_a_task_that_is_gone_is_let_go(post: Post, fake: FakeStudio) -> None:
    fake.gone = {1}
    post.send(1)
    post.settle()
    assert (post.left(), fake.writes(), post.alarms) == ([], [], [])


def test_an_update_makes_no_prediction(post: Post, fake: FakeStudio) -> None:
    post.send(1, "update")
    post.settle()
    assert (post.left(), fake.writes()) == ([], [])


def test_an_update_of_what_could_not_be_posted_yet_is_posted(post: Post, fake: FakeStudio) -> None:
    fake.refuses = 503
    post.send(1, "latest")
    post.settle()
    post.send(1, "update")
    assert post.delivery.sending("1", "1")
    post.settle()
    fake.refuses = None
    post.wait(2 * FIRST_WAIT)
    assert (len(fake.of(1)), post.left()) == (1, [])
