"""The contract of the interactive video protocol, event by event."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from backend import __version__
from backend.tracks import Point
from support.fake_tracker import FakeTracker
from support.service import CONFIG, FPS, FRAMES, HEIGHT, WIDTH, Background, Item, Service, press, task
from support.video_client import Client, box, box_of, eventually, limit, mask_of, point

Start = Callable[..., Service]

CAR = point(25, 25)  # (40, 30) in pixels
CAR_BOX = (36.0, 26.0, 44.0, 34.0)
VECTORS = """<View><Video name="v" value="$video"/>
  <VideoRectangle name="r" toName="v"/><VideoVectorLabels name="vec" toName="v"><Label value="Car"/></VideoVectorLabels>
</View>"""


@pytest.fixture
def client(service: Service) -> Client:
    return Client.of(service)


def frames_of(values: list[Item]) -> list[int]:
    return [value["frame"] for value in values]


# --- what every reply has ------------------------------------------------------------------------

EVERY_EVENT = [
    ({"event": "prewarm", "frame": 2}, "prewarm_ack"),
    ({"event": "predict", "frame": 2, "result": [CAR]}, "bitmask"),
    ({"event": "track", "frame": 2, "result": [CAR]}, "track_started"),
    ({"event": "track", "frame": 2}, "track_error"),
    ({"event": "track_progress", "session_id": "none"}, "track_progress"),
    ({"event": "track_cancel", "session_id": "none"}, "track_cancel_ack"),
    ({"event": "release"}, "release_ack"),
]


@pytest.mark.parametrize(("context", "kind"), EVERY_EVENT)
@pytest.mark.parametrize(("config", "names"), [(CONFIG, ("box", "video")), (VECTORS, ("vec", "v"))])
def test_a_reply_is_one_result_with_its_names(
    service: Service, context: Item, kind: str, config: str, names: tuple[str, str]
) -> None:
    (item,) = Client.of(service, config).result(**context)
    assert list(item) == ["id", "from_name", "to_name", "type", "origin", "value"]
    assert (item["from_name"], item["to_name"]) == names
    assert (item["type"], item["origin"]) == (kind, "manual")
    assert re.fullmatch(r"[0-9a-f]{8}", item["id"])


def test_an_entry_has_the_model_version(service: Service) -> None:
    _, body = Client.of(service).post(event="release")
    assert body["results"][0]["model_version"] == service.keytrack.model_version


# --- capabilities --------------------------------------------------------------------------------


@pytest.mark.parametrize("tasks", [[], [task()]])
@pytest.mark.parametrize("config", [CONFIG, None, "<View/>"])
def test_capabilities_need_neither_a_task_nor_a_configuration(service: Service, tasks: list[Item], config: Any) -> None:
    body = {**press(config=config), "tasks": tasks, "params": {"context": {"event": "capabilities"}}}
    status, reply = service.predict(body)
    assert status == 200
    (item,) = reply["results"][0]["result"]
    assert list(item) == ["id", "type", "origin", "value"]
    assert item["value"]["prompts"] == ["point", "box"]
    assert item["value"]["model_info"] == {"name": "keytrack", "version": f"{__version__}-lite"}
    assert [(one["tag"], one["output"], one.get("features")) for one in item["value"]["targets"]] == [
        ("BitmaskLabels", "mask", None),
        ("RectangleLabels", "bbox", None),
        ("PolygonLabels", "polygon", None),
        ("VectorLabels", "polygon", None),
        ("VideoRectangle", "bbox", ["track"]),
        ("VideoVectorLabels", "polygon", ["track"]),
    ]
    assert service.built == 0


# --- which frame ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "frame"),
    [
        ({}, 0),
        ({"frame": 1}, 0),
        ({"frame": 30}, 29),
        ({"frame": 31}, 29),
        ({"frame": 0}, 0),
        ({"frame": -7}, 0),
        ({"frame": None, "time_ms": None}, 0),
        ({"time_ms": 0}, 0),
        ({"time_ms": 99.9}, 0),
        ({"time_ms": 100}, 1),
        ({"time_ms": 702}, 7),
        ({"time_ms": -5}, 0),
        ({"time_ms": 5e9}, 29),
        ({"time_ms": 702, "frame": 3}, 7),
    ],
)
def test_a_moment_is_a_frame(service: Service, client: Client, moment: Item, frame: int) -> None:
    client.predict(CAR, **moment)
    assert [prompt.frame for prompt, _ in service.tracker.clicks] == [frame]


def test_the_time_of_a_frame_leads_back_to_it(service: Service, client: Client) -> None:
    times = [value["time_ms"] for value in client.tracked(CAR)]
    assert times == [index * 100.0 for index in range(FRAMES)]
    for time_ms in times[::9]:
        client.predict(CAR, time_ms=time_ms)
    assert [prompt.frame for prompt, _ in service.tracker.clicks[1:]] == [9, 18, 27]  # the first was tracked from


# --- prewarm -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "pending"),
    [
        ({"frame": 5, "window": 3}, [4, 5, 6]),
        ({"frame": 5, "window": 3, "direction": "forward"}, [4, 5, 6]),
        ({"frame": 5, "window": 3, "direction": "backward"}, [4, 3, 2]),
        ({"frame": 5, "window": 3, "direction": "sideways"}, [4, 5, 6]),
        ({"time_ms": 410, "window": 1}, [4]),
        ({"frame": 29, "window": 9}, [28, 29]),
        ({"frame": 2, "window": 9, "direction": "backward"}, [1, 0]),
        ({"frame": 1}, list(range(20))),
        ({"frame": 1, "window": 999}, list(range(20))),
    ],
)
def test_frames_are_encoded_ahead(service: Service, client: Client, request_: Item, pending: list[int]) -> None:
    value = client.value("prewarm", "prewarm_ack", **request_)
    assert value == {"status": "ok", "cached": [], "pending": pending, "frame_count": FRAMES}
    eventually(lambda: not len(service.keytrack._jobs))
    again = client.value("prewarm", "prewarm_ack", **request_)
    assert (again["cached"], again["pending"]) == (pending, [])
    assert [frame for _, frame in service.tracker.encoded] == pending


def test_a_newer_window_takes_the_place_of_an_older_one(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    client = Client.of(service)
    client.track(CAR, frame=1)
    tracker.until(lambda: len(tracker.calls) == 1)
    for frame in (11, 21):
        client.value("prewarm", "prewarm_ack", frame=frame, window=2)
    tracker.release()
    eventually(lambda: not len(service.keytrack._jobs))
    assert [frame for _, frame in tracker.encoded] == [0, 20, 21]


@pytest.mark.parametrize("window", [0, -1, 2.5, "3", True, [3]])
def test_a_window_that_is_none_is_told(client: Client, window: object) -> None:
    value = client.value("prewarm", "prewarm_ack", frame=1, window=window)
    assert set(value) == {"status", "error"}
    assert value["status"] == "error"
    assert "window" in value["error"]


def test_prewarming_a_video_that_is_not_there_is_told(service: Service) -> None:
    value = Client.of(service, video="other.mp4").value("prewarm", "prewarm_ack", frame=1)
    assert (value["status"], "other.mp4" in value["error"]) == ("error", True)


# --- predict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", ["predict", None])
def test_a_click_is_answered_with_a_picture(client: Client, event: str | None) -> None:
    value = client.value(event, "bitmask", frame=3, result=[CAR])
    assert (set(value), value["width"], value["height"]) == ({"imageDataURL", "width", "height"}, WIDTH, HEIGHT)
    assert box_of(value) == CAR_BOX


@pytest.mark.parametrize(
    ("marks", "points", "drawn"),
    [
        ([CAR, point(75, 50, False)], (Point(40, 30), Point(120, 60, False)), None),
        ([{**CAR, "is_positive": False}, point(50, 50)], (Point(40, 30, False), Point(80, 60)), None),
        ([{"value": {"x": 25, "y": 25}}], (Point(40, 30),), None),
        (
            [{"type": "keypointlabels", "value": {"x": 25, "y": 25, "width": 0.2, "height": 0.2}}],
            (Point(40, 30),),
            None,
        ),
        ([point(110, -5), CAR], (Point(160, 0), Point(40, 30)), None),
        ([box(10, 10, 20, 20)], (), (16, 12, 48, 36)),
        ([box(10, 10, 20, 20), box(50, 50, 25, 50)], (), (80, 60, 120, 120)),
        ([box(50, 50, 70, 90)], (), (80, 60, 160, 120)),
        ([{"value": {"x": 10, "y": 10, "width": 20, "height": 20}}], (), (16, 12, 48, 36)),
        ([CAR, box(10, 10, 20, 20)], (Point(40, 30),), (16, 12, 48, 36)),
        ([CAR, {"type": "choices", "value": {"choices": ["both"]}}], (Point(40, 30),), None),
    ],
)
def test_what_marks_mean(service: Service, client: Client, marks: list[Item], points: Any, drawn: Any) -> None:
    client.predict(*marks, frame=1)
    ((prompt, _),) = service.tracker.clicks
    assert prompt.points == points
    assert prompt.box == (None if drawn is None else pytest.approx(drawn))


@pytest.mark.parametrize("result", [None, [], [{"type": "choices", "value": {"choices": ["both"]}}]])
def test_without_marks_there_is_no_result(service: Service, client: Client, result: object) -> None:
    assert client.result(event="predict", frame=1, result=result) == []
    assert service.tracker.clicks == []


def test_a_further_click_goes_on_from_the_answer_before(service: Service, client: Client) -> None:
    other, third = point(75, 50, False), point(30, 25)
    for marks in ([CAR], [CAR, other], [CAR, other, third], [CAR, third], [CAR, third]):
        client.predict(*marks, frame=4)
    client.predict(CAR, third, other, frame=5)
    # A click that was taken back leads to a new beginning, and the same clicks to the same answer; so does a new frame.
    assert [from_ for _, from_ in service.tracker.clicks] == [None, 1, 2, None, None]


def test_a_click_does_not_wait_for_a_whole_track(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    client = Client.of(service)
    session = client.track(CAR, frame=1)["session_id"]
    tracker.until(lambda: len(tracker.calls) == 1)
    clicked = Background(lambda: client.predict(CAR, frame=9))
    eventually(lambda: any(job.waiters and job.status == "ready" for job in service.keytrack._jobs.live()))
    tracker.allow(1)  # the worker is at the first frame of thirty
    assert box_of(clicked.result()) == CAR_BOX
    assert tracker.calls[0].frames in ([], [0])
    tracker.release()
    assert frames_of(client.drain(session)[0]) == list(range(FRAMES))


# --- track ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "frames"),
    [
        ({"frame": 11, "max_frames": 5}, range(10, 16)),
        ({"frame": 11, "max_frames": 5, "direction": "forward"}, range(10, 16)),
        ({"frame": 11, "max_frames": 5, "direction": "backward"}, range(10, 4, -1)),
        ({"frame": 11, "max_frames": 5, "direction": "both"}, [*range(10, 16), *range(9, 4, -1)]),
        ({"frame": 11, "max_frames": 5, "direction": "sideways"}, range(10, 16)),
        ({"frame": 11, "max_frames": 5, "direction": None}, range(10, 16)),
        ({"time_ms": 2810, "max_frames": 5}, [28, 29]),
        ({"frame": 2, "max_frames": 5, "direction": "backward"}, [1, 0]),
        ({"frame": 30, "direction": "forward"}, [29]),
        ({"frame": 1}, range(FRAMES)),
        ({"frame": 1, "max_duration_ms": 300}, range(4)),
        ({"frame": 1, "max_duration_ms": 300, "max_frames": 9}, range(4)),
        ({"frame": 1, "max_duration_ms": 0}, [0]),
        ({"frame": 1, "max_duration_ms": 1e9}, range(FRAMES)),
        ({"frame": 1, "max_frames": 10**6}, range(FRAMES)),
    ],
)
def test_a_track_starts_at_once_and_is_fetched_in_portions(client: Client, request_: Item, frames: Any) -> None:
    value = client.track(CAR, **request_)
    assert re.fullmatch(r"[0-9a-f]{12}", value.pop("session_id"))
    assert value == {"total_frames": len(frames), "fps": FPS, "duration_ms": FRAMES / FPS * 1000}
    tracked = client.tracked(CAR, **request_)
    assert sorted(frames_of(tracked)) == sorted(frames)
    if request_.get("direction") != "both":
        assert frames_of(tracked) == list(frames)


def test_no_more_frames_are_tracked_than_the_limit(service: Service) -> None:
    limit(service, frames=7)
    client = Client.of(service)
    assert client.track(CAR, frame=1)["total_frames"] == 8
    assert client.track(CAR, frame=1, max_frames=300)["total_frames"] == 8
    assert client.track(CAR, frame=1, max_duration_ms=30000)["total_frames"] == 8


def test_a_portion(service: Service, client: Client) -> None:
    session = client.track(CAR, frame=3, max_frames=2)["session_id"]
    frames, last = client.drain(session)
    assert [(one["frame"], one["time_ms"], one["width"], one["height"]) for one in frames] == [
        (2, 200.0, WIDTH, HEIGHT),
        (3, 300.0, WIDTH, HEIGHT),
        (4, 400.0, WIDTH, HEIGHT),
    ]
    assert all(set(one) == {"frame", "time_ms", "imageDataURL", "width", "height"} for one in frames)
    x0, y0, x1, y1 = CAR_BOX
    assert [box_of(one) for one in frames] == [(x0 + step, y0, x1 + step, y1) for step in range(3)]
    assert {key: value for key, value in last.items() if key != "frames"} == {
        "produced": 3,
        "total": 3,
        "done": True,
        "error": None,
    }
    # What was fetched is gone.
    again = client.progress(session)
    assert again == {"frames": [], "produced": 3, "total": 3, "done": True, "error": None}


def test_a_track_begins_with_the_mask_that_was_shown(service: Service, client: Client) -> None:
    shown = mask_of(client.predict(CAR, frame=3))
    frames = client.tracked(CAR, frame=3)
    assert len(service.tracker.clicks) == 1
    (call,) = service.tracker.calls
    (prompt,) = call.prompts
    assert prompt.mask is not None
    assert np.array_equal(prompt.mask, shown)
    assert np.array_equal(mask_of(frames[0]), shown)


def test_a_box_can_be_tracked(client: Client) -> None:
    assert box_of(client.tracked(box(10, 10, 20, 20), frame=1)[0]) == (16, 12, 48, 36)


# --- progress ------------------------------------------------------------------------------------


def test_frames_come_while_others_are_still_tracked(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    client = Client.of(start(tracker))
    session = client.track(CAR, frame=1)["session_id"]
    tracker.allow(3)
    tracker.until(lambda: bool(tracker.calls) and len(tracker.calls[0].frames) == 3)
    first = client.progress(session)
    assert (frames_of(first["frames"]), first["produced"], first["total"], first["done"]) == (
        [0, 1, 2],
        3,
        FRAMES,
        False,
    )
    tracker.release()
    frames, last = client.drain(session)
    assert frames_of(frames) == list(range(3, FRAMES))
    assert last["produced"] == FRAMES


def test_a_track_ends_where_its_object_is_lost(service: Service, client: Client) -> None:
    service.tracker.absent = frozenset({4, 7, 8, 9, 10})
    frames, last = client.drain(client.track(CAR, frame=1)["session_id"])
    assert frames_of(frames) == [0, 1, 2, 3, 5, 6]
    assert (last["done"], last["error"], last["produced"], last["total"]) == (True, None, 6, FRAMES)
    assert max(service.tracker.calls[0].frames) == 8


def test_one_direction_ends_and_the_other_goes_on(service: Service, client: Client) -> None:
    service.tracker.absent = frozenset({11, 12, 13})
    assert sorted(frames_of(client.tracked(CAR, frame=11, direction="both"))) == list(range(11))


# --- cancel and release --------------------------------------------------------------------------


def test_a_track_that_is_cancelled_stops_and_what_there_is_can_be_fetched(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    client = Client.of(start(tracker))
    session = client.track(CAR, frame=1)["session_id"]
    tracker.allow(2)
    tracker.until(lambda: bool(tracker.calls) and len(tracker.calls[0].frames) == 2)
    assert client.value("track_cancel", "track_cancel_ack", session_id=session) == {"status": "cancelled"}
    tracker.until(lambda: tracker.calls[0].ended)
    frames, last = client.drain(session)
    assert frames_of(frames) == [0, 1]
    assert (last["done"], last["error"], last["produced"], last["total"]) == (True, None, 2, FRAMES)
    assert client.value("track_cancel", "track_cancel_ack", session_id=session) == {"status": "cancelled"}


def test_a_track_that_is_still_queued_can_be_cancelled(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    client = Client.of(start(tracker))
    client.track(CAR, frame=1)
    tracker.until(lambda: len(tracker.calls) == 1)
    queued = client.track(CAR, frame=5)["session_id"]
    client.value("track_cancel", "track_cancel_ack", session_id=queued)
    assert client.progress(queued) == {"frames": [], "produced": 0, "total": 26, "done": True, "error": None}
    tracker.release()
    assert len(tracker.calls) == 1


def test_release_ends_a_tasks_tracks_and_drops_what_is_kept_of_it(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    client, other = Client.of(service), Client.of(service, number=2)
    client.predict(CAR, frame=7)
    session = client.track(CAR, frame=1)["session_id"]
    tracker.until(lambda: len(tracker.calls) == 1)
    another = other.track(CAR, frame=1)["session_id"]
    assert client.value("release", "release_ack") == {"status": "released"}
    tracker.until(lambda: tracker.calls[0].ended)
    assert client.progress(session) == {"error": "session not found", "done": True}
    assert 6 not in [frame for _, frame in tracker.encoded]
    tracker.release()
    assert len(other.drain(another)[0]) == FRAMES
    client.predict(CAR, point(75, 50, False), frame=7)
    assert tracker.clicks[-1][1] is None


def test_releasing_what_was_never_used_is_no_fault(service: Service, client: Client) -> None:
    assert client.value("release", "release_ack") == {"status": "released"}
    assert service.built == 0
