"""The report of a run as a page: one HTML file, and the pictures that lie beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from backend.prelabel.report_records import About, Record, State
from backend.prelabel.summary import Summary

SPANS_SHOWN = 6
SPANS_DRAWN = 200
NO_LABEL = "no label"


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes:
        written: when that was, as ``2026-11-22 02:11``, in UTC.
        ended: the run is over; without it, it goes on or was killed.
        waiting: videos that it has not come to.
    """

    written: str
    ended: bool
    waiting: int


@dataclass(frozen=True, eq=False)
class Row:
    """A video that was tracked, as a line of the table."""

    record: Record
    summary: Summary

    @property
    def title(self) -> str:
        """What it is called."""
        return _title(self.record)

    @property
    def objects(self) -> int:
        """How many there are."""
        return sum(self.summary.objects.values())

    @property
    def classes(self) -> str:
        """``2 Car, 1 Person``."""
        return ", ".join(f"{count} {label or NO_LABEL}" for label, count in self.summary.objects.items())

    @property
    def doubt(self) -> float:
        """In [0, 1]; 1 where nothing was found."""
        return 1 - self.summary.score

    @property
    def doubtful_frames(self) -> int:
        """How many of Label Studio's frames are in doubt."""
        return sum(last - first + 1 for first, last in self.summary.doubtful)

    @property
    def doubtful(self) -> list[str]:
        """``64-70``, ``120`` and so on, the longest spans, and how many more there are."""
        shown = _longest(self.summary.doubtful, SPANS_SHOWN)
        texts = [f"{first}-{last}" if last > first else str(first) for first, last in shown]
        more = len(self.summary.doubtful) - len(shown)
        return texts + ([f"{more} more"] if more else [])

    @property
    def drawn(self) -> list[tuple[int, int]]:
        """Of the doubtful spans those that are drawn, as the first frame from 0 and a length."""
        return [(first - 1, last - first + 1) for first, last in _longest(self.summary.doubtful, SPANS_DRAWN)]

    @property
    def pace(self) -> float | None:
        """Frames that the worker tracked in a second."""
        return self.summary.frames / self.summary.seconds if self.summary.seconds > 0 else None

    @property
    def sought(self) -> str:
        """What the page's search looks through."""
        return " ".join([self.record.name, self.record.video, *self.summary.objects]).casefold()


@dataclass(frozen=True, eq=False)
class Totals:
    """The run in figures."""

    records: Collection[Record]

    @cached_property
    def states(self) -> Counter[State]:
        """Videos by what became of them."""
        return Counter(record.state for record in self.records)

    @cached_property
    def summaries(self) -> Sequence[Summary]:
        """Of what was tracked."""
        return [record.summary for record in self.records if record.summary is not None]

    @cached_property
    def objects(self) -> Counter[str]:
        """By label, of those without one under ""; the most frequent first."""
        found: Counter[str] = Counter()
        for summary in self.summaries:
            found.update(summary.objects)
        return Counter(dict(sorted(found.items(), key=lambda item: (-item[1], item[0]))))

    @property
    def frames(self) -> int:
        """That were tracked."""
        return sum(summary.frames for summary in self.summaries)

    @property
    def seconds(self) -> float:
        """That the workers needed, all of them together."""
        return sum(summary.seconds for summary in self.summaries)

    @property
    def wall(self) -> float:
        """Seconds from the beginning of each run to the last record of it that holds."""
        runs: dict[str, float] = {}
        for record in self.records:
            runs[record.run] = max(runs.get(record.run, 0.0), record.elapsed)
        return sum(runs.values())

    @property
    def workers(self) -> int:
        """How many there were."""
        return len({summary.worker for summary in self.summaries})


def page(about: About, records: Collection[Record], standing: Standing) -> str:
    """The page: what failed, the run in figures, and the videos with their pictures, the most doubtful first.

    Args:
        about: what the run is of.
        records: of each video what holds.
        standing: how far it is.
    """
    rows = [Row(record, record.summary) for record in records if record.summary is not None]
    rows.sort(key=lambda row: (-row.doubt, row.title))
    left = Counter(record.reason for record in records if record.state == "left")
    return (
        _environment()
        .get_template("report.html")
        .render(
            about=about,
            totals=Totals(records),
            rows=rows,
            failed=[record for record in records if record.state == "failed"],
            left=left.most_common(),
            standing=standing,
        )
    )


def _title(record: Record) -> str:
    return record.video or record.name


def _longest(spans: Sequence[tuple[int, int]], most: int) -> list[tuple[int, int]]:
    """The longest spans, in their order."""
    return sorted(sorted(spans, key=lambda span: span[0] - span[1])[:most])


def _environment() -> Environment:
    made = Environment(
        loader=ChoiceLoader([PackageLoader("backend.prelabel"), PackageLoader("backend.service")]),  # page.html
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"duration": duration, "number": number, "title": _title}
    made.globals["no_label"] = NO_LABEL
    return made


def number(value: float) -> str:
    """``31,402``; of what is no whole number three digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}"


def duration(seconds: float) -> str:
    """``42 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
