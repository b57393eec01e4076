"""What Label Studio tells by itself, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.downloads import Unreachable
from support.fake_studio import FakeStudio
from support.fake_tracker import FakeTracker
from support.service import CONFIG, Item, Service, finish, keyframe, notes_of, region, task
from support.video_client import eventually

Start = Callable[..., Service]
BOX = region("car", keyframe(3, 40, 30, 32, 24))
PROJECT: Item = {"id": 1, "label_config": CONFIG, "token": "secret", "task_data_password": "secret"}


def detected(number: int) -> Item:
    return task(number, predictions=[{"id": number, "model_version": "yolo-8", "result": [BOX], "score": 0.5}])


def tell(service: Service, action: str, **further: Any) -> None:
    """A webhook, which is acknowledged."""
    reply = service.client.post("/webhook", json={"action": action, "project": PROJECT, **further})
    assert reply.status_code == 200


def annotated(number: int) -> Item:
    return {"annotation": {"id": 7, "task": number, "result": [BOX]}, "task": {"id": number}}


def idle(service: Service) -> bool:
    return len(service.keytrack._jobs) == 0


def test_new_tasks_with_boxes_are_tracked_before_anybody_opens_them(start: Start, fake: FakeStudio) -> None:
    service = start()
    tell(service, "TASKS_CREATED", tasks=[detected(1), detected(2), task(3)])
    eventually(lambda: fake.of(1) and fake.of(2))
    eventually(lambda: idle(service))
    assert (len(service.tracker.calls), fake.of(3)) == (2, [])


def test_a_webhook_that_comes_twice_does_nothing_twice(start: Start, fake: FakeStudio) -> None:
    service = start()
    for _ in range(3):
        tell(service, "TASKS_CREATED", tasks=[detected(1)])
    eventually(lambda: fake.of(1))
    tell(service, "TASKS_CREATED", tasks=[detected(1)])
    eventually(lambda: idle(service))
    assert (len(service.tracker.calls), len(fake.of(1))) == (1, 1)


def test_a_task_that_was_annotated_is_not_tried_again(
    start: Start, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start()

    def resolve(*_: object) -> Path:
        tell(service, "ANNOTATION_CREATED", **annotated(1))
        raise Unreachable("the video's host is away")

    monkeypatch.setattr(service.keytrack._media, "resolve", resolve)
    tell(service, "TASKS_CREATED", tasks=[detected(1)])
    eventually(lambda: idle(service))
    assert service.keytrack._background._waiting.next_due() is None


def test_training_tracks_what_the_project_has(start: Start, fake: FakeStudio) -> None:
    fake.label_config = CONFIG
    fake.tasks = [detected(1), task(2), detected(3)]
    service = start()
    tell(service, "START_TRAINING")
    eventually(lambda: fake.of(1) and fake.of(3))
    eventually(lambda: idle(service))
    assert fake.of(2) == []


def test_nothing_is_tracked_where_that_is_switched_off(start: Start, fake: FakeStudio) -> None:
    service = start(prelabel="off")
    fake.label_config, fake.tasks = CONFIG, [detected(1)]
    tell(service, "TASKS_CREATED", tasks=[detected(1)])
    tell(service, "START_TRAINING")
    eventually(lambda: idle(service))
    assert (service.tracker.calls, fake.predictions) == ([], {})


@pytest.mark.parametrize("action", ["ANNOTATION_CREATED", "ANNOTATION_UPDATED"])
def test_a_task_that_somebody_annotates_is_left_while_it_waits_and_while_it_is_tracked(
    start: Start, fake: FakeStudio, action: str
) -> None:
    service = start(FakeTracker(paced=True))
    tell(service, "TASKS_CREATED", tasks=[detected(1), detected(2), detected(3)])
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    tell(service, action, **annotated(2))  # it waits
    tell(service, action, **annotated(1))  # it is being tracked
    finish(service)
    eventually(lambda: fake.of(3))
    eventually(lambda: idle(service))
    assert (fake.of(1), fake.of(2)) == ([], [])
    assert len(service.tracker.calls) == 2


def test_a_press_goes_on_whatever_webhooks_tell(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    drawn = service.press_one(BOX)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    for action in ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "PROJECT_UPDATED", "TASKS_DELETED"):
        tell(service, action, **annotated(1))
    tell(service, "ANNOTATIONS_DELETED", annotations=[{"id": 7}])
    service.tracker.release()
    eventually(lambda: idle(service))
    assert notes_of(service.press_one(drawn)) == ["tracked 1-30"]
    assert len(service.tracker.calls) == 1


@pytest.mark.parametrize(
    "told",
    [
        {"project": None},
        {"project": {"id": []}},
        {"project": {"id": 1}, "tasks": [detected(1)]},
        {"project": PROJECT, "tasks": "all"},
        {"project": PROJECT, "tasks": [None, 3, {"id": 4, "data": None}, {"id": "x" * 500}]},
        {"project": {"id": 1, "label_config": "<View/>"}, "tasks": [detected(1)]},
        {"project": {"id": "one"}, "task": {"id": 1}},
        {"task": {"id": 1}},
        {},
    ],
)
def test_what_makes_no_sense_is_acknowledged_and_does_nothing(
    start: Start, fake: FakeStudio, told: dict[str, Any]
) -> None:
    service = start()
    for action in ("TASKS_CREATED", "START_TRAINING", "ANNOTATION_CREATED", "SOMETHING_NEW"):
        assert service.client.post("/webhook", json={"action": action, **told}).status_code == 200
    eventually(lambda: idle(service))
    assert (service.tracker.calls, fake.predictions) == ([], {})


def test_nothing_secret_is_logged(start: Start, fake: FakeStudio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    service = start()
    tell(service, "TASKS_CREATED", tasks=[detected(1)])
    tell(service, "TASKS_CREATED", tasks=[{"id": [], "data": "secret"}])
    eventually(lambda: fake.of(1))
    assert "secret" not in caplog.text
