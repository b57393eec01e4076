"""A load test's figures."""

from __future__ import annotations

import pytest

from backend.evaluation.load_report import HeldMemory, Latencies, to_markdown
from support.reports import load_report


def test_percentiles_are_of_what_was_measured():
    found = Latencies.of([number / 100 for number in range(100, 0, -1)])
    assert (found.count, found.p50, found.p90, found.p99, found.most) == (100, 0.51, 0.91, 1.0, 1.0)
    assert Latencies.of([]) == Latencies(count=0, p50=0, p90=0, p99=0, most=0)


def test_memory_over_time():
    assert HeldMemory.of([5, 30, 20]) == HeldMemory(start=5, median=20, end=20, peak=30)
    assert HeldMemory.of([]).peak == 0


def test_rates_are_of_the_time_that_passed():
    report = load_report()
    assert (report.presses_per_minute, report.frames_per_second) == (50, 2)


@pytest.mark.parametrize("broken", [{"errors": {"status 500": 1}}, {"wrong": {"crossed": 1}}, {"ended": False}])
def test_one_error_is_too_many(broken):
    assert load_report(busy=7).passed
    assert not load_report(**broken).passed


def test_the_tables():
    text = to_markdown(load_report(errors={"status 500": 2, "/health: ReadTimeout": 1}, examples=("task 3: crossed",)))
    assert "## 20 annotators at once, 5 videos of 24 frames, 854x480, 2.0 minutes" in text
    assert "| presses | 100 (50 a minute) |" in text
    assert "| tracks finished | 10 (2 frames a second) |" in text
    assert "| errors | 3: 1 /health: ReadTimeout, 2 status 500 |" in text
    assert "| `/health` below 50 ms at p99 | no |" in text
    assert "| press | 1.000 | 5.000 | 10.000 | 11.000 |" in text
    assert "| of the service | 1000 MiB | 1100 MiB | 1200 MiB | 1300 MiB |" in text
    assert text.endswith("- task 3: crossed\n")
    assert "- task" not in to_markdown(load_report())
