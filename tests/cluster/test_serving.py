"""The service with its workers on Ray: what presses give, whatever becomes of a worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.__main__ import main
from backend.cluster.worker import without_secrets
from backend.settings import load_settings
from support.fake_tracker import FakeTracker
from support.remote_tracker import frames_of, until
from support.service import ALL, DRAWN, Background, Service, clip, keyframe, moved, notes_of, region, shown

Start = Callable[..., Any]


@pytest.fixture
def serve(start: Start, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []
    clip(tmp_path / "media")
    shutil.copy(tmp_path / "media/clip.mp4", tmp_path / "media/other.mp4")

    def serve_with(count: int = 1) -> Service:
        services.append(Service(tmp_path, factories=start(count=count).fleet.factories))
        return services[-1]

    yield serve_with
    for service in services:
        service.close()


def in_process(tmp_path: Path, *presses: Any) -> list[Any]:
    """What a service without Ray answers to presses, one after the other."""
    clip(tmp_path / "own/media")
    service = Service(tmp_path / "own", FakeTracker())
    try:
        return [service.press(*press) for press in presses]
    finally:
        service.close()


def test_presses_and_corrections_are_answered_as_without_ray(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve()
    first = service.press(region("a", DRAWN), region("b", keyframe(20, 10, 60, 20, 20)))
    corrected = [moved(first[0], 25, x=10.0), first[1]]
    second = service.press(*corrected)
    assert [shown(item) for item in second] == [ALL, ALL]
    assert [first, second] == in_process(
        tmp_path, [region("a", DRAWN), region("b", keyframe(20, 10, 60, 20, 20))], corrected
    )
    until(lambda: service.keytrack.health()["workers"] == {"idle": 1, "busy": 0, "lost": 0})


def test_a_press_goes_on_where_its_worker_is_killed(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve()
    (tmp_path / "hold-14").touch()
    pressing = Background(lambda: service.press_one(region("a", DRAWN)))
    until(lambda: 13 in frames_of(tmp_path))
    process = (tmp_path / "process").read_text()
    os.kill(int(process), 9)
    (tmp_path / "hold-14").unlink()
    track = pressing.result()
    assert notes_of(track) == ["tracked 1-30"]
    assert [[track]] == in_process(tmp_path, [region("a", DRAWN)])
    assert (tmp_path / "process").read_text() != process


def test_a_task_moves_to_the_other_worker_where_its_own_cannot_be_started(
    serve: Callable[..., Service], tmp_path: Path
) -> None:
    service = serve(count=2)
    service.press_one(region("a", DRAWN))
    (tmp_path / "hold-14").touch()
    pressing = Background(lambda: service.press_one(region("b", DRAWN)))
    until(lambda: service.keytrack.workers()["busy"] == 1)
    until(lambda: (tmp_path / "waits-14").exists())
    for number, factory in enumerate(service.keytrack._engine._factories):
        refuses = service.keytrack._jobs.workers()[number].state == "busy"
        service.keytrack._engine._factories[number] = _refuse if refuses else factory
    os.kill(int((tmp_path / "process").read_text()), 9)
    (tmp_path / "hold-14").unlink()
    assert notes_of(pressing.result()) == ["tracked 1-30"]
    assert service.keytrack.workers()["lost"] == 1


def test_a_press_of_which_workers_die_again_and_again_is_told(serve: Callable[..., Service], tmp_path: Path) -> None:
    service = serve()
    (tmp_path / "kill-14").touch()
    note = "press t again"
    while "press t again" in note:  # three workers in turn have to start
        (note,) = notes_of(service.press_one(region("a", DRAWN)))
    assert "the worker that it ran on has died" in note
    (tmp_path / "kill-14").unlink()
    assert notes_of(service.press_one(region("a", DRAWN))) == ["tracked 1-30"]


def _refuse() -> Any:
    from backend.errors import WorkerLostError

    raise WorkerLostError("there is no machine for it")


def test_workers_get_no_secrets() -> None:
    settings = load_settings(label_studio_token=SecretStr("t0ken"), username="team", password=SecretStr("pa55"))
    bare = without_secrets(settings)
    assert (bare.label_studio_token, bare.password, bare.webhook_secret) == (None, None, None)
    assert bare.model_copy(
        update={"label_studio_token": settings.label_studio_token, "password": settings.password}
    ) == (settings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "2"], "--workers is for --ray"),
        (["--gpus-per-worker", "1"], "--gpus-per-worker is for --ray"),
        (["--ray", "ray://head:10001"], "give the address of the head itself"),
        (["--ray", "auto", "--workers", "0"], "no number of workers"),
        (["--ray", "auto", "--gpus-per-worker", "many"], "no number of GPUs"),
        (["--ray", "auto", "--gpus-per-worker", "1.5"], "no number of GPUs"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    try:
        status = main(["serve", "--data-dir", str(tmp_path / "data"), *options])
    except SystemExit as ended:  # of argparse
        status = ended.code  # type: ignore[assignment]
    assert status == 2
    assert said in capsys.readouterr().err
