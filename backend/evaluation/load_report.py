"""What a load test found: as values, as JSON, and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, computed_field

from backend.evaluation.benchmark_report import Count, Machine
from backend.evaluation.benchmark_text import describe_load, describe_machine, plural, table

FORMAT: Final = "keytrack-load-1"
HEALTH_SECONDS: Final = 0.05
"""What ``/health`` is to stay below in 99 of 100 answers."""

_NOTES = """\
Each annotator opens tasks one after the other, draws one or two boxes, presses until they are tracked, corrects,
deletes and hides, and changes a quarter of all that while it is tracked. Every third task is shared with a colleague.
A press returns after the budget at the latest, done or not. A finished track counts each time that it came back
complete after a change, with all its frames, though after a correction only a part is tracked again."""


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True)


class Latencies(_Values):
    """Seconds that so many answers took."""

    count: int
    p50: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latencies:
        """Of measured ones; percentiles are values that were measured, 0 where there are none."""
        if not seconds:
            return cls(count=0, p50=0, p90=0, p99=0, most=0)
        middle, high, highest = np.percentile(seconds, (50, 90, 99), method="higher")
        return cls(
            count=len(seconds),
            p50=round(float(middle), 4),
            p90=round(float(high), 4),
            p99=round(float(highest), 4),
            most=round(max(seconds), 4),
        )


class HeldMemory(_Values):
    """Bytes that the service held: before the first press, in the middle, at the end, and at most; 0 for unknown."""

    start: int
    median: int
    end: int
    peak: int

    @classmethod
    def of(cls, held: Sequence[int]) -> HeldMemory:
        """Of samples in turn."""
        if not held:
            return cls(start=0, median=0, end=0, peak=0)
        return cls(start=held[0], median=int(np.median(held)), end=held[-1], peak=max(held))


class LoadReport(_Values):
    """One run. ``load`` is the machine's load average before it began, where it has one; ``minutes`` as they passed.

    ``finished`` are tracks that came back complete after a change, ``frames`` theirs summed up. ``busy`` are refusals,
    ``errors`` whatever else was no answer and ``wrong`` mistakes in answers, by kind, with ``examples``. ``ended`` says
    that the service ended by itself when it was asked to.
    """

    format: Literal["keytrack-load-1"] = FORMAT
    version: str
    commit: str | None
    date: str
    machine: Machine
    load: float | None
    seed: int
    annotators: Count
    videos: Count
    video_frames: Count
    width: Count
    height: Count
    budget_seconds: float
    minutes: float
    opened: int
    finished: int
    frames: int
    presses: Latencies
    health: Latencies
    busy: int
    errors: dict[str, int]
    wrong: dict[str, int]
    examples: tuple[str, ...]
    memory: HeldMemory
    ended: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def presses_per_minute(self) -> float:
        """How many were answered."""
        return round(self.presses.count / self.minutes, 1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def frames_per_second(self) -> float:
        """Of tracks that came back complete."""
        return round(self.frames / self.minutes / 60, 2)

    @property
    def passed(self) -> bool:
        """Whether there was no error but "busy", no wrong answer, and an orderly end."""
        return not self.errors and not self.wrong and self.ended


def to_markdown(report: LoadReport) -> str:
    """The figures as tables, ready to paste."""
    made = f"Keytrack {report.version}" + (f" ({report.commit})" if report.commit else "")
    of = f"{plural(report.videos, 'video')} of {report.video_frames} frames, {report.width}x{report.height}"
    preamble = (
        f"{describe_machine(report.machine)}. {made}, {report.date}, seed {report.seed}; a budget of "
        f"{report.budget_seconds:g} s{describe_load(report.load)}."
    )
    within = "yes" if report.health.p99 < HEALTH_SECONDS else "no"
    counts = [
        ["", "in all"],
        ["presses", f"{report.presses.count} ({report.presses_per_minute:g} a minute)"],
        ["tasks opened", str(report.opened)],
        ["tracks finished", f"{report.finished} ({report.frames_per_second:g} frames a second)"],
        ["refused as busy", str(report.busy)],
        ["errors", _counted(report.errors)],
        ["wrong answers", _counted(report.wrong)],
        [f"`/health` below {HEALTH_SECONDS * 1000:.0f} ms at p99", within],
        ["ended by itself at SIGTERM", "yes" if report.ended else "no"],
    ]
    latencies = [["seconds", "p50", "p90", "p99", "most"]]
    for name, one in (("press", report.presses), ("`/health`", report.health)):
        latencies.append([name, *(f"{value:.3f}" for value in (one.p50, one.p90, one.p99, one.most))])
    held = report.memory
    memory = [["memory", "at the start", "median", "at the end", "peak"]]
    memory.append(["of the service", *(f"{value / 2**20:.0f} MiB" for value in _in_order(held))])
    title = f"## {plural(report.annotators, 'annotator')} at once, {of}, {report.minutes:.1f} minutes"
    parts = [title, preamble, _NOTES, table(counts), table(latencies), table(memory)]
    if report.examples:
        parts.append("\n".join(f"- {example}" for example in report.examples))
    return "\n\n".join(parts) + "\n"


def _in_order(held: HeldMemory) -> tuple[int, int, int, int]:
    return held.start, held.median, held.end, held.peak


def _counted(kinds: dict[str, int]) -> str:
    if not kinds:
        return "0"
    return f"{sum(kinds.values())}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
