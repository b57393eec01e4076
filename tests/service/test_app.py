from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from backend import __version__
from backend.errors import WeightsError
from backend.service.app import create_app
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import CONFIG, Background, Item, Service, choice, keyframe, press, region, replaced, task

Start = Callable[..., Service]
DRAWN = keyframe(10, 40, 30, 32, 24)
PRESS = press(region("a", DRAWN), choice(region("a", DRAWN), "both"))
RESULT = ("params", "context", "result")
SETUP = {
    "project": "1.1795213732",
    "schema": CONFIG,
    "hostname": "http://ls:8080",
    "access_token": "s3cret-token",
    "extra_params": {"foo": "bar"},
}


# --- health, setup, versions ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/health"])
def test_health_tells_what_runs(service: Service, path: str) -> None:
    reply = service.client.get(path)
    assert reply.status_code == 200
    assert reply.get_json() == {
        "status": "UP",
        "model_class": "Keytrack",
        "model_version": f"keytrack-{__version__}-lite",
        "profile": "lite",
        "segmenter": "mobile_sam",
        "propagator": "sam_tokens",
        "embedder": "sam",
        "device": "cpu",
        "models_loaded": False,
        "jobs": 0,
        "workers": {"idle": 1, "busy": 0, "lost": 0},
    }


def test_health_and_the_others_answer_while_a_track_is_stuck(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    waiting = Background(lambda: service.press_one(region("a", DRAWN)))
    tracker.until(lambda: len(tracker.calls) == 1)
    # The press waits, the worker is inside the tracker: were one of their locks needed, these would not return.
    health = service.client.get("/health").get_json()
    assert (health["jobs"], health["models_loaded"]) == (1, True)
    assert service.client.post("/setup", json=SETUP).status_code == 200
    assert service.client.post("/webhook", json={"action": "PROJECT_UPDATED"}).status_code == 200
    assert service.batch(task()) == [[]]
    assert tracker.calls[0].frames == []
    tracker.release()
    waiting.result()


def test_health_answers_while_the_models_are_loaded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    loading, loaded = threading.Event(), threading.Event()

    def slow() -> FakeTracker:
        loading.set()
        assert loaded.wait(PATIENCE)
        return service.tracker

    monkeypatch.setattr(service.keytrack._engine, "_factories", [slow])
    service.keytrack.warm_up()
    assert loading.wait(PATIENCE)
    assert service.client.get("/health").get_json()["models_loaded"] is False
    loaded.set()


def test_setup_reports_the_version_and_loads_nothing(service: Service) -> None:
    reply = service.client.post("/setup", json=SETUP)
    assert (reply.status_code, reply.get_json()) == (200, {"model_version": f"keytrack-{__version__}-lite"})
    assert service.built == 0
    known = service.keytrack._store.project("1")
    assert known is not None
    assert (known.hostname, known.token, known.extra) == ("http://ls:8080", "s3cret-token", {"foo": "bar"})


def test_setup_needs_no_more_than_the_project(service: Service) -> None:
    assert service.client.post("/setup", json={"project": 7}).status_code == 200


def test_versions(service: Service) -> None:
    assert service.client.get("/versions").get_json() == {"versions": [f"keytrack-{__version__}-lite"]}


# --- batch ---------------------------------------------------------------------------------------


def test_a_batch_without_stored_tracks_has_nothing_to_say(service: Service) -> None:
    body = {**PRESS, "tasks": [task(1), task(2)], "params": {"login": None, "password": None, "context": None}}
    assert service.client.post("/predict", json=body).get_json()["results"] == [[], []]
    assert service.batch() == []


def test_a_batch_touches_neither_the_models_nor_the_media(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    monkeypatch.setattr(service.keytrack._media, "resolve", lambda *_: pytest.fail("the media was asked for"))
    assert service.batch(task(), task(2, video="http://nowhere/a.mp4")) == [[], []]
    assert (service.built, service.tracker.calls) == (0, [])


def test_a_batch_returns_what_presses_made(start: Start) -> None:
    service = start()
    cars = service.press(region("a", DRAWN), region("b", keyframe(20, 90, 60, 20, 20)))
    person = service.press(region("p", keyframe(5, 10, 80, 12, 30), label="Person"))
    service.press(region("z", DRAWN), number=2)
    service.close()
    service = start()
    (entry,) = service.batch(task(1))
    assert entry["result"] == [*cars, *person]
    assert entry["model_version"] == service.keytrack.model_version
    assert entry["score"] == pytest.approx(0.75)
    assert service.tracker.calls == []


def test_a_batch_brings_the_companions_and_the_last_class(service: Service) -> None:
    drawn = region("a", DRAWN)
    items = service.press(drawn, choice(drawn, "forward"))
    items[0]["value"]["labels"] = ["Person"]
    again = service.press(*items)
    assert service.batch(task()) == [
        {"result": again, "score": again[0]["score"], "model_version": service.keytrack.model_version}
    ]


def test_a_batch_leaves_out_what_the_last_press_no_longer_brought(service: Service) -> None:
    first, _ = service.press(region("a", DRAWN), region("deleted", DRAWN))
    person = service.press_one(region("p", DRAWN, label="Person"))
    service.press(first)
    ids = [item["id"] for item in service.batch(task())[0]["result"]]
    assert ids == ["a", person["id"]]


@pytest.mark.parametrize(
    "body",
    [
        {"tasks": [task(video="other.mp4")]},
        {"tasks": [task(data={"video": "clip.mp4", "fps": 25})]},
        {"tasks": [task(data={})]},
        {"label_config": "<View/>"},
        {"label_config": None},
    ],
)
def test_a_batch_says_nothing_where_what_is_stored_may_be_stale(service: Service, body: Item) -> None:
    service.press_one(region("a", DRAWN))
    assert service.batch(task()) != [[]]
    status, reply = service.predict({**PRESS, "params": {"context": None}, **body})
    assert (status, reply["results"]) == (200, [[]])


def test_a_batch_says_nothing_while_a_track_is_made(start: Start) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker, budget=0.05)
    early = service.press_one(region("a", DRAWN))
    assert service.batch(task()) == [[]]
    tracker.release()
    service.budget(PATIENCE)
    done = service.press_one(early)
    assert service.batch(task())[0]["result"] == [done]


def test_a_batch_waits_for_the_tasks_other_tracks(start: Start) -> None:
    service = start()
    service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    service.press_one(region("p", DRAWN, label="Person"))
    assert service.batch(task()) == [[]]
    service.tracker.release()
    service.budget(PATIENCE)
    service.press_one(region("p", DRAWN, label="Person"))
    assert [item["id"] for item in service.batch(task())[0]["result"]] == ["a", "p"]


def test_a_correction_of_what_a_batch_returned_is_recognised(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    (entry,) = service.batch(task())
    (item,) = entry["result"]
    last = item["value"]["sequence"][-1]
    last["x"] += 3
    service.press_one(item)
    assert sorted(service.tracker.calls[1].boxes_of("a")) == sorted({9, last["frame"] - 1})


# --- webhook -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"action": "ANNOTATION_CREATED", "annotation": {"id": 1}, "project": {"id": 1, "token": "s3cret-token"}},
        {"action": "ANNOTATIONS_DELETED", "annotations": [{"id": 1}], "project": {"id": 1}},
        {"action": "START_TRAINING", "project": {"id": 1}},
        {"action": "SOMETHING_NEW"},
    ],
)
def test_webhooks_are_acknowledged(service: Service, body: Item) -> None:
    assert service.client.post("/webhook", json=body).status_code == 200


@pytest.mark.parametrize("body", [{}, {"action": 7}, {"action": None}, []])
def test_a_webhook_without_an_action_is_refused(service: Service, body: object) -> None:
    assert service.client.post("/webhook", json=body).status_code == 400


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("tasks",), None, "tasks"),
        (("tasks",), {}, "tasks"),
        (("tasks",), [], "tasks"),
        (("tasks",), [task(1), task(2)], "tasks"),
        (("tasks", 0), 7, "tasks[0]"),
        (("tasks", 0), None, "tasks[0]"),
        (("tasks", 0, "id"), None, "tasks[0].id"),
        (("tasks", 0, "id"), 1.5, "tasks[0].id"),
        (("tasks", 0, "id"), True, "tasks[0].id"),
        (("tasks", 0, "id"), "", "tasks[0].id"),
        (("tasks", 0, "id"), "\ud800", "tasks[0].id"),
        (("tasks", 0, "project"), [1], "tasks[0].project"),
        (("tasks", 0, "data"), [], "tasks[0].data"),
        (("tasks", 0, "data"), None, "tasks[0].data"),
        (("tasks", 0, "data"), {}, "tasks[0].data.video"),
        (("tasks", 0, "data", "video"), 7, "tasks[0].data.video"),
        (("tasks", 0, "data", "video"), "", "tasks[0].data.video"),
        (("tasks", 0, "data", "video"), ["a.mp4"], "tasks[0].data.video"),
        (("tasks", 0, "data", "video"), "\ud800.mp4", "tasks[0].data.video"),
        (("project",), [], "project"),
        (("project",), 1.5, "project"),
        (("label_config",), 7, "label_config"),
        (("label_config",), None, "label_config"),
        (("label_config",), "<View>", "labeling configuration"),
        (("label_config",), "<View><Image name='i' value='$i'/></View>", "labeling configuration"),
        (("params",), [], "params"),
        (("params", "context"), [], "params.context"),
        (("params", "context"), "press", "params.context"),
        (RESULT, {}, "context.result"),
        (RESULT, 7, "context.result"),
        ((*RESULT, 0), None, "context.result[0]"),
        ((*RESULT, 0, "id"), 7, "context.result[0].id"),
        ((*RESULT, 0, "id"), "\ud800", "context.result[0].id"),
        ((*RESULT, 0, "value"), None, "context.result[0]"),
        ((*RESULT, 0, "value", "labels"), "Car", "context.result[0].value.labels"),
        ((*RESULT, 0, "value", "labels"), ["\ud800"], "context.result[0].value.labels"),
        ((*RESULT, 0, "value", "sequence"), {}, "context.result[0].value.sequence"),
        ((*RESULT, 0, "value", "sequence", 0), 7, "context.result[0].value.sequence[0]"),
        ((*RESULT, 0, "value", "sequence", 0, "x"), "12", "context.result[0].value.sequence[0].x"),
        ((*RESULT, 0, "value", "sequence", 0, "width"), float("nan"), "context.result[0].value.sequence[0].width"),
        ((*RESULT, 0, "value", "sequence", 0, "height"), 10**400, "context.result[0].value.sequence[0].height"),
        ((*RESULT, 0, "value", "sequence", 0, "frame"), 1.5, "context.result[0].value.sequence[0].frame"),
        ((*RESULT, 0, "value", "sequence", 0, "enabled"), 1, "context.result[0].value.sequence[0].enabled"),
        ((*RESULT, 1, "value", "choices"), ["sideways"], "context.result[1].value.choices"),
    ],
)
def test_a_wrong_type_is_refused_with_its_path(
    service: Service, path: Sequence[str | int], value: object, named: str
) -> None:
    status, body = service.predict(replaced(PRESS, path, value))
    assert (status, set(body)) == (400, {"error"})
    assert set(body["error"]) == {"code", "message"}
    assert named in body["error"]["message"]
    assert (service.built, service.tracker.calls) == (0, [])


@pytest.mark.parametrize(
    ("field", "value"), [("project", "\ud800"), ("hostname", "\ud800"), ("access_token", "\ud800")]
)
def test_what_cannot_be_stored_is_refused(service: Service, field: str, value: str) -> None:
    reply = service.client.post("/setup", json={**SETUP, field: value})
    assert (reply.status_code, reply.get_json()["error"]["message"].split(":")[0]) == (400, field)


@pytest.mark.parametrize("method", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize(
    "data", [b"", b"not json", b"\xff\xfe", b"[]", b"null", b"7", b'"text"', b"[" * 100_000, b"9" * 5000]
)
def test_a_body_that_is_no_json_object_is_refused(service: Service, method: str, data: bytes) -> None:
    reply = service.client.post(method, data=data, content_type="application/json")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (400, "bad-payload")


def test_a_body_that_is_too_large_is_refused(service: Service) -> None:
    client = create_app(service.keytrack, max_body_bytes=1000).test_client()
    reply = client.post("/predict", data=b" " * 1001, content_type="application/json")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (413, "request-entity-too-large")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("get", "/predict", 405), ("get", "/nothing", 404), ("post", "/health", 405)]
)
def test_what_is_not_there_is_told_in_json(service: Service, method: str, path: str, status: int) -> None:
    reply = getattr(service.client, method)(path)
    assert (reply.status_code, set(reply.get_json()["error"])) == (status, {"code", "message"})


def test_no_file_of_the_working_directory_is_served(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert start().client.get("/static/notes.txt").status_code == 404


def test_an_unexpected_fault_is_logged_and_not_shown(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr(service.keytrack, "predict", break_down)
    reply = service.client.post("/predict", json=PRESS)
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (500, "internal")
    assert "secret internals" not in reply.get_data(as_text=True)
    assert "secret internals" in caplog.text and "break_down" in caplog.text


def test_a_services_own_trouble_is_no_fault_of_the_caller(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise WeightsError("no weights")

    monkeypatch.setattr(service.keytrack, "predict", refuse)
    assert service.predict(PRESS)[0] == 503


def test_tokens_are_not_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service.client.post("/setup", json=SETUP)
    service.client.post("/setup", json={**SETUP, "access_token": ["s3cret-token"]})
    service.client.post("/setup", json={**SETUP, "project": None, "hostname": {"s3cret-token": 1}})
    service.client.post("/webhook", json={"action": "START_TRAINING", "project": {"token": "s3cret-token"}})
    service.press_one(region("a", DRAWN))
    assert caplog.records
    assert "s3cret-token" not in caplog.text
