"""Several objects and corrections in the interactive video protocol: what the example backend has not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.service.video_payloads import MAX_OBJECTS, MAX_POINTS
from support.fake_tracker import FakeTracker
from support.service import CONFIG, FRAMES, Background, Item, Service
from support.video_client import Client, box_of, eventually, point

Start = Callable[..., Service]

CAR, DOG = point(25, 25), point(75, 50)
CAR_BOX, DOG_BOX = (36.0, 26.0, 44.0, 34.0), (116.0, 56.0, 124.0, 64.0)


@pytest.fixture
def client(service: Service) -> Client:
    return Client.of(service)


def marked(service: Service, call: int = -1) -> list[tuple[str, int]]:
    """Whom the tracker was given, and on which frames."""
    return [(prompt.object_id, prompt.frame) for prompt in service.tracker.calls[call].prompts]


# --- several objects -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        lambda item, name: {**item, "object": name},
        lambda item, name: {**item, "region_id": name},
        lambda item, name: {**item, "value": {**item["value"], "object": name}},
        lambda item, name: {**item, "value": {**item["value"], "region_id": name}},
    ],
)
def test_each_object_has_its_own_mask(client: Client, name: Callable[[Item, str], Item]) -> None:
    results = client.result(event="predict", frame=1, result=[name(CAR, "car"), name(DOG, "dog")])
    assert [item["type"] for item in results] == ["bitmask", "bitmask"]
    assert len({item["id"] for item in results}) == 2
    assert {item["value"]["object"]: box_of(item["value"]) for item in results} == {"car": CAR_BOX, "dog": DOG_BOX}


def test_a_context_can_name_the_object_of_all_its_marks(service: Service, client: Client) -> None:
    assert client.predict(CAR, DOG, frame=1, object=7)["object"] == "7"
    assert client.predict(CAR, {**DOG, "object": "7"}, frame=1, region_id="7")["object"] == "7"
    assert len(service.tracker.clicks) == 1


def test_objects_that_are_tracked_together_compete(service: Service, client: Client) -> None:
    marks = [{**CAR, "object": "car"}, {**DOG, "object": "dog"}]
    value = client.track(*marks, frame=1, max_frames=3)
    assert value["total_frames"] == 4
    frames, last = client.drain(value["session_id"])
    assert (last["produced"], last["total"]) == (8, 8)
    assert sorted((one["object"], one["frame"]) for one in frames) == [
        (name, frame) for name in ("car", "dog") for frame in range(4)
    ]
    assert marked(service) == [("car", 0), ("dog", 0)]


def test_clicks_on_one_object_leave_the_others_logits(service: Service, client: Client) -> None:
    for marks in ([CAR], [DOG], [CAR, point(30, 25)], [DOG, point(70, 50)]):
        client.predict(*marks, frame=1, object=str(marks[0]["value"]["x"]))
    assert [from_ for _, from_ in service.tracker.clicks] == [None, None, 1, 2]


# --- several tracks ------------------------------------------------------------------------------


def test_a_short_track_does_not_wait_for_a_long_one_to_end(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    clients = [Client.of(service, number=number) for number in (1, 2)]
    asked: list[dict[str, int]] = [{}, {"max_frames": 3}]
    sessions = [client.track(CAR, frame=1, **more)["session_id"] for client, more in zip(clients, asked, strict=True)]
    long, short = (
        Background(lambda client=client, session=session: client.drain(session))
        for client, session in zip(clients, sessions, strict=True)
    )
    eventually(lambda: sum(job.waiters for job in [*service.keytrack._jobs._jobs.values()]) == 2)
    tracker.allow(10)  # of more than thirty
    assert len(short.result()[0]) == 4
    tracker.release()
    assert len(long.result()[0]) == FRAMES


# --- corrections ---------------------------------------------------------------------------------


def test_a_correction_goes_on_from_what_is_known_of_the_object(service: Service, client: Client) -> None:
    assert len(client.tracked(CAR, frame=1, object="car")) == FRAMES
    again = client.tracked(point(60, 60), frame=11, object="car", max_frames=5)
    assert marked(service) == [("car", 10), ("car", 0)]
    assert [one["frame"] for one in again] == list(range(10, 16))
    assert box_of(again[0]) == (92, 68, 100, 76)
    # The mask of the first frame is the one that was tracked from, as it was.
    first = service.tracker.calls[-1].boxes_of("car")[0]
    assert first == CAR_BOX


def test_a_frame_that_is_corrected_again_counts_once(service: Service, client: Client) -> None:
    for x in (25, 27, 60):
        client.tracked(point(x, 25), frame=1, object="car", max_frames=1)
    assert marked(service) == [("car", 0)]


def test_another_object_does_not_know_of_it(service: Service, client: Client) -> None:
    client.tracked(CAR, frame=1, object="car", max_frames=1)
    client.tracked(DOG, frame=5, object="dog", max_frames=1)
    assert marked(service) == [("dog", 4)]
    Client.of(service, number=2).tracked(CAR, frame=5, object="car", max_frames=1)
    assert marked(service) == [("car", 4)]


def test_the_nearest_corrections_are_remembered(service: Service, client: Client) -> None:
    for frame in (1, 30, 4, 7, 10, 13, 16, 19, 22, 25):
        client.tracked(CAR, frame=frame, object="car", max_frames=1)
    assert [frame for _, frame in marked(service)] == [24, 21, 29, 18, 15, 12, 9, 6]


@pytest.mark.parametrize(
    ("correction", "frame", "expected"),
    [
        # By frame 10 the box has moved ten pixels.
        (point(32, 25), 11, [10, 0]),
        (point(75, 75), 11, [10]),
        (point(26, 25), 1, [0]),
    ],
)
def test_without_a_name_it_is_the_same_object_where_the_two_overlap(
    service: Service, client: Client, correction: Item, frame: int, expected: list[int]
) -> None:
    client.tracked(CAR, frame=1)
    client.tracked(correction, frame=frame, max_frames=1)
    assert [frame for _, frame in marked(service)] == expected


def test_without_a_name_a_third_track_knows_the_first(service: Service, client: Client) -> None:
    client.tracked(CAR, frame=1)
    client.tracked(point(32, 25), frame=11, max_frames=2)
    client.tracked(point(38, 25), frame=21, max_frames=2)
    assert [frame for _, frame in marked(service)] == [20, 10, 0]


def test_a_replaced_video_has_nothing_to_do_with_it(service: Service, client: Client) -> None:
    client.tracked(CAR, frame=1, object="car")
    path = service.settings.media_root / "clip.mp4"  # type: ignore[operator]
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data + b"\0")
    client.tracked(CAR, frame=11, object="car")
    assert marked(service) == [("car", 10)]


# --- too much ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "marks",
    [
        [{**CAR, "object": str(number)} for number in range(MAX_OBJECTS + 1)],
        [CAR] * (MAX_POINTS + 1),
    ],
)
def test_too_many_marks_are_refused(service: Service, client: Client, marks: list[Item]) -> None:
    assert client.post(event="predict", frame=1, result=marks[:-1])[0] == 200
    clicks = len(service.tracker.clicks)
    status, code, message = client.error(event="predict", frame=1, result=marks)
    assert (status, code) == (400, "bad-payload")
    assert f"at most {MAX_OBJECTS} objects with {MAX_POINTS} points" in message
    assert len(service.tracker.clicks) == clicks


# --- which calls are of this protocol ------------------------------------------------------------


@pytest.mark.parametrize(
    "context",
    [{"frame": 3, "result": []}, {"time_ms": 200, "result": []}, {"result": [CAR]}, {"frame": 3, "result": [CAR]}],
)
def test_a_call_without_an_event_that_cannot_be_a_press_is_a_click(client: Client, context: Item) -> None:
    kinds = [item["type"] for item in client.result(**context)]
    assert kinds == ["bitmask"] * len(context["result"])


FRAMES_MASKS = (Path(__file__).parents[2] / "labelstudio_config" / "frames_masks.xml").read_text("utf-8")
IMAGES = """<View><Image name="i" value="$video"/>
  <BitmaskLabels name="b" toName="i"><Label value="a"/></BitmaskLabels></View>"""


@pytest.mark.parametrize(
    ("config", "context"),
    [
        (CONFIG, {"result": []}),
        (CONFIG, {"frame": None, "result": []}),
        (IMAGES, {"result": [CAR]}),
        (FRAMES_MASKS, {"result": [CAR]}),
        ("<View/>", {"frame": 3, "result": [CAR]}),
    ],
)
def test_other_calls_are_presses(service: Service, config: str, context: Item) -> None:
    _, body = Client.of(service, config).post(**context)
    assert "bitmask" not in str(body)
    assert service.tracker.clicks == []
