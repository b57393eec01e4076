"""A benchmark beside an earlier one: which figures changed by more than chance explains."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from backend.errors import DatasetError
from backend.evaluation.benchmark_report import Case, Figure, Machine, Measured, Report

HOST, DEVICE = "peak memory", "peak memory of the device"
MEMORY = (HOST, DEVICE)
"""Names of figures in bytes; all others are in milliseconds."""
NEGLIGIBLE = 0.01
"""Stages with less than this part of the whole in both reports are not compared."""

Verdict = Literal["less", "more", "within the spread", "one value"]


@dataclass(frozen=True)
class Ratio:
    """One figure of one case in both reports, in milliseconds or bytes: less is better."""

    case: Case
    name: str
    old: Figure
    new: Figure

    @property
    def ratio(self) -> float | None:
        """New median by old median; None where the old one is 0."""
        return self.new.median / self.old.median if self.old.median else None

    @property
    def verdict(self) -> Verdict:
        """Where the values of both overlap, a difference of their medians may be chance; single values do not tell."""
        if len(self.old.values) == 1 or len(self.new.values) == 1:
            return "one value"
        if self.new.low <= self.old.high and self.old.low <= self.new.high:
            return "within the spread"
        return "less" if self.new.median < self.old.median else "more"


@dataclass(frozen=True)
class Comparison:
    """All figures that two reports share, and in sentences what else differs between them."""

    old: Report
    ratios: tuple[Ratio, ...]
    warnings: tuple[str, ...]


def check_comparable(path: Path, old: Report, cases: tuple[Case, ...]) -> None:
    """Refuse an earlier report that has none of the cases.

    Raises:
        DatasetError: the message names the file.
    """
    known = [measured.case for measured in old.cases]
    if not set(known) & set(cases):
        raise DatasetError(
            f"--against {path}: it has none of the cases that are to be measured, but "
            f"{'; '.join(map(str, known)) or 'none at all'}; choose --objects, --resolutions, --lengths and --frames "
            "as they were"
        )


def compare(new: Report, old: Report) -> Comparison:
    """Put the figures of the cases that two reports share side by side."""
    known = {measured.case: measured for measured in old.cases}
    ratios = [
        ratio for measured in new.cases if measured.case in known for ratio in _ratios(known[measured.case], measured)
    ]
    return Comparison(old, tuple(ratios), tuple(_warnings(new, old)))


def _ratios(old: Measured, new: Measured) -> Iterator[Ratio]:
    before = _figures(old)
    for name, figure in _figures(new).items():
        if name in before and not (_negligible(old, name) and _negligible(new, name)):
            yield Ratio(new.case, name, before[name], figure)


def _negligible(measured: Measured, name: str) -> bool:
    figure = measured.stages.get(name)
    return figure is not None and figure.median < NEGLIGIBLE * measured.wall.median


def _figures(measured: Measured) -> dict[str, Figure]:
    """What is compared: times in milliseconds and memory in bytes, by name."""
    found = {"end to end": measured.wall}
    found |= {name: figure for name, figure in measured.stages.items() if figure is not None}
    found[HOST] = Figure(values=(measured.memory.peak,))
    if measured.memory.device is not None:
        found[DEVICE] = Figure(values=(measured.memory.device,))
    if measured.clicks is not None:
        found["first click"] = measured.clicks.first
        found["following click"] = measured.clicks.following
    return found


def _warnings(new: Report, old: Report) -> Iterator[str]:
    for name in Machine.model_fields:
        before, now = getattr(old.machine, name), getattr(new.machine, name)
        if before != now:
            yield f"not the same {_NAMES.get(name, name)}: {before or 'none'} before, {now or 'none'} now"
    for name in ("profile", "segmenter", "propagator"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            yield f"not the same {name}: {before} before, {now} now"
    if new.warm_up != old.warm_up:
        yield f"not the same warm-up: {old.warm_up} frames before, {new.warm_up} now"


_NAMES = {"waiting": "OMP_WAIT_POLICY", "dtype": "number format"}
