"""Timing XMem's forms: what is run, and what is made of the seconds."""

from __future__ import annotations

import pytest
import torch

from backend.evaluation import xmem_forms
from backend.evaluation.benchmark_report import Figure
from backend.evaluation.xmem_forms import Forms, drawn, fast_form
from backend.evaluation.xmem_forms_report import FormsCase, FormsReport, FormTimes, to_markdown
from backend.evaluation.xmem_reference import random_state
from backend.propagation.xmem_propagator import XMemPropagator
from support.reports import MACHINE


@pytest.fixture(scope="module")
def forms() -> Forms:
    return Forms.of(random_state(), "cpu", [torch.float32, torch.bfloat16])


@pytest.mark.parametrize("warm_up", [False, True])
def test_every_form_is_timed_in_turns(forms: Forms, monkeypatch: pytest.MonkeyPatch, warm_up: bool) -> None:
    seconds = iter(range(1, 100))

    def counted(work, wait):
        work()
        return float(next(seconds))

    monkeypatch.setattr(xmem_forms, "_seconds", counted)
    case = forms.measure(2, 2, warm_up=warm_up, size=(64, 40))
    before = 6 if warm_up else 0
    assert (case.objects, case.tokens, case.width, case.height, case.every) == (2, 120, 64, 40, 5)
    assert {name: (one.passing.values, one.remembered.values) for name, one in case.forms.items()} == {
        "plain": ((before + 1, before + 7), (before + 2, before + 8)),
        "float32": ((before + 3, before + 9), (before + 4, before + 10)),
        "bfloat16": ((before + 5, before + 11), (before + 6, before + 12)),
    }


def test_the_fast_form_is_timed_with_a_memory_that_stays_as_full(forms: Forms, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens: list[int] = []
    read = XMemPropagator._read

    def watched(self, frame, keys, names):
        tokens.append(sum(len(one.keys) for one in self._bank.read(frame)))
        return read(self, frame, keys, names)

    monkeypatch.setattr(XMemPropagator, "_read", watched)
    form = fast_form(forms.fast["float32"], *drawn(2, 64, 40))
    tokens.clear()
    for work in (form.passing, form.remembered, form.remembered, form.passing):
        work()
    assert tokens == [120] * 4


def case(objects: int, **forms: tuple[float, float]) -> FormsCase:
    times = {
        name: FormTimes(passing=Figure(values=(one, one + 1)), remembered=Figure(values=(other, other + 1)))
        for name, (one, other) in forms.items()
    }
    return FormsCase(objects=objects, tokens=16_200, width=854, height=480, every=5, forms=times)


def test_a_frame_costs_what_five_do_of_which_one_is_remembered() -> None:
    made = case(1, plain=(10.0, 20.0), float32=(4.0, 6.5))
    assert made.seconds_per_frame == {"plain": 12.5, "float32": 5.0}
    assert made.ratios == {"float32": 2.5}


def test_the_markdown() -> None:
    cases = (case(1, plain=(10.0, 20.0), float32=(4.0, 6.5)), case(3, plain=(20.0, 20.0), float32=(4.5, 4.5)))
    report = FormsReport(
        version="9.9", commit="abc", date="2026-01-02", machine=MACHINE, load=0.25, repeats=2, cases=cases
    )
    assert FormsReport.model_validate_json(report.model_dump_json()) == report
    text = to_markdown(report)
    assert "Keytrack 9.9 (abc), 2026-01-02: medians of 2 runs" in text
    assert "load average before it began: 0.25" in text
    assert "16,200 tokens in memory and frames of 854x480" in text
    assert text.splitlines()[-4:] == [
        "| seconds per frame | plain | float32 | ratio |",
        "|---|---:|---:|---:|",
        "| 1 object | 12.5 (12–13) | 5 (4.5–5.5) | **2.50** |",
        "| 3 objects | 20.5 (20–21) | 5 (4.5–5.5) | **4.10** |",
    ]
