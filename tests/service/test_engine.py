from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from backend import checkpoints
from backend.checkpoints import CATALOGUE
from backend.cli.options import CHOICE
from backend.errors import SettingsError, WeightsError
from backend.service import engine
from backend.service.engine import Choice, Engine, choose
from backend.settings import load_settings
from support.choices import FULL, LITE


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


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A directory with small stand-ins of all weights, which the catalogue knows."""
    known = {}
    for name, entry in CATALOGUE.items():
        content = name.encode()
        (tmp_path / entry.filename).write_bytes(content)
        known[name] = replace(entry, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(checkpoints, "CATALOGUE", MappingProxyType(known))
    return tmp_path


@pytest.mark.parametrize(
    ("cuda", "options", "expected"),
    [
        (0, {}, LITE),
        (1, {}, FULL),
        (1, {"device": "cpu"}, LITE),
        (2, {"profile": "lite", "device": "cuda:1"}, replace(LITE, device="cuda:1")),
        (0, {"profile": "full"}, replace(FULL, device="cpu")),
        (1, {"propagator": "xmem"}, replace(FULL, propagator="xmem")),
        (1, {"segmenter": "sam_vit_b"}, replace(FULL, segmenter="sam_vit_b")),
        (0, {"segmenter": "sam_vit_l"}, replace(LITE, segmenter="sam_vit_l")),
        (0, {"propagator": "xmem", "segmenter": "mobile_sam"}, replace(LITE, propagator="xmem")),
    ],
)
def test_auto_takes_the_best_there_is(
    machine: Any, weights: Path, cuda: int, options: dict[str, str], expected: Choice
) -> None:
    machine(cuda)
    assert choose(load_settings(weights_dir=weights, **options)) == expected


@pytest.mark.parametrize("name", ["sam_vit_h", "xmem_s012"])
@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_auto_takes_no_profile_without_its_weights(
    machine: Any, weights: Path, caplog: pytest.LogCaptureFixture, name: str, state: str
) -> None:
    caplog.set_level("INFO")
    machine(1)
    path = weights / CATALOGUE[name].filename
    if state == "missing":
        path.unlink()
    else:
        path.write_bytes(b"?" * path.stat().st_size)
    assert choose(load_settings(weights_dir=weights)) == replace(LITE, device="cuda")
    assert f"for the profile full there are no {name} in {weights}" in caplog.text
    assert choose(load_settings(weights_dir=weights, profile="full")) == FULL


def test_auto_needs_no_weights_that_nothing_uses(machine: Any, weights: Path) -> None:
    machine(1)
    for name in set(CATALOGUE) - {"sam_vit_h", "xmem_s012", "mobile_sam"}:
        (weights / CATALOGUE[name].filename).unlink()
    assert choose(load_settings(weights_dir=weights)) == FULL


@pytest.mark.parametrize(
    ("choice", "name", "needed"),
    [
        (LITE, "lite", ("mobile_sam",)),
        (FULL, "full", ("sam_vit_h", "xmem_s012", "mobile_sam")),
        (replace(FULL, embedder="off"), "full-unguarded", ("sam_vit_h", "xmem_s012")),
        (replace(LITE, embedder="masa_r50"), "lite-masa_r50", ("mobile_sam", "masa_r50")),
        (replace(LITE, propagator="xmem"), "mobile_sam-xmem", ("mobile_sam", "xmem")),
        (replace(FULL, propagator="sam_tokens"), "sam_vit_h-sam_tokens", ("sam_vit_h", "mobile_sam")),
        (replace(LITE, segmenter="sam_vit_h", propagator="xmem_s012"), "full", FULL.weights),
    ],
)
def test_a_choice_tells_its_models_and_what_they_need(choice: Choice, name: str, needed: tuple[str, ...]) -> None:
    assert (choice.name, choice.weights) == (name, needed)
    parts = f"{choice.segmenter} + {choice.propagator}"
    assert str(choice).startswith(f"profile {choice.profile} on {choice.device} ({parts}")
    settings = choice.applied(load_settings(threads=1))
    assert (settings.threads, Choice(**{name: getattr(settings, name) for name in CHOICE})) == (1, choice)


def test_graphs_are_refused_where_there_is_no_cuda(machine: Any, weights: Path) -> None:
    machine(1)
    options = {"weights_dir": weights, "xmem_mode": "graphs"}
    assert choose(load_settings(**options)).device == "cuda"
    with pytest.raises(SettingsError, match=r"KEYTRACK_XMEM_MODE / --xmem-mode graphs: .* not cpu"):
        choose(load_settings(device="cpu", **options))


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_what_is_not_there_is_refused_by_name(machine: Any, device: str) -> None:
    machine(0)
    with pytest.raises(SettingsError, match="KEYTRACK_DEVICE"):
        choose(load_settings(device=device))


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


def test_what_the_choice_needs_is_fetched_and_no_more(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched = []

    def fetch(name: str, directory: Path) -> Path:
        fetched.append((name, directory))
        if name == "xmem_s012":
            raise WeightsError(f"{name}: no source delivered it")
        return directory

    monkeypatch.setattr(checkpoints, "fetch", fetch)
    with pytest.raises(WeightsError, match="xmem_s012"):
        engine.tracker_factory(load_settings(weights_dir=tmp_path), FULL)()
    assert fetched == [("sam_vit_h", tmp_path), ("xmem_s012", tmp_path)]
