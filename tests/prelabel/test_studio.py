"""A real Label Studio: a project that is tracked before anybody opens it, and a call for predictions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend import __version__
from backend.__main__ import main
from backend.cli import prelabel_workers
from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, Project, make_project
from backend.demo.studio import Studio
from support.choices import LITE
from support.fake_tracker import PATIENCE, FakeTracker
from support.studio import serving

pytestmark = pytest.mark.slow

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=20, fps=10)
VERSION = f"keytrack-{__version__}-lite"
NAMES = ("first", "second", "drawn")
BOX = (90.0, 280.0, 190.0, 340.0)
Item = dict[str, Any]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prelabel") / "street.mp4"
    SCENE.write(path)
    return path


@pytest.fixture
def tracker() -> FakeTracker:
    return FakeTracker()


@pytest.fixture
def served(studio: Studio, tracker: FakeTracker, tmp_path: Path) -> Iterator[str]:
    """This backend with a fake tracker behind it; its address."""
    with serving(studio, tmp_path, lambda: tracker) as url:
        yield url


def make(studio: Studio, backend: str, clip: Path, title: str) -> Project:
    """A project of three tasks: the first has boxes of another model, the third an annotation."""
    project = make_project(studio.client, backend, [Clip.of(name, clip) for name in NAMES], title=title)
    region = project.drawn_box("theirs", "Car", Clip.of("first", clip), 4, BOX)
    found = {"task": project.tasks["first"], "model_version": "yolo-8", "score": 0.5, "result": [region]}
    studio.client.post("/api/predictions", found)
    studio.client.post(f"/api/tasks/{project.tasks['drawn']}/annotations", {"result": [region]})
    return project


def predictions(project: Project, name: str) -> list[Item]:
    """Those of this backend, in the order in which they were made."""
    found = project.client.get("/api/predictions", task=project.tasks[name])
    return [one for one in found if one["model_version"] == VERSION]


def annotations(project: Project, name: str) -> list[Item]:
    found: list[Item] = project.client.get(f"/api/tasks/{project.tasks[name]}/annotations")
    return found


def retrieve(project: Project) -> None:
    """What the Data Manager's button does."""
    everything = {"selectedItems": {"all": True, "excluded": []}}
    options = {"id": "retrieve_tasks_predictions", "project": project.id}
    project.client.post("/api/dm/actions", everything, **options)


def test_the_command(studio: Studio, clip: Path, tracker: FakeTracker, tmp_path: Path, monkeypatch, capsys) -> None:
    project = make(studio, studio.backend_url, clip, "Prelabel")
    monkeypatch.setattr(prelabel_workers, "choose", lambda settings: LITE)
    monkeypatch.setattr(prelabel_workers, "tracker_factory", lambda settings, choice: lambda: tracker)
    access = ["--label-studio-url", studio.url, "--label-studio-token", studio.account.token]
    command = ["prelabel", "--project", str(project.id), "--data-dir", str(tmp_path), "--label", "Animal", *access]
    drawn = annotations(project, "drawn")
    assert main(command) == 0
    by_boxes, everything = tracker.calls
    assert (list(by_boxes.detections), everything.everything is not None) == ([4], True)
    for name in ("first", "second"):
        (found,) = predictions(project, name)
        assert [one["value"]["labels"] for one in found["result"]] == [["Animal"]]
        assert found["score"] == pytest.approx(0.75)
    assert predictions(project, "drawn") == []
    capsys.readouterr()
    assert main(command) == 0
    assert "left: it has a prediction of" in capsys.readouterr().out
    (before,) = predictions(project, "first")
    assert main([*command, "--force", "--annotated"]) == 0
    (after,) = predictions(project, "first")
    assert after["id"] == before["id"]  # an annotation that was begun with it can be submitted still
    assert {one["id"] for one in after["result"]}.isdisjoint(one["id"] for one in before["result"])
    assert len(predictions(project, "drawn")) == 1
    assert annotations(project, "drawn") == drawn


def test_predictions_are_retrieved(studio: Studio, served: str, clip: Path, tracker: FakeTracker) -> None:
    project = make(studio, served, clip, "Retrieve")
    drawn = annotations(project, "drawn")
    retrieve(project)
    deadline = time.monotonic() + PATIENCE
    while not all(predictions(project, name) for name in ("first", "drawn")):
        assert time.monotonic() < deadline, "no prediction came"
        time.sleep(0.1)
    retrieve(project)
    project.client.get(f"/api/tasks/{project.tasks['drawn']}")  # as opening it does
    assert [len(predictions(project, name)) for name in NAMES] == [1, 0, 1]
    assert annotations(project, "drawn") == drawn
    (found,) = predictions(project, "first")
    assert [one["value"]["labels"] for one in found["result"]] == [["Car"]]
    assert len(tracker.calls) == 2
