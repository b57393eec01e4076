"""A project's tasks, one after the other; one that fails does not keep the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from backend.errors import KeytrackError, LabelStudioUnreachable
from backend.prelabel.passing import is_passing
from backend.prelabel.plan import Left
from backend.prelabel.project import ProjectTasks
from backend.service.engine import Tracker

logger = logging.getLogger(__name__)

# Tasks in a row that fail because Label Studio is away, after which the others are not tried.
_AWAY = 3


class Progress(Protocol):
    """Who is told how far it is."""

    def advance(self, frames: int) -> None:
        """One frame of a video of so many was dealt with."""

    def say(self, line: str) -> None:
        """A line on a task."""

    def done(self, *, tracked: bool) -> None:
        """A task is done; without ``tracked`` there was nothing to track."""


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and why."""

    number: int
    reason: str


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        tracked: tasks that were tracked and posted.
        left: tasks that were left as they are.
        failures: tasks that could not be done.
        rest: tasks that were not tried.
        away: Label Studio went away, which is why.
    """

    tracked: int = 0
    left: int = 0
    failures: list[Failure] = field(default_factory=list)
    rest: int = 0
    away: bool = False

    def take(self, number: int, found: str | Left | _Failed) -> str:
        """Count what came of a task; in words."""
        self.rest -= 1
        if isinstance(found, _Failed):
            self.failures.append(Failure(number, found.reason))
            return f"failed: {found.reason}"
        if isinstance(found, Left):
            self.left += 1
            return f"left: {found.reason}"
        self.tracked += 1
        return found

    def __str__(self) -> str:
        parts = [(self.tracked, "tracked"), (self.left, "left"), (len(self.failures), "failed")]
        parts += [(self.rest, "not tried")] * bool(self.rest)
        total = sum(count for count, _ in parts)
        return f"{total} task{'s' * (total != 1)}: {', '.join(f'{count} {what}' for count, what in parts)}"


def run(
    tasks: ProjectTasks,
    numbers: Sequence[int],
    tracker: Callable[[], Tracker],
    progress: Progress,
    cancelled: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Do tasks.

    Args:
        tasks: the project's.
        numbers: those to do.
        tracker: gives the models, when the first task needs them.
        progress: is told of each task and of each frame.
        cancelled: asked between frames and tasks; True ends it.

    Raises:
        KeytrackError: the models cannot be loaded.
    """
    outcome, away = Outcome(rest=len(numbers)), 0
    found: str | Left | _Failed | None
    for number in numbers:
        if cancelled():
            break
        try:
            found = _do(tasks, number, tracker, progress, cancelled)
        except _Failed as failed:
            if cancelled():  # while it waited for another try
                break
            found = failed
        if found is None:
            break
        progress.say(f"task {number}: {outcome.take(number, found)}")
        progress.done(tracked=not isinstance(found, Left))
        away = away + 1 if isinstance(found, _Failed) and found.away else 0
        if away == _AWAY and outcome.rest:
            outcome.away = True
            break
    return outcome


class _Failed(Exception):
    def __init__(self, error: Exception) -> None:
        known = isinstance(error, KeytrackError) or is_passing(error)
        self.reason = (str(error) or type(error).__name__) if known else "an internal error; the log has the details"
        self.away = isinstance(error, LabelStudioUnreachable)
        super().__init__(self.reason)


def _do(
    tasks: ProjectTasks,
    number: int,
    tracker: Callable[[], Tracker],
    progress: Progress,
    cancelled: Callable[[], bool],
) -> str | Left | None:
    try:
        turn = tasks.read(number, cancelled)
    except Exception as error:
        raise _logged(number, error) from error
    if isinstance(turn, Left):
        return turn
    models = tracker()
    try:
        return tasks.track(turn, models, cancelled=cancelled, advance=progress.advance)
    except Exception as error:
        raise _logged(number, error) from error


def _logged(number: int, error: Exception) -> _Failed:
    if not isinstance(error, KeytrackError):
        logger.error("task %d", number, exc_info=error)
    return _Failed(error)
