"""``python -m backend benchmark --load``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.cli import benchmark_load
from backend.evaluation.load import LoadOutcome, LoadPlan
from backend.evaluation.load_report import HeldMemory, Latencies, LoadReport
from backend.evaluation.load_tally import Tally
from backend.settings import Settings


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tally: Tally) -> list[Any]:
    """The plan that would have been run, and the service's settings."""
    made: list[Any] = []

    def run_load(plan: LoadPlan, settings: Settings, directory: Path) -> LoadOutcome:
        assert list(directory.iterdir()) == []
        made.extend([plan, settings])
        times = Latencies.of([1.0, 2.0])
        return LoadOutcome(tally, times, Latencies.of([0.01]), HeldMemory.of([1 << 30]), plan.seconds, True)

    monkeypatch.setattr("backend.evaluation.load.run_load", run_load)
    return made


def start(out: Path, *options: str) -> int:
    return main(["benchmark", "--load", "--profile", "lite", "--device", "cpu", "--out", str(out), *options])


def test_a_team_of_the_usual_size(tmp_path, asked, capsys):
    assert start(tmp_path) == 0
    assert asked[0] == LoadPlan(20, 5, 24, 854, 480, seconds=600)
    report = LoadReport.model_validate_json((tmp_path / "load.json").read_bytes())
    assert (report.presses.count, report.presses_per_minute, report.machine.device) == (2, 0.2, "cpu")
    assert capsys.readouterr().out == (tmp_path / "load.md").read_text("utf-8") + "\n"


def test_options(tmp_path, asked):
    options = ["--annotators", "3", "--videos", "2", "--minutes", "0.5", "--frames", "9", "--resolutions", "720p"]
    assert start(tmp_path / "mine.json", *options, "--budget-seconds", "4", "--max-jobs", "7") == 0
    assert asked[0] == LoadPlan(3, 2, 9, 1280, 720, seconds=30)
    assert (asked[1].budget_seconds, asked[1].max_jobs) == (4, 7)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.md"]


def test_an_error_is_the_exit_status(tmp_path, asked, tally, capsys):
    tally.refuse()
    assert start(tmp_path / "busy") == 0
    tally.fail("status 500 internal")
    assert start(tmp_path / "error") == 1
    assert "| errors | 1: 1 status 500 internal |" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ("--objects", "3"),
        ("--lengths", "9"),
        ("--repeats", "2"),
        ("--against", "old.json"),
        ("--quick",),
        ("--xmem-forms",),
        ("--xmem-mode", "graphs"),
        ("--resolutions", "480p,720p"),
    ],
)
def test_what_says_nothing_about_a_team_is_refused(tmp_path, asked, capsys, options):
    assert start(tmp_path, *options) == 2
    assert options[0] in capsys.readouterr().err
    assert asked == []


@pytest.mark.parametrize("option", benchmark_load.OWN)
def test_a_team_s_options_are_refused_without_it(tmp_path, capsys, option):
    assert main(["benchmark", "--out", str(tmp_path), f"--{option}", "2"]) == 2
    assert f"--{option}: there is none without --load" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [("--minutes", "0"), ("--minutes", "soon"), ("--annotators", "0"), ("--videos", "99")]
)
def test_numbers_that_are_none(tmp_path, capsys, options):
    with pytest.raises(SystemExit):
        start(tmp_path, *options)
    assert options[1] in capsys.readouterr().err
