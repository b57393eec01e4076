"""``python -m backend benchmark``: what is measured, what is written, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.cli import benchmark
from backend.errors import MeasuringError
from backend.evaluation.benchmark_report import Case, Measured, read_report, write_report
from backend.settings import Settings
from support.reports import MACHINE, case, measured, report


class Measurer:
    """Stands in for the processes that measure; ``fails_at`` has the cases that cannot be measured."""

    def __init__(self) -> None:
        self.asked: list[tuple[Case, int, bool]] = []
        self.fails_at: set[Case] = set()
        self.settings: Settings | None = None

    def __call__(self, settings: Settings, of: Case, repeats: int, clicks: bool) -> Measured:
        self.settings = settings
        if of in self.fails_at:
            raise MeasuringError("killed for want of memory")
        self.asked.append((of, repeats, clicks))
        return measured(of, *(100.0 + turn for turn in range(repeats)), clicks=clicks)

    @property
    def cases(self) -> list[Case]:
        return [of for of, _, _ in self.asked]


@pytest.fixture
def measurer(monkeypatch: pytest.MonkeyPatch) -> Measurer:
    stand_in = Measurer()

    def in_child(function: object, settings: Settings) -> Any:
        assert function is benchmark._prepare
        return settings.model_copy(update={"profile": "lite", "device": "cpu"}), MACHINE

    monkeypatch.setattr("backend.evaluation.child.in_child", in_child)
    monkeypatch.setattr(benchmark, "_measure_case", stand_in)
    return stand_in


def start(out: Path, *options: str) -> int:
    return main(["benchmark", "--out", str(out), *options])


def test_all_cases_to_a_directory(tmp_path, measurer, capsys):
    assert start(tmp_path / "new" / "out") == 0
    assert measurer.cases == [
        case(1),
        case(3),
        case(10),
        case(30),
        case(1, "720p"),
        case(1, "1080p"),
        case(1, "480p", 240),
        case(1, "480p", 720),
    ]
    assert {repeats for _, repeats, _ in measurer.asked} == {3}
    assert [of for of, _, clicks in measurer.asked if clicks] == [case(1), case(1, "720p"), case(1, "1080p")]
    saved = read_report(tmp_path / "new" / "out" / "benchmark.json")
    assert [one.case for one in saved.cases] == measurer.cases
    assert (saved.profile, saved.machine, saved.repeats) == ("lite", MACHINE, 3)
    text = (tmp_path / "new" / "out" / "benchmark.md").read_text("utf-8")
    assert capsys.readouterr().out == text + "\n"
    assert "| encode | 80.0 (94%) | 80.0 (94%) | 80.0 (94%) | 80.0 (94%) |" in text


def test_a_file_by_name(tmp_path, measurer):
    assert start(tmp_path / "today.json", "--quick") == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["today.json", "today.md"]


def test_quick(tmp_path, measurer):
    assert start(tmp_path, "--quick") == 0
    assert measurer.cases == [case(1, frames=12), case(3, frames=12)]
    assert {repeats for _, repeats, _ in measurer.asked} == {2}


def test_what_is_given_counts_beside_quick_too(tmp_path, measurer):
    options = ["--frames", "20", "--lengths", "30", "--repeats", "1", "--resolutions", " 720P ,480p", "--objects", "5"]
    assert start(tmp_path, "--quick", *options) == 0
    assert measurer.cases == [case(5, "720p", 20), case(5, "480p", 20), case(5, "720p", 30)]
    assert {repeats for _, repeats, _ in measurer.asked} == {1}


def test_the_models_get_the_settings(tmp_path, measurer):
    assert start(tmp_path, "--quick", "--threads", "1", "--keyframe-iou", "0.9", "--profile", "auto") == 0
    assert measurer.settings is not None
    assert (measurer.settings.threads, measurer.settings.keyframe_iou, measurer.settings.profile) == (1, 0.9, "lite")


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--objects", "1,31", "'31' is no whole number from 1 to 30"),
        ("--objects", "0", "'0' is no whole number from 1 to 30"),
        ("--objects", "1,,3", "'' is no whole number"),
        ("--lengths", "1", "'1' is no whole number from 2"),
        ("--frames", "many", "'many' is no whole number from 2"),
        ("--repeats", "0", "'0' is no whole number from 1 to 100"),
        ("--resolutions", "480p,8k", "'8k' is no resolution; choose of 480p, 720p, 1080p, 2160p"),
    ],
)
def test_options_that_cannot_be_used(tmp_path, measurer, capsys, option, value, told):
    with pytest.raises(SystemExit) as end:
        start(tmp_path, option, value)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


def test_a_setting_that_cannot_be_used(tmp_path, measurer, capsys):
    assert start(tmp_path, "--device", "abacus") == 2
    assert "--device" in capsys.readouterr().err


def test_earlier_results_are_kept_unless_told(tmp_path, measurer, capsys):
    (tmp_path / "benchmark.md").write_text("mine")
    assert start(tmp_path, "--quick") == 2
    assert "benchmark.md is there already" in capsys.readouterr().err
    assert not measurer.asked
    assert [path.name for path in tmp_path.iterdir()] == ["benchmark.md"]
    assert start(tmp_path, "--quick", "--force") == 0
    assert (tmp_path / "benchmark.md").read_text("utf-8").startswith("## Speed")


def test_a_place_that_cannot_be(tmp_path, measurer, capsys):
    (tmp_path / "file").write_text("")
    assert start(tmp_path / "file" / "out.json", "--quick") == 2
    assert "--out" in capsys.readouterr().err


def test_what_was_measured_before_a_failure_is_kept(tmp_path, measurer, capsys):
    measurer.fails_at = {case(10)}
    assert start(tmp_path) == 2
    assert "30" not in capsys.readouterr().out
    assert [one.case for one in read_report(tmp_path / "benchmark.json").cases] == [case(1), case(3)]
    assert "3 objects" in (tmp_path / "benchmark.md").read_text("utf-8")


def test_an_interrupt_keeps_what_was_measured(tmp_path, measurer, monkeypatch):
    def interrupted(settings: Settings, of: Case, repeats: int, clicks: bool) -> Measured:
        if of.objects == 3:
            raise KeyboardInterrupt
        return measurer(settings, of, repeats, clicks)

    monkeypatch.setattr(benchmark, "_measure_case", interrupted)
    assert start(tmp_path, "--quick") == 130
    assert [one.case for one in read_report(tmp_path / "benchmark.json").cases] == [case(1, frames=12)]


def test_ratios_to_an_earlier_one(tmp_path, measurer, capsys):
    old = report(measured(case(1, frames=12), 200.0, 202.0), machine=MACHINE.model_copy(update={"cpu": "Abacus"}))
    write_report(tmp_path / "old.json", old)
    assert start(tmp_path / "new.json", "--quick", "--against", str(tmp_path / "old.json")) == 0
    said = capsys.readouterr().out
    assert "Attention: not the same cpu: Abacus before, Slide Rule 9 now." in said
    assert "| end to end | 201 ms (200–202) | 100 ms (100–101) | 0.50 | less |" in said
    assert said == (tmp_path / "new.md").read_text("utf-8") + "\n"


@pytest.mark.parametrize("content", [None, "{}", "cases"])
def test_what_cannot_be_compared_is_refused_before_anything_is_measured(tmp_path, measurer, capsys, content):
    old = tmp_path / "old.json"
    if content == "cases":
        write_report(old, report(measured(case(7), 1.0)))
    elif content is not None:
        old.write_text(content)
    assert start(tmp_path / "new.json", "--quick", "--against", str(old)) == 2
    assert "old.json" in capsys.readouterr().err
    assert not measurer.asked


@pytest.mark.slow
def test_the_built_in_models_are_measured(tmp_path, mobile_sam_path, capsys):
    options = ["--objects", "2", "--resolutions", "480p", "--lengths", "4", "--frames", "4", "--repeats", "1"]
    options += ["--device", "cpu", "--threads", "1", "--weights-dir", str(mobile_sam_path.parent)]
    assert start(tmp_path, *options) == 0
    (found,) = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))["cases"]
    assert found["found"] == 1
    assert found["memory"]["peak"] > found["memory"]["loaded"] > 100 << 20
    for stage in ("encode", "prompts", "propagate", "refine", "masks", "thin", "serialise"):
        assert found["stages"][stage]["median"] > 0, stage
    assert found["clicks"]["first"]["median"] > found["clicks"]["following"]["median"] > 0
    assert "1 thread (OMP_WAIT_POLICY=" in capsys.readouterr().out
