"""What was measured of XMem's forms: as values, as JSON, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, computed_field

from backend.evaluation.benchmark_report import Count, Figure, Machine
from backend.evaluation.benchmark_text import describe_load, describe_machine, describe_run, plural, table

FORMAT: Final = "keytrack-xmem-forms-1"

PLAIN: Final = "plain"
"""The name of the plain form; the others go by what they compute in."""

_NOTES = """\
*Plain* is XMem as its paper writes it, in float32 (`backend/evaluation/xmem_reference.py`). The others are what tracks
are made with, from a frame's bytes to masks at full size, by what they compute in. All run in one process, in turns,
with random weights, {tokens:,} tokens in memory and frames of {width}x{height}. Seconds per frame are means of {every}
frames of which one is remembered; the ratio is plain / fast, so that more is better."""


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True)


class FormTimes(_Values):
    """Seconds of a frame that is not remembered, and of one that is."""

    passing: Figure
    remembered: Figure

    def per_frame(self, every: int) -> Figure:
        """Seconds per frame where one of ``every`` is remembered."""
        pairs = zip(self.passing.values, self.remembered.values, strict=True)
        return Figure(values=tuple(round(((every - 1) * one + other) / every, 4) for one, other in pairs))


class FormsCase(_Values):
    """The times of each form, by name, with so many objects and tokens in memory."""

    objects: Count
    tokens: Count
    width: Count
    height: Count
    every: Count
    forms: dict[str, FormTimes]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def seconds_per_frame(self) -> dict[str, float]:
        """Medians, by form."""
        return {name: times.per_frame(self.every).median for name, times in self.forms.items()}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratios(self) -> dict[str, float]:
        """How many times faster than the plain form each of the others is."""
        seconds = self.seconds_per_frame
        return {name: round(seconds[PLAIN] / one, 2) for name, one in seconds.items() if name != PLAIN}


class FormsReport(_Values):
    """One run. ``load`` is the machine's load average before it began, where it has one."""

    format: Literal["keytrack-xmem-forms-1"] = FORMAT
    version: str
    commit: str | None
    date: str
    machine: Machine
    load: float | None
    repeats: Count
    cases: tuple[FormsCase, ...]


def to_markdown(report: FormsReport) -> str:
    """A table by number of objects, with a column of seconds per frame and one of ratios for each form."""
    first = report.cases[0]
    fast = [name for name in first.forms if name != PLAIN]
    heads = ["seconds per frame", PLAIN, *(head for name in fast for head in (name, "ratio"))]
    rows = [[plural(case.objects, "object"), *_cells(case, fast)] for case in report.cases]
    notes = _NOTES.format(tokens=first.tokens, width=first.width, height=first.height, every=first.every)
    run = describe_run(report.version, report.commit, report.date, report.repeats)
    about = f"{describe_machine(report.machine)}. {run}{describe_load(report.load)}."
    return "\n\n".join(("## Speed of XMem's forms", about, notes, table([heads, *rows]))) + "\n"


def _cells(case: FormsCase, fast: list[str]) -> Iterator[str]:
    yield _seconds(case, PLAIN)
    for name in fast:
        yield _seconds(case, name)
        yield f"**{case.ratios[name]:.2f}**"


def _seconds(case: FormsCase, name: str) -> str:
    figure = case.forms[name].per_frame(case.every)
    spread = f" ({figure.low:.3g}–{figure.high:.3g})" if len(figure.values) > 1 else ""
    return f"{figure.median:.3g}{spread}"
