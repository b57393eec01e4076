"""A ``/predict`` without a press, of tasks that have boxes."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backend.errors import BusyError, WorkerLostError
from backend.prelabel import background, delivery
from backend.prelabel.later import Wake
from backend.service.job import MOST_LOSSES
from backend.tracks import Detection, FrameResult
from support.fake_studio import FakeStudio
from support.fake_tracker import PATIENCE, FakeTracker
from support.http import Answer
from support.service import (
    CONFIG,
    FRAMES,
    Item,
    Service,
    box_at,
    finish,
    keyframe,
    moved,
    notes_of,
    press,
    region,
    sequence_of,
    shown,
    task,
)

Start = Callable[..., Service]
CAR = region("car", keyframe(3, 40, 30, 32, 24, enabled=False), keyframe(5, 42, 30, 32, 24, enabled=False))
MAN = region("man", keyframe(3, 100, 60, 20, 40, enabled=False), label="Person", score=0.25)


@pytest.fixture(autouse=True)
def decisions(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What was said of tasks."""
    names = background.logger.name, delivery.logger.name
    for name in names:
        caplog.set_level(logging.INFO, name)
    return lambda: [one.getMessage() for one in caplog.records if one.name in names]


def found_by(model: str, *regions: Item) -> list[Item]:
    return [{"id": 9, "model_version": model, "result": list(regions), "score": 0.5}]


def detected(*regions: Item, number: int = 1, **further: Any) -> Item:
    return task(number, predictions=found_by("yolo-8", *(regions or (CAR, MAN))), **further)


def until(condition: Callable[[], bool]) -> None:
    """What no condition tells of happens on other threads."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def idle(service: Service) -> None:
    until(lambda: service.keytrack.health()["jobs"] == 0)


def test_boxes_of_another_model_become_one_prediction(start: Start, fake: FakeStudio, decisions) -> None:
    service = start(FakeTracker(paced=True))
    body = detected()
    before = copy.deepcopy(body)
    assert service.batch(body) == [[]]  # at once
    assert service.batch(body) == [[]]  # while it is being made
    finish(service)
    idle(service)
    (call,) = service.tracker.calls
    assert call.detections == {
        2: [Detection(pytest.approx((40, 30, 72, 54)), 1.0, "Car"), Detection((100, 60, 120, 100), 0.25, "Person")],
        4: [Detection(pytest.approx((42, 30, 74, 54)), 1.0, "Car")],
    }
    assert (call.rules.at_once, call.rules.complete) == (False, True)
    (posted,) = fake.of(1)
    assert posted["model_version"] == service.keytrack.model_version
    car, man = posted["result"]
    assert [one["value"]["labels"] for one in (car, man)] == [["Car"], ["Person"]]
    assert not {car["id"], man["id"]} & {"car", "man", "1", "2"}
    assert shown(car) == list(range(3, FRAMES + 1))
    assert box_at(car, 10) == pytest.approx((47, 30, 32, 24), abs=1)
    assert notes_of(car)[0] == "tracked 3-30"
    assert posted["score"] == min(car["score"], man["score"]) == pytest.approx(0.75)
    assert body == before
    assert decisions() == [
        "task 1 of project 1: is tracked by 3 boxes of its prediction of yolo-8",
        "task 1 of project 1: 2 tracks posted",
    ]
    # Where Label Studio has lost it, it is handed out as it is.
    (entry,) = service.batch(body)
    assert (entry["result"], entry["score"]) == (posted["result"], posted["score"])
    assert len(service.tracker.calls) == 1


def test_boxes_of_a_human(start: Start, fake: FakeStudio) -> None:
    service = start()
    drawn = region("drawn", keyframe(3, 40, 30, 32, 24))
    assert service.batch(task(annotations=[{"id": 4, "result": [drawn]}])) == [[]]
    until(lambda: len(fake.of(1)) == 1)
    assert service.tracker.calls[0].rules.at_once
    assert fake.of(1)[0]["result"][0]["id"] != "drawn"


def test_what_is_not_tracked(start: Start, fake: FakeStudio, decisions) -> None:
    service = start()
    ours = found_by(service.keytrack.model_version, CAR)
    broken = region("a", keyframe(3, 1, 1, 9, 9) | {"x": "3"})
    bodies = [
        task(1),
        task(2, predictions=found_by("keytrack-0.0.1-lite", CAR)),
        task(3, predictions=[*found_by("yolo-8", CAR), *ours]),
        detected(broken, number=4),
        detected(number=5, data={"clip": "clip.mp4"}),
        task(6, annotations=[{"id": 1, "was_cancelled": True, "result": [CAR]}]),
    ]
    assert service.batch(*bodies) == [[]] * 6
    assert service.batch(*bodies) == [[]] * 6
    idle(service)
    assert service.tracker.calls == [] and fake.predictions == {}
    version = service.keytrack.model_version
    assert decisions() == [
        "task 1 of project 1: not tracked: it has no boxes",
        "task 2 of project 1: not tracked: it has no boxes",
        f"task 3 of project 1: not tracked: it has a prediction of {version}",
        "task 4 of project 1: not tracked: its boxes cannot be read (predictions[0].result[0].value.sequence[0].x: "
        "Input should be a valid number; found '3')",
        "task 6 of project 1: not tracked: it has no boxes",
    ]


def test_it_can_be_switched_off(start: Start, fake: FakeStudio) -> None:
    service = start(prelabel="off")
    assert service.batch(detected()) == [[]]
    idle(service)
    assert service.tracker.calls == []


def test_where_somebody_pressed_the_presses_count(start: Start, fake: FakeStudio) -> None:
    service = start()
    pressed = service.press(region("mine", keyframe(10, 40, 30, 32, 24)))
    (entry,) = service.batch(detected())
    assert entry["result"] == pressed
    idle(service)
    assert len(service.tracker.calls) == 1 and fake.predictions == {}


@pytest.mark.parametrize("number", [1, 2], ids=["while it is tracked", "while it waits"])
def test_where_somebody_presses_meanwhile_the_presses_count(start: Start, fake: FakeStudio, decisions, number) -> None:
    service = start(FakeTracker(paced=True))
    service.batch(detected(), detected(number=2))
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    service.budget(0.05)
    service.press(region("mine", keyframe(10, 40, 30, 32, 24)), number=number)
    finish(service)
    idle(service)
    (posted,) = fake.of(number)  # since nobody waited for it
    assert [item["id"] for item in posted["result"]] == ["mine"]
    assert len(fake.of(3 - number)) == 1
    assert f"task {number} of project 1: left: somebody pressed for it meanwhile" in decisions()
    (entry,) = service.batch(detected(number=number))
    assert [item["id"] for item in entry["result"]] == ["mine"]


def test_a_press_builds_on_what_was_tracked(start: Start, fake: FakeStudio) -> None:
    service = start()
    service.batch(detected(CAR))
    until(lambda: len(fake.of(1)) == 1)
    (found,) = fake.of(1)[0]["result"]
    assert service.press_one(found)["value"] == found["value"]  # nothing was changed
    assert len(service.tracker.calls) == 1
    service.press_one(moved(found, 20, x=50))
    _, again = service.tracker.calls
    assert [prompt.frame for prompt in again.prompts] == [19]  # the human's alone
    assert set(again.before[found["id"]].observations) == set(range(2, FRAMES))


def test_a_press_goes_first(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True))
    service.batch(detected())
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    service.tracker.release()
    service.press(region("mine", keyframe(10, 40, 30, 32, 24)), number=2)
    until(lambda: len(fake.of(1)) == 1)
    assert [call.ended for call in service.tracker.calls] == [True, True]


def test_what_a_press_leaves_for_the_background_goes_first_too(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True))
    service.batch(detected())
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    service.budget(0.05)
    service.press(region("mine", keyframe(10, 40, 30, 32, 24)), number=2)
    jobs = service.keytrack._jobs._jobs
    until(lambda: [job.status for job in jobs.values()] == ["running", "ready"])
    service.tracker.allow(FRAMES + 1)  # one of them for the step that is under way
    service.tracker.until(lambda: len(service.tracker.calls) == 2 and service.tracker.calls[1].ended)
    assert not service.tracker.calls[0].ended
    finish(service)
    until(lambda: len(fake.of(1)) == 1)


def test_one_task_after_the_other(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True))
    assert service.batch(*(detected(number=number) for number in range(1, 6))) == [[]] * 5
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    assert service.keytrack.health()["jobs"] == 1
    finish(service)
    until(lambda: len(fake.predictions) == 5)
    assert [one["task"] for one in fake.predictions.values()] == [1, 2, 3, 4, 5]


def test_no_more_wait_than_can(start: Start, fake: FakeStudio, decisions, monkeypatch) -> None:
    monkeypatch.setattr(background, "MOST_WAITING", 1)
    service = start(FakeTracker(paced=True))
    service.batch(*(detected(number=number) for number in (1, 2, 3)))
    assert decisions()[-1] == "task 3 of project 1: not tracked now: 1 tasks are waiting; ask again later"
    finish(service)
    until(lambda: len(fake.predictions) == 2)
    service.batch(detected(number=3))
    until(lambda: len(fake.predictions) == 3)


def test_boxes_that_wait_have_bounds_too(start: Start, fake: FakeStudio, decisions, monkeypatch) -> None:
    monkeypatch.setattr(background, "MOST_WAITING_BYTES", 2000)
    service = start(FakeTracker(paced=True))
    large = [keyframe(frame, 40 + frame / 7, 30 + frame / 9, 32, 24) for frame in range(1, 31)] * 20
    many = [region(f"a{number}", *(one | {"y": one["y"] + number**0.5} for one in large[:30])) for number in range(9)]
    service.batch(detected(), detected(number=2), detected(*many, number=3))
    assert decisions()[-1] == "task 3 of project 1: not tracked now: 1 tasks are waiting; ask again later"
    finish(service)
    until(lambda: len(fake.predictions) == 2)


class Time:
    """A clock that is set, and alarms that ring when it is."""

    def __init__(self, service: Service) -> None:
        self.now = 1000.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        found = service.keytrack._background
        found._clock = lambda: self.now
        found._wake = Wake(
            found._next, found._clock, lambda seconds, ring: self.alarms.append((self.now + seconds, ring))
        )

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [one for one in self.alarms if one[0] <= self.now]
        self.alarms = [one for one in self.alarms if one[0] > self.now]
        for _, ring in due:
            ring()


def failures(decisions: Callable[[], list[str]]) -> list[str]:
    return [line.partition(": ")[2].partition(":")[0] for line in decisions() if "is tried again in" in line]


def test_a_failure_that_may_pass_is_tried_again_by_itself_after_ever_longer(
    start: Start, fake: FakeStudio, decisions
) -> None:
    service = start()
    clock = Time(service)
    service.tracker.fails_at = {5: RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")}
    service.batch(detected())
    for count, wait in enumerate((30, 60, 120), start=1):
        until(lambda count=count: len(failures(decisions)) == count and len(clock.alarms) == 1)
        clock.advance(wait - 1)
        assert len(service.tracker.calls) == count
        # Asked about meanwhile, it says so, once, and is not tried any sooner.
        assert service.batch(detected()) == [[]]
        assert decisions()[-1].endswith("and is tried again by itself")
        idle(service)
        assert len(service.tracker.calls) == count
        if count == 3:
            service.tracker.fails_at = {}
        clock.advance(1)
    until(lambda: len(fake.of(1)) == 1)
    assert failures(decisions)[-1] == "failed 3 times, is tried again in 120 s"
    assert len(service.tracker.calls) == 4


def test_a_queue_that_is_full_is_asked_again_after_a_while(start: Start, fake: FakeStudio, monkeypatch) -> None:
    service = start()
    clock = Time(service)

    def refuse(*_: object, **__: object) -> None:
        raise BusyError("1000 things wait")

    with monkeypatch.context() as full:
        full.setattr(service.keytrack._jobs, "submit", refuse)
        assert service.batch(detected(number=1), detected(number=2)) == [[], []]
        assert len(clock.alarms) == 1
    clock.advance(background.FIRST_WAIT)
    until(lambda: len(fake.of(1)) == len(fake.of(2)) == 1)


def test_others_are_tracked_while_one_waits_for_another_try(start: Start, fake: FakeStudio, decisions) -> None:
    service = start()
    clock = Time(service)
    gone = task(1, "/data/upload/1/gone.mp4", predictions=found_by("yolo-8", CAR))
    fake.site.routes["/data/upload/1/gone.mp4"] = Answer(503)
    service.batch(gone, detected(number=2))
    until(lambda: len(fake.of(2)) == 1 and len(failures(decisions)) == 1)
    fake.site.routes["/data/upload/1/gone.mp4"] = Answer(200, (service.settings.media_root / "clip.mp4").read_bytes())
    until(lambda: len(clock.alarms) == 1)
    clock.advance(30)
    until(lambda: len(fake.of(1)) == 1)


def test_with_other_boxes_it_is_tried_at_once(start: Start, fake: FakeStudio, decisions) -> None:
    service = start()
    Time(service)
    service.tracker.fails_at = {5: MemoryError()}
    service.batch(detected())
    until(lambda: len(failures(decisions)) == 1)
    service.tracker.fails_at = {}
    service.batch(detected(CAR))
    until(lambda: len(fake.of(1)) == 1)
    assert len(fake.of(1)[0]["result"]) == 1


def test_the_wait_has_an_end(start: Start, fake: FakeStudio, decisions, monkeypatch) -> None:
    monkeypatch.setattr(background, "LONGEST_WAIT", 40.0)
    service = start()
    clock = Time(service)
    service.tracker.fails_at = {5: MemoryError()}
    service.batch(detected())
    for count, wait in enumerate((30, 40, 40), start=1):
        until(lambda count=count: len(failures(decisions)) == count and len(clock.alarms) == 1)
        assert failures(decisions)[-1].endswith(f"is tried again in {wait} s")
        clock.advance(wait)
    until(lambda: len(failures(decisions)) == 4)


def test_what_fails_for_good_is_not_tried_again_with_the_same_boxes(start: Start, fake: FakeStudio, decisions) -> None:
    service = start()
    missing = {"video": "none.mp4", "fps": 10}
    service.batch(detected(data=missing))
    idle(service)
    service.batch(detected(data=missing))
    idle(service)
    assert decisions()[1:] == [
        "task 1 of project 1: not tracked again: it was tried by 3 boxes of its prediction of yolo-8 since this "
        "service started"
    ]
    beyond = region("a", keyframe(99, 1, 1, 9, 9))
    service.batch(detected(beyond, data={"video": "clip.mp4", "fps": 10}))
    idle(service)
    assert service.tracker.calls == [] and fake.predictions == {}
    service.batch(detected())
    until(lambda: len(fake.of(1)) == 1)


def test_a_failure_in_the_middle_leaves_nothing_and_the_next_task_goes_on(start: Start, fake: FakeStudio) -> None:
    service = start()
    service.tracker.fails_at = {5: ValueError("a fault")}
    service.batch(detected())
    idle(service)
    service.tracker.fails_at = {}
    service.batch(detected(number=2))
    until(lambda: len(fake.of(2)) == 1)
    assert fake.of(1) == [] and service.batch(detected()) == [[]]


def test_nothing_found_is_a_prediction_too(start: Start, fake: FakeStudio) -> None:
    service = start()
    service.tracker.absent = frozenset(range(FRAMES))
    service.tracker.track_detections = lambda *_, **__: iter(())  # type: ignore[method-assign]
    service.batch(detected())
    until(lambda: len(fake.of(1)) == 1)
    assert (fake.of(1)[0]["result"], fake.of(1)[0]["score"]) == ([], 0.0)


def test_a_prediction_that_came_meanwhile_stays_the_only_one(start: Start, fake: FakeStudio, decisions) -> None:
    service = start(FakeTracker(paced=True))
    service.batch(detected())
    fake.add(1, model_version=service.keytrack.model_version)
    finish(service)
    idle(service)
    assert len(fake.of(1)) == 1
    assert decisions()[-1] == "task 1 of project 1: not posted: it has a prediction meanwhile"


@pytest.mark.parametrize("status", [403, 500])
def test_what_cannot_be_posted_is_handed_out(start: Start, fake: FakeStudio, decisions, status) -> None:
    service = start()
    fake.refuses = status
    service.batch(detected())
    idle(service)
    assert f"Label Studio answered {status}" in decisions()[-1]
    (entry,) = service.batch(detected())
    assert [sequence_of(item)[0]["frame"] for item in entry["result"]] == [3, 3]


def test_without_a_token_it_is_handed_out(start: Start, fake: FakeStudio, decisions) -> None:
    service = start(label_studio_url=None, label_studio_token=None)
    service.batch(detected())
    idle(service)
    assert "no token is known" in decisions()[-1]
    assert len(service.batch(detected())[0]["result"]) == 2
    assert fake.site.asked == []


def test_the_token_that_label_studio_reported_goes_to_where_it_reported_from(start: Start, fake: FakeStudio) -> None:
    service = start(label_studio_url=None, label_studio_token="configured")
    setup = {"project": "1.17", "hostname": fake.url, "access_token": "f00d"}
    assert service.client.post("/setup", json=setup).status_code == 200
    service.batch(detected())
    until(lambda: len(fake.of(1)) == 1)
    assert all("configured" not in str(one.headers) for one in fake.site.asked)


def test_a_service_that_stops_leaves_what_waits(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True))
    service.batch(*(detected(number=number) for number in range(1, 4)))
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    service.close()
    assert fake.predictions == {}
    service = start()
    service.batch(*(detected(number=number) for number in range(1, 4)))
    until(lambda: len(fake.predictions) == 3)


def test_everything_in_tasks_without_boxes(start: Start, fake: FakeStudio, decisions) -> None:
    service = start(prelabel="everything")
    one_label = CONFIG.replace('<Label value="Person"/>', "")
    body = {**press(), "tasks": [task(1), detected(number=2)], "params": {"context": None}, "label_config": one_label}
    assert service.predict(body) == (200, {"results": [[], []], "model_version": service.keytrack.model_version})
    until(lambda: len(fake.predictions) == 2)
    everything, detections = service.tracker.calls
    assert everything.everything is not None and detections.everything is None
    assert [one["value"]["labels"] for one in fake.of(1)[0]["result"]] == [["Car"]]
    assert decisions()[0] == "task 1 of project 1: is tracked by everything, as Car"
    # Nobody says which of two labels it is.
    assert service.batch(task(3)) == [[]]
    assert "nobody says which of the project's 2 labels everything is" in decisions()[-1]


class Mortal(FakeTracker):
    """Its worker dies in the middle, so often."""

    def __init__(self, deaths: int) -> None:
        super().__init__()
        self.deaths = deaths

    def track_detections(self, *args: Any, **further: Any) -> Iterator[FrameResult]:
        """As the fake one does it."""
        for result in super().track_detections(*args, **further):
            if self.deaths and result.frame == 14:
                self.deaths -= 1
                raise WorkerLostError("the worker has died")
            yield result


def test_where_a_worker_died_another_one_goes_on_at_once(start: Start, fake: FakeStudio, decisions) -> None:
    tracker = Mortal(deaths=MOST_LOSSES - 1)
    clock = Time(service := start(factories=[lambda: tracker, lambda: tracker]))
    service.batch(detected(), detected(number=2))
    until(lambda: [len(fake.of(number)) for number in (1, 2)] == [1, 1])
    assert [call.frames[-1] for call in tracker.calls] == [13, 13, FRAMES - 1, FRAMES - 1]
    assert (failures(decisions), clock.alarms) == ([], [])


def test_a_task_that_workers_die_of_lets_the_others_go_first(start: Start, fake: FakeStudio, decisions) -> None:
    clock = Time(service := start(Mortal(deaths=MOST_LOSSES)))
    service.batch(detected(), detected(number=2))
    until(lambda: len(fake.of(2)) == 1)
    assert (fake.of(1), failures(decisions)) == ([], ["failed once, is tried again in 30 s"])
    until(lambda: len(clock.alarms) == 1)
    clock.advance(background.FIRST_WAIT)
    until(lambda: len(fake.of(1)) == 1)
