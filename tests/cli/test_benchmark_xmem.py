"""``python -m backend benchmark --xmem-forms``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.__main__ import main
from backend.evaluation.benchmark_report import Figure
from backend.evaluation.xmem_forms import Forms
from backend.evaluation.xmem_forms_report import FormsCase, FormsReport, FormTimes


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would have been measured."""
    made: list[Any] = []

    class Instant:
        def measure(self, objects: int, repeats: int, *, warm_up: bool) -> FormsCase:
            made.append((objects, repeats, warm_up))
            times = FormTimes(passing=Figure(values=(1.0,) * repeats), remembered=Figure(values=(2.0,) * repeats))
            forms = {"plain": times, "float32": times}
            return FormsCase(objects=objects, tokens=16_200, width=854, height=480, every=5, forms=forms)

    def of(state: object, device: str, dtypes: object, modes: object) -> Instant:
        made.append((device, modes))
        return Instant()

    monkeypatch.setattr("backend.evaluation.xmem_reference.random_state", dict)
    monkeypatch.setattr(Forms, "of", of)
    return made


def start(out: Path, *options: str) -> int:
    return main(["benchmark", "--xmem-forms", "--device", "cpu", "--out", str(out), *options])


def test_all_numbers_of_objects(tmp_path, asked, capsys):
    assert start(tmp_path) == 0
    assert asked == [("cpu", ()), (1, 3, True), (3, 3, False), (10, 3, False), (30, 3, False)]
    report = FormsReport.model_validate_json((tmp_path / "xmem-forms.json").read_bytes())
    assert [case.objects for case in report.cases] == [1, 3, 10, 30]
    assert report.machine.device == "cpu"
    text = (tmp_path / "xmem-forms.md").read_text("utf-8")
    assert "| 30 objects | 1.2 (1.2–1.2) | 1.2 (1.2–1.2) | **1.00** |" in text
    assert capsys.readouterr().out == text + "\n"


def test_options(tmp_path, asked):
    options = ["--objects", "2", "--repeats", "1", "--xmem-mode", "compile", "--xmem-mode", "compile"]
    assert start(tmp_path / "mine.json", *options) == 0
    assert asked == [("cpu", ("compile",)), (2, 1, True)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.md"]


@pytest.mark.parametrize(
    "options", [("--resolutions", "720p"), ("--lengths", "9"), ("--frames", "9"), ("--against", "old.json")]
)
def test_options_of_presses_are_refused(tmp_path, asked, capsys, options):
    assert start(tmp_path, *options) == 2
    assert f"{options[0]}: there is none with --xmem-forms" in capsys.readouterr().err
    assert asked == []


def test_graphs_need_cuda(tmp_path, capsys, monkeypatch):
    assert start(tmp_path, "--xmem-mode", "graphs") == 2
    assert "graphs" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_mode_needs_the_forms(tmp_path, capsys):
    assert main(["benchmark", "--out", str(tmp_path), "--xmem-mode", "compile"]) == 2
    assert "--xmem-mode" in capsys.readouterr().err
