"""A run over many videos: jobs go out, and what comes back is settled, here and nowhere else."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from backend.prelabel.course import Course, Settled
from backend.prelabel.jobs import Failed, Tracked, VideoJob
from backend.prelabel.plan import Left
from backend.prelabel.summary import Summary
from backend.prelabel.workers import Workers

logger = logging.getLogger(__name__)

# Videos in a row that fail because Label Studio is away, after which the others are not tried.
_AWAY = 3


class Progress(Protocol):
    """Who is told how far it is."""

    def work(self, worker: int, name: str, done: int, steps: int) -> None:
        """A worker, by its number from 0, has done so many steps of what it is doing, most of them frames."""

    def say(self, line: str) -> None:
        """A line on a video."""

    def done(self, name: str, *, tracked: bool) -> None:
        """A video is done; without ``tracked`` there was nothing to track."""


class Reporter(Protocol):
    """Who keeps what came of each video; see :class:`backend.prelabel.report.Report`."""

    def tracked(self, name: str, video: str, summary: Summary, link: str = "") -> None:
        """A video was tracked."""

    def left(self, name: str, video: str, reason: str, link: str = "") -> None:
        """A video was left as it is."""

    def failed(self, name: str, video: str, reason: str, link: str = "") -> None:
        """A video could not be done."""


class Source(Protocol):
    """What is to be done, and where it goes to."""

    def jobs(self, cancelled: Callable[[], bool]) -> Iterator[VideoJob | Settled]:
        """One after the other, each as it is when its turn comes; what needs no doing is settled."""

    def settle(self, job: VideoJob, found: Tracked) -> Left | None:
        """Keep what was found for good; the reason where somebody was first, and nothing was kept.

        Raises:
            KeytrackError: that failed.
        """

    def link(self, name: str) -> str:
        """An address at which a video can be looked at, by the name of its job; "" where there is none."""


@dataclass(frozen=True)
class Failure:
    """A video that could not be done, and why."""

    name: str
    reason: str


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        what: a video is called.
        tracked: videos that were tracked and kept.
        left: videos that were left as they are.
        failures: videos that could not be done.
        rest: videos that were not tried.
        away: Label Studio went away, which is why.
    """

    what: str = "task"
    tracked: int = 0
    left: int = 0
    failures: list[Failure] = field(default_factory=list)
    rest: int = 0
    away: bool = False

    def take(self, name: str, found: Tracked | Left | Failed) -> str:
        """Count what came of a video; in words."""
        self.rest -= 1
        if isinstance(found, Failed):
            self.failures.append(Failure(name, found.reason))
            return f"failed: {found.reason}"
        if isinstance(found, Left):
            self.left += 1
            return f"left: {found.reason}"
        self.tracked += 1
        return describe(found)

    def __str__(self) -> str:
        parts = [(self.tracked, "tracked"), (self.left, "left"), (len(self.failures), "failed")]
        parts += [(self.rest, "not tried")] * bool(self.rest)
        total = sum(count for count, _ in parts)
        return f"{total} {self.what}{'s' * (total != 1)}: {', '.join(f'{count} {what}' for count, what in parts)}"


def describe(found: Tracked) -> str:
    """``3 tracks in 120 frames, by everything, as Car; confidence 0.91``."""
    count, summary = len(found.prediction.regions), found.summary
    tracks = f"{count} track{'s' * (count != 1)}"
    return f"{tracks} in {summary.frames} frames, by {summary.by}; confidence {summary.score:.2f}"


def run(
    source: Source,
    workers: Workers,
    progress: Progress,
    outcome: Outcome,
    *,
    reporter: Reporter | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Do all that a source has.

    Args:
        source: what is to be done, and where it goes to.
        workers: who does it.
        progress: is told of each video and of each frame.
        outcome: what came of it is counted there; ``rest`` says of how many videos.
        reporter: keeps what came of each video.
        cancelled: asked between frames and videos; True ends it.

    Raises:
        KeytrackError: no worker can load its models.
    """
    _Run(source, workers, progress, outcome, reporter, cancelled).go()


class _Run:
    def __init__(
        self,
        source: Source,
        workers: Workers,
        progress: Progress,
        outcome: Outcome,
        reporter: Reporter | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._source = source
        self._workers = workers
        self._progress = progress
        self._outcome = outcome
        self._reporter = reporter
        self._cancelled = cancelled
        self._course = Course(source.jobs(cancelled))
        self._away = 0

    def go(self) -> None:
        while not self._ended():
            self._hand_out()
            if self._ended() or not self._workers.busy:
                break
            for job, found in self._workers.wait(self._progress.work, self._cancelled):
                settled = self._course.take(job, found)
                if settled is not None:
                    self._settle(settled)

    def _ended(self) -> bool:
        return self._cancelled() or self._outcome.away

    def _hand_out(self) -> None:
        while self._workers.room and not self._ended():
            job = self._course.next()
            if job is None:
                return
            if isinstance(job, Settled):
                self._settle(job)
            else:
                self._workers.submit(job)

    def _settle(self, settled: Settled) -> None:
        found = settled.found
        if isinstance(found, Tracked) and settled.job is not None:
            try:
                found = self._source.settle(settled.job, found) or found
            except Exception as error:  # noqa: BLE001 - one video does not keep the others
                found = Failed.of(error)
        if self._cancelled() and isinstance(found, Failed):  # while it waited for another try
            return
        if isinstance(found, Failed) and found.fault:
            logger.error("%s: %s", settled.name, found.fault)
        self._progress.say(f"{settled.name}: {self._outcome.take(settled.name, found)}")
        self._report(settled, found)
        self._progress.done(settled.name, tracked=not isinstance(found, Left))
        self._away = self._away + 1 if isinstance(found, Failed) and found.away else 0
        self._outcome.away = self._away >= _AWAY and self._outcome.rest > 0

    def _report(self, settled: Settled, found: Tracked | Left | Failed) -> None:
        if self._reporter is None:
            return
        place = settled.name, settled.video
        link = self._source.link(settled.name)
        if isinstance(found, Tracked):
            self._reporter.tracked(*place, found.summary, link)
        elif isinstance(found, Left):
            self._reporter.left(*place, found.reason, link)
        else:
            self._reporter.failed(*place, found.reason, link)
