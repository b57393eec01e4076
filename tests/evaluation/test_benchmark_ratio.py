from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import DatasetError
from backend.evaluation.benchmark_ratio import Ratio, check_comparable, compare
from backend.evaluation.benchmark_report import Figure
from support.reports import MACHINE, case, measured, report


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ((100, 102, 104), (90, 95, 99), "less"),
        ((100, 102, 104), (105, 110, 120), "more"),
        ((100, 102, 104), (90, 95, 100), "within the spread"),
        ((100, 102, 104), (80, 103, 300), "within the spread"),
        ((80, 103, 300), (100, 102, 104), "within the spread"),
        ((100,), (50, 51, 52), "one value"),
        ((100, 102, 104), (50,), "one value"),
    ],
)
def test_a_difference_within_the_spread_is_none(old: tuple[float, ...], new: tuple[float, ...], verdict: str) -> None:
    assert Ratio(case(), "encode", Figure(values=old), Figure(values=new)).verdict == verdict


def test_the_ratio_is_now_by_before() -> None:
    assert Ratio(case(), "encode", Figure(values=(4, 1, 9)), Figure(values=(2,))).ratio == 0.5
    assert Ratio(case(), "encode", Figure(values=(0,)), Figure(values=(2,))).ratio is None


def test_common_cases_are_compared_figure_by_figure() -> None:
    old = report(measured(case(), 100.0, 101.0, clicks=True), measured(case(10), 300.0, 301.0))
    new = report(measured(case(3), 50.0, 51.0), measured(case(), 50.0, 52.0, encode=20.0, clicks=True))
    found = compare(new, old)
    assert {ratio.case for ratio in found.ratios} == {case()}
    assert {ratio.name: ratio.ratio for ratio in found.ratios} == {
        "end to end": pytest.approx(51 / 100.5),
        "encode": 0.25,
        "peak memory": 1.0,
        "first click": 1.0,
        "following click": 1.0,
    }
    assert found.warnings == ()


def test_a_stage_that_has_grown_is_not_left_out() -> None:
    old, new = measured(case(), 100.0), measured(case(), 100.0)
    grown = new.model_copy(update={"stages": {**new.stages, "thin": Figure(values=(5.0,))}})
    names = [ratio.name for ratio in compare(report(grown), report(old)).ratios]
    assert "thin" in names
    assert "serialise" not in names


def test_another_machine_is_named() -> None:
    machine = MACHINE.model_copy(update={"cpu": "Abacus", "gpu": "Loom", "waiting": ""})
    warnings = compare(report(profile="full", propagator="xmem"), report(machine=machine)).warnings
    assert warnings == (
        "not the same cpu: Abacus before, Slide Rule 9 now",
        "not the same gpu: Loom before, none now",
        "not the same OMP_WAIT_POLICY: none before, passive now",
        "not the same profile: lite before, full now",
        "not the same propagator: sam_tokens before, xmem now",
    )


def test_a_report_without_any_of_the_cases_is_refused() -> None:
    old = report(measured(case(3), 1.0), measured(case(1, "720p"), 1.0))
    check_comparable(Path("old.json"), old, (case(1), case(3)))
    with pytest.raises(DatasetError, match=r"old\.json: .*3 objects, 480p, 60 frames; 1 object, 720p, 60 frames"):
        check_comparable(Path("old.json"), old, (case(1),))
    with pytest.raises(DatasetError, match="none at all"):
        check_comparable(Path("old.json"), report(), (case(1),))
