from __future__ import annotations

from backend.evaluation.benchmark_ratio import compare
from backend.evaluation.benchmark_text import to_markdown
from support.reports import MACHINE, case, measured, report

SWEEPS = report(
    measured(case(1), 90.0, 100.0, 110.0, clicks=True),
    measured(case(30), 900.0, 1000.0, 1100.0, found=0.9),
    measured(case(1, "1080p"), 100.0, 120.0, 140.0, clicks=True),
    measured(case(1, "480p", 240), 95.0, 101.0, 105.0),
)


def rows(text: str, title: str) -> dict[str, list[str]]:
    """The table under a heading: its first column, and the other cells."""
    section = text.split(f"### {title}")[1].split("###")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    return {first.strip(): [cell.strip() for cell in cells] for first, *cells in lines}


def test_the_machine_and_the_circumstances_are_named() -> None:
    text = to_markdown(SWEEPS)
    assert text.startswith("## Speed of `lite` (mobile_sam + sam_tokens) on the CPU\n")
    for part in (
        "Slide Rule 9, 2 cores, 8 GiB of memory, Linux 6.1",
        "torch 2.6.0",
        "2 threads (OMP_WAIT_POLICY=passive)",
        "in float32",
        "Keytrack 0.2.0 (abc1234), 2026-01-31",
        "medians of 3 runs",
        "8 frames to warm up",
        "load average before it began: 0.25",
    ):
        assert part in text


def test_a_gpu_is_named_first() -> None:
    machine = MACHINE.model_copy(update={"gpu": "Loom 3", "device": "cuda", "threads": 1})
    text = to_markdown(report(measured(case(), 10.0, device=3 << 30), machine=machine, commit=None, repeats=1))
    assert text.startswith("## Speed of `lite` (mobile_sam + sam_tokens) on Loom 3\n\nLoom 3, Slide Rule 9")
    assert "1 thread " in text
    assert "Keytrack 0.2.0, 2026-01-31: one run" in text
    assert rows(text, "By number of objects")["peak memory of the device"] == ["3072 MiB"]


def test_stages_by_number_of_objects() -> None:
    table = rows(to_markdown(SWEEPS), "By number of objects")
    assert table["ms per frame (480p, 60 frames)"] == ["1 object", "30 objects"]
    # 80 of 80 and ten times 0.5.
    assert table["encode"] == ["80.0 (94%)"] * 2
    assert table["decode, beside"] == ["7.25", "7.25"]
    assert table["associate"] == ["not part of `lite`"] * 2
    assert table["**end to end**"] == ["**100** (90.0–110)", "**1000** (900–1100)"]
    assert table["frames per second"] == ["10.00", "1.00"]
    assert table["peak memory"] == ["900 MiB"] * 2
    assert "peak memory of the device" not in table


def test_by_resolution_by_length_and_clicks() -> None:
    text = to_markdown(SWEEPS)
    assert rows(text, "By resolution")["ms per frame (1 object, 60 frames)"] == ["480p", "1080p"]
    lengths = rows(text, "By length")
    assert lengths["frames (1 object, 480p)"] == ["60", "240"]
    assert lengths["ms per frame"] == ["100 (90.0–110)", "101 (95.0–105)"]
    clicks = rows(text, "Clicks")
    assert clicks["ms"] == ["480p", "1080p"]
    assert clicks["decode"] == ["20.0", "20.0"]
    assert clicks["**first click**"] == ["**310** (300–320)"] * 2
    assert clicks["**following click**"] == ["**45.0** (40.0–50.0)"] * 2


def test_what_was_not_varied_has_no_table() -> None:
    text = to_markdown(report(measured(case(), 100.0)))
    assert "By number of objects" in text
    assert "By resolution" not in text
    assert "By length" not in text
    assert "Clicks" not in text


def test_one_run_has_no_spread() -> None:
    assert rows(to_markdown(report(measured(case(), 100.0))), "By number of objects")["**end to end**"] == ["**100**"]


def test_lost_objects_are_pointed_out() -> None:
    assert "30 objects, 480p, 60 frames: objects were lost in 10.0% of the observations" in to_markdown(SWEEPS)
    assert "lost" not in to_markdown(report(measured(case(), 100.0)))


def test_ratios_come_last() -> None:
    new = report(measured(case(), 50.0, 52.0, encode=20.0))
    old = report(measured(case(), 100.0, 101.0), machine=MACHINE.model_copy(update={"cores": 4}), date="2025-12-24")
    text = to_markdown(new, compare(new, old))
    assert "### Compared with Keytrack 0.2.0 (abc1234), 2025-12-24" in text
    assert "Attention: not the same cores: 4 before, 2 now." in text
    lines = text.splitlines()
    assert "| 1 object, 480p, 60 frames | end to end | 100 ms (100–101) | 51.0 ms (50.0–52.0) | 0.51 | less |" in lines
    assert "| 1 object, 480p, 60 frames | encode | 80.0 ms (80.0–80.0) | 20.0 ms (20.0–20.0) | 0.25 | less |" in lines
    assert "| 1 object, 480p, 60 frames | peak memory | 900 MiB | 900 MiB | 1.00 | one value |" in lines


def test_tables_are_rectangular() -> None:
    text = to_markdown(SWEEPS, compare(SWEEPS, SWEEPS))
    width = 0
    for line in text.splitlines():
        cells = line.count("|") if line.startswith("|") else 0
        assert not (cells and width and cells != width), line
        width = cells
