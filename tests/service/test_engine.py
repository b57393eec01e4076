from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.errors import SettingsError
from backend.service import engine
from backend.service.engine import Choice, Engine, choose
from backend.settings import load_settings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets what torch finds on the machine."""
    import torch

    def has(cuda: int) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.xpu, "is_available", lambda: False)

    return has


@pytest.mark.parametrize(
    ("cuda", "built", "profile", "device", "expected"),
    [
        (0, ("lite",), "auto", "auto", Choice("lite", "cpu")),
        (1, ("lite",), "auto", "auto", Choice("lite", "cuda")),
        (1, ("lite", "full"), "auto", "auto", Choice("full", "cuda")),
        (1, ("lite", "full"), "auto", "cpu", Choice("lite", "cpu")),
        (2, ("lite", "full"), "lite", "cuda:1", Choice("lite", "cuda:1")),
        (0, ("lite", "full"), "full", "auto", Choice("full", "cpu")),
    ],
)
def test_auto_takes_the_best_there_is(
    machine: Any,
    monkeypatch: pytest.MonkeyPatch,
    cuda: int,
    built: tuple[str, ...],
    profile: str,
    device: str,
    expected: Choice,
) -> None:
    machine(cuda)
    monkeypatch.setattr(engine, "BUILT", built)
    assert choose(load_settings(profile=profile, device=device)) == expected


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"device": "cuda"}, "KEYTRACK_DEVICE"),
        ({"device": "mps"}, "KEYTRACK_DEVICE"),
        ({"profile": "full"}, "KEYTRACK_PROFILE"),
    ],
)
def test_what_is_not_there_is_refused_by_name(
    machine: Any, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], named: str
) -> None:
    machine(0)
    monkeypatch.setattr(engine, "BUILT", ("lite",))
    with pytest.raises(SettingsError, match=named):
        choose(load_settings(**options))


def test_a_second_gpu_that_is_not_there_is_refused(machine: Any) -> None:
    machine(1)
    with pytest.raises(SettingsError, match="cuda:1"):
        choose(load_settings(device="cuda:1"))


def test_models_are_asked_for_again_after_a_failure() -> None:
    attempts: list[int] = []

    def factory() -> Any:
        attempts.append(1)
        if len(attempts) == 1:
            raise RuntimeError("not yet")
        return "tracker"

    models = Engine(factory)
    with pytest.raises(RuntimeError):
        models.tracker()
    assert not models.loaded
    assert (models.tracker(), models.tracker(), len(attempts), models.loaded) == ("tracker", "tracker", 2, True)


def test_weights_are_fetched_before_the_models_are_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from backend import checkpoints
    from backend.errors import WeightsError

    def refuse(name: str, directory: Path) -> Path:
        raise WeightsError(f"{name}: no source delivered it")

    monkeypatch.setattr(checkpoints, "fetch", refuse)
    settings = load_settings(weights_dir=tmp_path)
    with pytest.raises(WeightsError, match="mobile_sam"):
        engine.tracker_factory(settings, Choice("lite", "cpu"))()
