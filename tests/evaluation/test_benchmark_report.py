from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.errors import DatasetError, OutputError
from backend.evaluation.benchmark_cases import make_cases
from backend.evaluation.benchmark_report import Figure, read_report, write_report
from support.reports import case, measured, report

GOOD = report(measured(case(), 100.0, 104.0, 101.0, clicks=True), measured(case(3), 120.0, 125.0, 122.0))


def test_it_reads_what_it_wrote(tmp_path: Path) -> None:
    write_report(tmp_path / "a.json", GOOD)
    assert read_report(tmp_path / "a.json") == GOOD


def test_the_file_speaks_for_itself(tmp_path: Path) -> None:
    write_report(tmp_path / "a.json", GOOD)
    data = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert data["format"] == "keytrack-benchmark-1"
    assert data["machine"]["cpu"] == "Slide Rule 9"
    first, second = data["cases"]
    assert first["case"] == {"objects": 1, "resolution": "480p", "width": 854, "height": 480, "frames": 60}
    assert first["wall"] == {"values": [100.0, 104.0, 101.0], "median": 101.0}
    assert first["stages"]["associate"] is None
    assert first["clicks"]["following"]["median"] == 45.0
    assert second["clicks"] is None


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (["format"], "keytrack-benchmark-0", "format"),
        (["cases", 0, "wall", "values"], [], "cases.0.wall.values"),
        (["cases", 0, "wall", "values", 1], "fast", "cases.0.wall.values.1"),
        (["cases", 1, "case", "frames"], 0, "cases.1.case.frames"),
        (["machine", "threads"], None, "machine.threads"),
    ],
)
def test_what_is_no_report_is_refused_by_name(tmp_path: Path, place: list[str | int], value: object, told: str) -> None:
    data = json.loads(GOOD.model_dump_json())
    inner = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    path = tmp_path / "old.json"
    path.write_text(json.dumps(data))
    with pytest.raises(DatasetError, match=rf"old\.json.*: {told}: "):
        read_report(path)


@pytest.mark.parametrize("content", ["", "[1, 2]", "not JSON", '{"sequences": {}}'])
def test_other_files_are_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "old.json").write_text(content)
    with pytest.raises(DatasetError, match=r"old\.json.*an earlier benchmark wrote"):
        read_report(tmp_path / "old.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"old\.json: cannot be read"):
        read_report(tmp_path / "old.json")


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="out"):
        write_report(tmp_path / "missing" / "out.json", GOOD)


def test_a_figure() -> None:
    figure = Figure(values=(5.0, 1.0, 2.0))
    assert (figure.low, figure.median, figure.high) == (1.0, 2.0, 5.0)
    assert Figure(values=(1.0, 2.0)).median == 1.5


def test_cases_vary_one_thing_at_a_time() -> None:
    cases = make_cases((1, 3, 10), ("480p", "720p"), (60, 240), 60)
    assert [(one.objects, one.resolution, one.frames) for one in cases] == [
        (1, "480p", 60),
        (3, "480p", 60),
        (10, "480p", 60),
        (1, "720p", 60),
        (1, "480p", 240),
    ]
    assert (cases[3].width, cases[3].height) == (1280, 720)
