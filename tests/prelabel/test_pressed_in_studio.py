"""A real Label Studio: what a press left for the background is there when somebody else opens the task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, Project, make_project
from backend.demo.studio import Studio
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import moved
from support.studio import serving

pytestmark = pytest.mark.slow

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=20, fps=10)
BOX = (90.0, 280.0, 190.0, 340.0)
Item = dict[str, Any]


@pytest.fixture
def tracker() -> FakeTracker:
    return FakeTracker(paced=True)


@pytest.fixture
def project(studio: Studio, tracker: FakeTracker, tmp_path: Path) -> Iterator[Project]:
    """Of one task, ``street``, with a backend whose presses do not wait."""
    SCENE.write(tmp_path / "street.mp4")
    with serving(studio, tmp_path / "data", lambda: tracker, budget_seconds=0.01) as url:
        clip = Clip.of("street", tmp_path / "street.mp4")
        yield make_project(studio.client, url, [clip], title="Pressed in the background")


def predictions(project: Project) -> list[Item]:
    found: list[Item] = project.client.get("/api/predictions", task=project.tasks["street"])
    return found


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.1)


def test_what_was_pressed_is_the_tasks_prediction(
    studio: Studio, project: Project, tracker: FakeTracker, tmp_path: Path
) -> None:
    task = project.tasks["street"]
    clip = Clip.of("street", tmp_path / "street.mp4")
    drawn = project.drawn_box("car", "Car", clip, 4, BOX)
    project.press("street", [drawn])
    tracker.until(lambda: len(tracker.calls) == 1)
    tracker.release()
    until(lambda: len(predictions(project)) == 1)
    (first,) = predictions(project)
    tracked = project.press("street", [drawn])
    assert first["result"] == tracked
    assert first["model_version"] == project.client.get(f"/api/ml/{project.backend_id}")["model_version"]
    # Whoever opens the task has it, and Label Studio asks for no other one.
    opened = project.client.get(f"/api/tasks/{task}")
    assert [one["id"] for one in opened["predictions"]] == [first["id"]]
    everything = {"selectedItems": {"all": True, "excluded": []}}
    project.client.post("/api/dm/actions", everything, id="retrieve_tasks_predictions", project=project.id)
    assert [one["id"] for one in predictions(project)] == [first["id"]]

    # A correction takes its place, and who had begun with the older one can submit.
    corrected = moved(tracked[0], 12, x=10.0, y=10.0)
    project.press("street", [corrected])
    until(lambda: predictions(project)[0]["result"] != first["result"])
    (second,) = predictions(project)
    assert (second["id"], second["result"]) == (first["id"], project.press("street", [corrected]))
    body = {"result": first["result"], "parent_prediction": first["id"]}
    submitted = project.client.post(f"/api/tasks/{task}/annotations", body)
    assert submitted["result"] == first["result"]

    # From then on nothing is posted.
    calls = len(tracker.calls)
    project.press("street", [moved(corrected, 15, x=20.0, y=10.0)])
    backend = project.client.get(f"/api/ml/{project.backend_id}")["url"]
    until(lambda: requests.get(f"{backend}/health", timeout=PATIENCE).json()["jobs"] == 0)
    assert len(tracker.calls) == calls + 1
    assert predictions(project) == [second]
    (annotation,) = project.client.get(f"/api/tasks/{task}/annotations")
    assert annotation["result"] == first["result"]
