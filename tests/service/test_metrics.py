"""What a Prometheus server reads, parsed as it parses it."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from backend.service.access import Access
from backend.service.app import create_app
from support.fake_tracker import FakeTracker
from support.service import Background, Service, keyframe, region


def read(client: FlaskClient, auth: tuple[str, str] | None = None) -> dict[tuple[str, ...], float]:
    """Values by name and labels' values."""
    reply = client.get("/metrics", auth=auth)
    assert reply.status_code == 200
    families = text_string_to_metric_families(reply.get_data(as_text=True))
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def test_requests_are_counted_by_endpoint_and_status(service: Service) -> None:
    service.client.get("/health")
    service.client.get("/health")
    service.client.get("/of/anybodys/making")
    service.client.post("/predict", data="no JSON")
    values = read(service.client)
    assert values["keytrack_requests_total", "health", "200"] == 2
    assert values["keytrack_requests_total", "predict", "400"] == 1
    assert values["keytrack_requests_total", "none", "404"] == 1
    assert values["keytrack_request_seconds_count", "health"] == 2
    assert not [key for key in values if "anybodys" in "".join(key)]


def test_refused_requests_count_too(service: Service) -> None:
    client = create_app(service.keytrack, Access(("team", "password"))).test_client()
    client.get("/health")
    assert read(client, ("team", "password"))["keytrack_requests_total", "health", "401"] == 1


def test_jobs_are_counted_by_status(start: Callable[..., Service]) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    assert read(service.client)["keytrack_jobs", "running"] == 0
    waiting = Background(lambda: service.press_one(region("a", keyframe(10, 40, 30, 32, 24))))
    tracker.until(lambda: len(tracker.calls) == 1)
    values = read(service.client)
    assert values["keytrack_jobs", "running"] + values["keytrack_jobs", "ready"] == 1
    tracker.release()
    waiting.result()
    assert values["process_resident_memory_bytes",] > 0


def test_workers_are_counted_by_what_they_do(start: Callable[..., Service]) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker)
    assert [read(service.client)["keytrack_workers", state] for state in ("idle", "busy", "lost")] == [1, 0, 0]
    waiting = Background(lambda: service.press_one(region("a", keyframe(10, 40, 30, 32, 24))))
    tracker.until(lambda: len(tracker.calls) == 1)  # and the next frame is held
    assert [read(service.client)["keytrack_workers", state] for state in ("idle", "busy", "lost")] == [0, 1, 0]
    tracker.release()
    waiting.result()
