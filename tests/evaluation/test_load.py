"""A small load test of the service in a process of its own, behind which a tracker stands that knows the truth."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.evaluation import load, load_watch
from backend.evaluation.load import LoadOutcome, LoadPlan, run_load
from backend.evaluation.load_tally import Tally
from backend.settings import load_settings
from support.fake_tracker import PATIENCE
from support.load_service import FRAMES, HEIGHT, VIDEOS, WIDTH
from support.video_client import eventually

ROOT = Path(__file__).parents[2]


def run(directory: Path, monkeypatch: pytest.MonkeyPatch, place: str, enough: Callable[[Tally], object]) -> LoadOutcome:
    """A load that goes on until there is enough, however slow the machine is."""
    monkeypatch.setattr(load, "_wait", lambda seconds, tally: eventually(lambda: enough(tally)))
    monkeypatch.setattr(load_watch, "TIMEOUT", PATIENCE)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    monkeypatch.setenv("KEYTRACK_PASSWORD", "not the load test's")
    settings = load_settings(device="cpu", profile="lite", budget_seconds=2)
    plan = LoadPlan(2, VIDEOS, FRAMES, WIDTH, HEIGHT, pause=0.05)
    return run_load(plan, settings, directory, [sys.executable, "-m", "support.load_service", place])


def test_a_service_that_answers_right(tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, "here", lambda tally: tally.finished > 3)
    tally = found.tally
    assert (tally.errors, tally.wrong, tally.examples) == ({}, {}, [])
    assert tally.finished > 0
    assert tally.frames == FRAMES * tally.finished
    assert found.presses.count == len(tally.seconds) >= tally.opened > 0
    assert found.health.count > 0
    assert 0 < found.memory.start <= found.memory.peak
    assert found.ended
    assert "SIGTERM: stopping" in (tmp_path / "serve.log").read_text("utf-8")


def test_a_service_that_mixes_objects_up(tmp_path, monkeypatch):
    found = run(tmp_path, monkeypatch, "elsewhere", lambda tally: tally.wrong["crossed"])
    assert found.tally.wrong["crossed"] > 0
    assert "crossed" in "\n".join(found.tally.examples)
    assert found.tally.errors == {}
