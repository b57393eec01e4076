"""What Label Studio tells by itself, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from backend.labelstudio.downloads import Unreachable
from backend.prelabel import webhooks
from support.fake_studio import FakeStudio
from support.fake_tracker import FakeTracker
from support.service import CONFIG, Item, Service, finish, keyframe, notes_of, press, region, task
from support.video_client import eventually

Start = Callable[..., Service]
BOX = region("car", keyframe(3, 40, 30, 32, 24))
LONG = CONFIG + f"<!-- {'as long as they are ' * 100}-->"
PROJECT: Item = {"id": 1, "label_config": LONG, "token": "secret", "task_data_password": "secret"}


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


def annotated_at_once(number: int) -> Item:
    """Annotations that were made of predictions come several at a time."""
    return {"annotation": [{"id": 7, "task": number, "result": [BOX]}], "task": [{"id": number, "data": {}}]}


@pytest.mark.parametrize(
    ("action", "of"),
    [
        ("ANNOTATION_CREATED", annotated),
        ("ANNOTATION_UPDATED", annotated),
        ("ANNOTATIONS_CREATED", annotated_at_once),
        ("TASKS_DELETED", lambda number: {"tasks": [{"id": number}]}),
    ],
)
def test_a_task_that_is_annotated_or_deleted_is_left_while_it_waits_and_while_it_is_tracked(
    start: Start, fake: FakeStudio, action: str, of: Callable[[int], Item]
) -> None:
    service = start(FakeTracker(paced=True))
    tell(service, "TASKS_CREATED", tasks=[detected(1), detected(2), detected(3)])
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    tell(service, action, **of(2))  # it waits
    tell(service, action, **of(1))  # it is being tracked
    finish(service)
    eventually(lambda: fake.of(3))
    eventually(lambda: idle(service))
    assert (fake.of(1), fake.of(2)) == ([], [])
    assert len(service.tracker.calls) == 2


def test_what_is_told_of_a_task_that_was_annotated_before_is_not_posted(start: Start, fake: FakeStudio) -> None:
    """The annotation was told of first, and the task comes as it was made."""
    fake.tasks = [detected(1) | {"annotations": [{"id": 7, "result": [BOX]}]}]
    service = start()
    tell(service, "ANNOTATION_CREATED", **annotated(1))
    tell(service, "TASKS_CREATED", tasks=[detected(1), detected(2)])
    eventually(lambda: fake.of(2))
    eventually(lambda: idle(service))
    assert fake.of(1) == []


def test_what_was_pressed_is_not_posted_any_more_when_it_is_annotated(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True), budget=0.01)
    fake.refuses = 503
    service.press_one(BOX)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    finish(service)
    eventually(lambda: idle(service))
    parcels = service.keytrack._store.parcels
    assert parcels.addresses() == [("1", "1")]
    tell(service, "ANNOTATION_CREATED", **annotated(1))
    assert parcels.addresses() == []


def test_what_waits_is_looked_at_anew_when_the_configuration_changes(start: Start, fake: FakeStudio) -> None:
    service = start(FakeTracker(paced=True))
    fake.tasks = [detected(1), detected(2), detected(3)]
    tell(service, "TASKS_CREATED", tasks=fake.tasks)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    tell(service, "PROJECT_UPDATED")  # its title, say
    assert service.keytrack._background.busy("1", "2")
    fake.label_config = CONFIG.replace('name="box"', 'name="rectangle"')
    tell(service, "PROJECT_UPDATED", project=PROJECT | {"label_config": fake.label_config})
    tell(service, "PROJECT_UPDATED", project=PROJECT | {"label_config": fake.label_config})
    assert not service.keytrack._background.busy("1", "2")
    finish(service)
    eventually(lambda: idle(service))
    # Those boxes are of the older configuration: nothing to track by under this one.
    assert [len(fake.of(number)) for number in (1, 2, 3)] == [1, 0, 0]
    assert len(service.tracker.calls) == 1


WIDER = CONFIG.replace('<Label value="Person"/>', '<Label value="Person"/><Label value="Tree"/>')


def changed(service: Service, fake: FakeStudio) -> None:
    """Of three tasks two wait when the project gets a label more; Label Studio cannot say more than that."""
    fake.tasks = [detected(1), detected(2), detected(3)]
    tell(service, "TASKS_CREATED", tasks=fake.tasks)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    eventually(lambda: len(service.keytrack._background._waiting) == 2)
    fake.label_config, fake.refuses = WIDER, 503
    tell(service, "PROJECT_UPDATED", project=PROJECT | {"label_config": WIDER})
    eventually(lambda: service.keytrack._webhooks._due)


def test_what_waits_is_not_lost_where_the_changed_project_cannot_be_read(
    start: Start, fake: FakeStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = start(FakeTracker(paced=True))
    changed(service, fake)
    finish(service)
    eventually(lambda: idle(service))
    # Nothing is tracked by what may not hold any more.
    assert (len(service.tracker.calls), len(service.keytrack._background._waiting)) == (1, 2)
    monkeypatch.setattr(webhooks, "FIRST_WAIT", 0.02)
    tell(service, "PROJECT_UPDATED", project=PROJECT | {"label_config": WIDER})
    eventually(lambda: service.keytrack._webhooks._due.get("1", (0, 0))[1] > 2)  # tried again, and again
    fake.tasks = [detected(1), detected(3)]  # one is no longer there
    fake.refuses = None
    eventually(lambda: fake.of(3))
    eventually(lambda: idle(service))
    assert (len(service.tracker.calls), fake.of(2), len(service.keytrack._background._waiting)) == (2, [], 0)
    assert service.keytrack._webhooks._due == {}


def test_what_waits_is_left_where_the_changed_project_may_not_be_read(
    start: Start, fake: FakeStudio, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    service = start(FakeTracker(paced=True))
    changed(service, fake)
    fake.refuses = 403
    tell(service, "START_TRAINING")
    eventually(lambda: len(service.keytrack._background._waiting) == 0)
    eventually(lambda: "task 2 of project 1: left: the project's labeling configuration was changed (" in caplog.text)
    # When Label Studio asks for it, it is tracked after all.
    fake.refuses = None
    reply = service.predict({**press(config=WIDER), "tasks": [detected(2)], "params": {"context": None}})
    assert reply[0] == 200
    assert service.keytrack._background.busy("1", "2")


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
