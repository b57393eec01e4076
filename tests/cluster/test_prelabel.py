"""A project's tasks on Ray: two nodes, each in processes of its own, and models that are made up."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray import cloudpickle

from backend.cluster.worker import make_doer, without_secrets
from backend.settings import load_settings
from support.choices import LITE
from support.fake_studio import TOKEN, FakeStudio, fake_studio
from support.fake_tracker import PATIENCE
from support.ray_cluster import Silent, drive, ray_cluster
from support.service import CONFIG, clip, keyframe, region, task

TASKS = range(1, 7)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with ray_cluster(2) as running:
        yield running


class Project:
    """A project of a fake Label Studio; each task's boxes say which one it is."""

    def __init__(self, studio: FakeStudio, directory: Path) -> None:
        self.studio = studio
        self.directory = directory
        self.signs = directory / "signs"
        self.signs.mkdir()
        clip(directory / "media")
        studio.label_config = CONFIG
        studio.tasks = [
            task(number, predictions=[{"id": number, "model_version": "yolo-8", "result": [_found(number)]}])
            for number in TASKS
        ]

    @property
    def shown(self) -> dict[int, list[tuple[str, Any]]]:
        """The regions of each task by their ids; a task may have no more than one of our predictions."""
        predictions = {number: self.studio.of(number) for number in TASKS}
        assert all(len(found) <= 1 for found in predictions.values())
        return {
            number: [(item["id"], item["value"]) for item in found[0]["result"]]
            for number, found in predictions.items()
            if found
        }

    def begun(self, number: int) -> list[int]:
        """The processes that have begun with a task."""
        return [int(path.name.rpartition("-")[2]) for path in self.signs.glob(f"begun-{number}-*")]

    def command(self, address: str) -> subprocess.Popen[str]:
        """A driver in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "support.ray_cluster", address, self.studio.url, str(self.directory)],
            stdout=subprocess.PIPE,
            text=True,
        )


def _found(number: int) -> dict[str, Any]:
    first, second = keyframe(3, 20 + number, 30, 32, 24), keyframe(5, 22 + number, 30, 32, 24)
    return region(f"car{number}", first, second, label=str(number))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[tuple[str, Any]]]:
    """What one process comes to."""
    with fake_studio() as studio:
        project = Project(studio, tmp_path_factory.mktemp("alone"))
        assert str(drive(None, studio.url, CONFIG, project.directory)) == "6 tasks: 6 tracked, 0 left, 0 failed"
        return project.shown


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with fake_studio() as studio:
        yield Project(studio, tmp_path)


def wait(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_comes_to_what_one_process_comes_to_and_a_job_that_kills_its_workers_is_listed(cluster, project, alone):
    (project.signs / "kill-2").touch()
    progress = Silent()
    outcome = drive(cluster.address, project.studio.url, CONFIG, project.directory, progress=progress)
    assert str(outcome) == "6 tasks: 5 tracked, 0 left, 1 failed"
    assert list(project.signs.glob("token-*")) == [project.signs / f"token-{TOKEN}"]
    (failure,) = outcome.failures
    assert failure.name == "task 2" and failure.reason.startswith("its worker died 3 times: ")
    assert len(project.begun(2)) == 3
    assert [why for _, why in progress.rested].count("died") == 3
    assert project.shown == {number: found for number, found in alone.items() if number != 2}
    (project.signs / "kill-2").unlink()
    assert str(drive(cluster.address, project.studio.url, CONFIG, project.directory)) == (
        "6 tasks: 1 tracked, 5 left, 0 failed"
    )
    assert project.shown == alone


def test_workers_are_made_without_secrets(tmp_path):
    secrets = {name: f"secret {name}" for name in ("label_studio_token", "password", "webhook_secret")}
    settings = load_settings(data_dir=tmp_path, username="anna", label_studio_url="http://localhost:8080", **secrets)
    pickled = cloudpickle.dumps(partial(make_doer, without_secrets(settings), LITE))
    assert not any(secret.encode() in pickled for secret in secrets.values())
    assert b"anna" in pickled


def test_a_node_that_is_killed_half_way(cluster, project, alone):
    for number in (2, 3):
        (project.signs / f"wait-{number}").touch()
    driver = project.command(cluster.address)
    wait(lambda: project.begun(2) and project.begun(3))
    time.sleep(1)
    # Two jobs for each worker, and no more: task 1 was done, two are held, two wait.
    asked = {one.path for one in project.studio.site.asked if "selectedItems" in one.path}
    assert len(asked) <= 5
    (worker,) = project.begun(3)
    parent = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    (node,) = [one for one in cluster.worker_nodes if one.all_processes["raylet"][0].process.pid == parent]
    cluster.remove_node(node, allow_graceful=False)
    wait(lambda: not alive(worker))
    for number in (2, 3):
        (project.signs / f"wait-{number}").unlink()
    # Ray tells of the node by itself.
    assert driver.communicate(timeout=2 * PATIENCE)[0].endswith("6 tasks: 6 tracked, 0 left, 0 failed\n")
    cluster.add_node(num_cpus=1)
    assert len(project.begun(3)) == 2
    assert project.shown == alone


def test_a_driver_that_is_killed_and_started_again(cluster, project, alone):
    (project.signs / "wait-4").touch()
    driver = project.command(cluster.address)
    wait(lambda: project.begun(4) and len(project.shown) >= 2)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    before = project.shown
    assert 2 <= len(before) < 6
    (project.signs / "wait-4").unlink()
    outcome = drive(cluster.address, project.studio.url, CONFIG, project.directory)
    assert (outcome.left, outcome.tracked) == (len(before), 6 - len(before))
    assert project.shown == alone
