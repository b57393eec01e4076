"""What can go wrong in the interactive video protocol, and how each event tells it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from backend.errors import VideoError, WeightsError
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import Background, Item, Service, press
from support.video_client import Client, eventually, limit, point

Start = Callable[..., Service]

CAR = point(25, 25)


@pytest.fixture
def client(service: Service) -> Client:
    return Client.of(service)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["segment", "", None, 7, ["track"], {}])
def test_an_unknown_event_is_refused(client: Client, event: object) -> None:
    status, code, message = client.error(event=event)
    assert (status, code) == (400, "bad-payload")
    assert "params.context.event" in message and "capabilities, prewarm, predict" in message


@pytest.mark.parametrize("event", ["prewarm", "predict", "track", "track_progress", "track_cancel", "release"])
def test_an_event_without_its_task_is_refused(service: Service, event: str) -> None:
    status, reply = service.predict({**press(), "tasks": [], "params": {"context": {"event": event}}})
    assert (status, reply["error"]["code"]) == (400, "bad-payload")
    assert reply["error"]["message"].startswith("tasks")


def test_several_tasks_are_refused(service: Service) -> None:
    body = press()
    status, reply = service.predict({**body, "tasks": body["tasks"] * 2, "params": {"context": {"event": "release"}}})
    assert (status, reply["error"]["code"]) == (400, "bad-payload")


@pytest.mark.parametrize("config", [None, "<View>", "<View/>", '<View><Video name="v" value="$video"/></View>'])
@pytest.mark.parametrize("event", ["prewarm", "predict", "track", "track_progress", "track_cancel", "release"])
def test_a_configuration_with_nothing_to_mark_is_refused(service: Service, config: str | None, event: str) -> None:
    status, code, _ = Client.of(service, config).error(event=event, frame=1, result=[CAR])
    assert (status, code) == (400, "bad-label-config")


WRONG: list[tuple[Item, str]] = [
    ({"frame": "3"}, "frame"),
    ({"frame": True}, "frame"),
    ({"frame": 10**12}, "frame"),
    ({"time_ms": "3"}, "time_ms"),
    ({"time_ms": float("nan")}, "time_ms"),
    ({"result": {}}, "result"),
    ({"result": [7]}, "result[0]"),
    ({"result": [None]}, "result[0]"),
    ({"result": [{"type": "keypointlabels"}]}, "result[0].value"),
    ({"result": [CAR, {"value": {"x": 5}}]}, "result[1].value.y"),
    ({"result": [{"value": {"x": "5", "y": 5}}]}, "result[0].value.x"),
    ({"result": [{"value": {"x": 5, "y": 10**9}}]}, "result[0].value.y"),
    ({"result": [{"value": {"x": 5, "y": 5, "positive": 1}}]}, "result[0].value.positive"),
    ({"result": [{"type": "rectanglelabels", "value": {"x": 5, "y": 5, "width": 5}}]}, "result[0].value"),
    ({"result": [{**CAR, "object": ""}]}, "result[0].object"),
    ({"result": [{**CAR, "object": "\ud800"}]}, "result[0].object"),
    ({"result": [CAR], "region_id": []}, "region_id"),
]


@pytest.mark.parametrize(("context", "named"), WRONG)
def test_a_wrong_type_is_told_with_its_path(service: Service, client: Client, context: Item, named: str) -> None:
    status, code, message = client.error(event="predict", **context)
    assert (status, code) == (400, "bad-payload")
    assert f"params.context.{named}" in message
    value = client.value("track", "track_error", **context)
    assert (set(value), value["done"]) == ({"error", "done"}, True)
    assert f"params.context.{named}" in value["error"]
    assert service.built == 0


@pytest.mark.parametrize(
    "context", [{"max_frames": 0}, {"max_frames": -1}, {"max_frames": "9"}, {"max_duration_ms": -1}]
)
def test_a_length_that_is_none_is_told(client: Client, context: Item) -> None:
    value = client.value("track", "track_error", frame=1, result=[CAR], **context)
    assert next(iter(context)) in value["error"]


UNUSABLE: list[tuple[list[Item], str]] = [
    ([point(25, 25, False)], "nothing is marked"),
    ([{"value": {"x": 25, "y": 25, "width": 0.1, "height": 9}}], "no size"),
    ([{"value": {"x": 101, "y": 25, "width": 9, "height": 9}}], "no size"),
]


@pytest.mark.parametrize(("marks", "says"), UNUSABLE)
def test_marks_that_cannot_be_used_are_told(service: Service, client: Client, marks: list[Item], says: str) -> None:
    status, code, message = client.error(event="predict", frame=1, result=marks)
    assert (status, code) == (400, "bad-prompt")
    assert says in message
    assert says in client.value("track", "track_error", frame=1, result=marks)["error"]
    assert service.tracker.clicks == []


@pytest.mark.parametrize("result", [None, []])
def test_a_track_of_nothing_is_told(client: Client, result: object) -> None:
    value = client.value("track", "track_error", frame=1, result=result)
    assert value == {
        "error": "nothing is marked: click on an object, or draw a box around it, and track it then",
        "done": True,
    }


@pytest.mark.parametrize(
    ("task", "code", "says"),
    [
        ({"video": "other.mp4"}, "bad-media", "other.mp4"),
        ({"video": 7}, "bad-payload", "tasks[0].data.video"),
        ({"video": "\ud800.mp4"}, "bad-payload", "tasks[0].data.video"),
        ({"data": {}}, "bad-payload", "tasks[0].data.video"),
    ],
)
def test_a_video_that_is_not_there_is_told(service: Service, task: Item, code: str, says: str) -> None:
    client = Client.of(service, **task)
    status, found, message = client.error(event="predict", frame=1, result=[CAR])
    assert (status, found, says in message) == (400, code, True)
    assert says in client.value("track", "track_error", frame=1, result=[CAR])["error"]
    assert says in client.value("prewarm", "prewarm_ack", frame=1)["error"]


# --- pictures ------------------------------------------------------------------------------------

PICTURE = """<View><Image name="i" value="$video"/>
  <RectangleLabels name="r" toName="i"><Label value="a"/></RectangleLabels></View>"""


def test_a_picture_can_be_clicked_on_and_not_tracked(service: Service) -> None:
    assert service.settings.media_root is not None
    cv2.imwrite(str(service.settings.media_root / "a.png"), np.full((90, 120, 3), 90, np.uint8))
    client = Client.of(service, PICTURE, video="a.png")
    assert client.value("prewarm", "prewarm_ack", frame=9) == {"status": "ok", "cached": [0], "pending": []}
    value = client.predict(CAR, frame=9)
    assert (value["width"], value["height"]) == (120, 90)
    assert "has no Video" in client.value("track", "track_error", result=[CAR])["error"]


# --- sessions ------------------------------------------------------------------------------------


@pytest.mark.parametrize("session", ["0123456789ab", "", None, 7, ["a"], {"a": 1}])
def test_an_unknown_session_is_told(client: Client, session: object) -> None:
    assert client.value("track_progress", "track_progress", session_id=session) == {
        "error": "session not found",
        "done": True,
    }
    assert client.value("track_cancel", "track_cancel_ack", session_id=session) == {"status": "not_found"}


def test_no_session_at_all_is_told(client: Client) -> None:
    assert client.value("track_progress", "track_progress")["error"] == "session not found"
    assert client.value("track_cancel", "track_cancel_ack") == {"status": "not_found"}


def test_another_tasks_session_is_not_found(service: Service, client: Client) -> None:
    session = client.track(CAR, frame=1)["session_id"]
    other = Client.of(service, number=2)
    assert other.value("track_progress", "track_progress", session_id=session)["error"] == "session not found"
    assert other.value("track_cancel", "track_cancel_ack", session_id=session) == {"status": "not_found"}
    assert client.drain(session)[1]["produced"] == 30


def test_a_full_service_is_busy(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    limit(service, sessions=2)
    client = Client.of(service)
    first = client.track(CAR, frame=1, max_frames=3)["session_id"]
    second = Client.of(service, number=2).track(CAR, frame=1)["session_id"]
    value = client.value("track", "track_busy", frame=1, result=[CAR])
    assert value == {
        "error": "2 tracks are under way and 0 wait to be fetched; cancel one, or wait",
        "active_or_queued": 2,
        "resident_sessions": 2,
        "max_sessions": 2,
    }
    # What has not been fetched takes up room.
    tracker.release()
    assert Client.of(service, number=2).drain(second)[1]["done"]
    eventually(lambda: not len(service.keytrack._jobs))
    third = client.track(CAR, frame=1, max_frames=3)["session_id"]
    assert client.value("track", "track_busy", frame=1, result=[CAR])["resident_sessions"] == 2
    for session in (first, third):
        client.drain(session)
    client.track(CAR, frame=1)


def test_a_busy_service_fetches_no_video(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    limit(service, sessions=1)
    Client.of(service).track(CAR, frame=1)
    Client.of(service, video="other.mp4").value("track", "track_busy", frame=1, result=[CAR])


def test_a_track_that_fails_to_start_takes_no_room(service: Service) -> None:
    limit(service, sessions=1)
    Client.of(service, video="other.mp4").value("track", "track_error", frame=1, result=[CAR])
    Client.of(service).track(CAR, frame=1)


def test_a_session_that_is_done_is_forgotten_after_a_while(service: Service) -> None:
    clock = Clock()
    limit(service, clock=clock, done_seconds=300)
    client = Client.of(service)
    session = client.track(CAR, frame=1)["session_id"]
    clock.now += 200
    assert client.drain(session)[1]["done"]
    clock.now += 299
    assert client.progress(session)["done"]
    clock.now += 1
    assert client.progress(session) == {"error": "session not found", "done": True}


def test_a_session_that_takes_too_long_ends(start: Start) -> None:
    clock, tracker = Clock(), FakeTracker(paced=True)
    service = start(tracker)
    limit(service, clock=clock, seconds=1800, sessions=1)
    client = Client.of(service)
    session = client.track(CAR, frame=1)["session_id"]
    tracker.until(lambda: len(tracker.calls) == 1)
    clock.now += 1799
    client.value("track", "track_busy", frame=1, result=[CAR])
    clock.now += 1
    assert client.progress(session) == {"error": "session not found", "done": True}
    tracker.until(lambda: tracker.calls[0].ended)
    client.track(CAR, frame=1)


# --- failures on the way -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (VideoError("frame 4 is broken"), "frame 4 is broken"),
        (ZeroDivisionError("x"), "an internal error; the log of the backend has the details. Try it again"),
    ],
)
def test_a_failure_while_tracking_comes_with_the_last_frames(
    service: Service, client: Client, error: Exception, said: str
) -> None:
    service.tracker.fails_at[4] = error
    frames, last = client.drain(client.track(CAR, frame=1)["session_id"])
    assert [one["frame"] for one in frames] == [0, 1, 2, 3]
    assert (last["done"], last["error"], last["produced"]) == (True, said, 4)


def test_models_that_cannot_be_loaded_are_told(service: Service, client: Client) -> None:
    service.refuses = WeightsError("there are no weights")
    assert client.error(event="predict", frame=1, result=[CAR]) == (503, "no-weights", "there are no weights")
    _, last = client.drain(client.track(CAR, frame=1)["session_id"])
    assert (last["frames"], last["done"], last["error"]) == ([], True, "there are no weights")


def test_an_unexpected_fault_of_a_click_is_not_shown(service: Service, client: Client) -> None:
    service.tracker.fails_at[0] = ZeroDivisionError("secret internals")
    status, code, message = client.error(event="predict", frame=1, result=[CAR])
    assert (status, code) == (500, "internal")
    assert "secret" not in message


@pytest.fixture
def slow(service: Service, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A service whose media come only when the event is set."""
    come = threading.Event()
    resolve = service.keytrack._media.resolve

    def wait(*args: Any, **kwargs: Any) -> Any:
        assert come.wait(PATIENCE)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(service.keytrack._media, "resolve", wait)
    limit(service, patience=0.05)
    yield come
    come.set()


def test_what_takes_too_long_is_told(service: Service, client: Client, slow: threading.Event) -> None:
    assert client.error(event="predict", frame=1, result=[CAR])[:2] == (503, "unavailable")
    prewarm = client.value("prewarm", "prewarm_ack", frame=1)
    track = client.value("track", "track_error", frame=1, result=[CAR])
    assert (prewarm["status"], track["done"]) == ("error", True)
    assert "still being fetched" in prewarm["error"] and "still being fetched" in track["error"]
    slow.set()
    limit(service, sessions=1)
    assert client.drain(client.track(CAR, frame=1)["session_id"])[1]["done"]


def test_who_waits_for_a_video_that_nobody_wants_any_more_is_let_go(
    service: Service, client: Client, slow: threading.Event
) -> None:
    limit(service, patience=PATIENCE)
    waiting = Background(lambda: client.value("prewarm", "prewarm_ack", frame=1))
    eventually(service.keytrack._jobs.live)
    client.value("release", "release_ack")
    assert (waiting.result()["status"], slow.is_set()) == ("error", False)


def test_a_stop_lets_those_go_who_wait(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    client = Client.of(service)
    session = client.track(CAR, frame=1)["session_id"]
    tracker.until(lambda: len(tracker.calls) == 1)
    waiting = Background(lambda: client.progress(session))
    clicked = Background(lambda: client.error(event="predict", frame=1, result=[CAR]))
    eventually(lambda: any(job.waiters and job.status == "ready" for job in service.keytrack._jobs.live()))
    service.keytrack.stop()
    value = waiting.result()
    assert (value["frames"], value["done"]) == ([], True)
    assert clicked.result()[:2] == (503, "unavailable")
    assert client.error(event="predict", frame=1, result=[CAR])[:2] == (503, "unavailable")
    assert "stopping" in client.value("track", "track_error", frame=1, result=[CAR])["error"]
