"""Who does the jobs: this process by itself, or whoever else can be handed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from backend.prelabel.doing import Doer
from backend.prelabel.jobs import Job, Outcome

Work = Callable[[int, str, int, int], None]
"""Is told of a worker, by its number from 0, what it is doing, how many steps of that are done, and of how many."""


class Workers(Protocol):
    """Do jobs. What they were given and not yet given back is bounded, so that results do not pile up."""

    @property
    def room(self) -> bool:
        """Whether another job may be given."""

    @property
    def busy(self) -> bool:
        """Whether there are jobs that were not given back."""

    def submit(self, job: Job) -> None:
        """Give a job, where there is room."""

    def wait(self, work: Work, cancelled: Callable[[], bool]) -> Sequence[tuple[Job, Outcome]]:
        """Jobs that are done, in any order; waits until there is one, or nothing more can be done about them.

        Args:
            work: is told how far it is, now and then.
            cancelled: asked now and then; True ends the jobs, which then are not given back.

        Raises:
            KeytrackError: no worker can load its models.
        """


class InProcess:
    """This process: one job at a time, on the thread that waits for it."""

    def __init__(self, doer: Doer) -> None:
        self._doer = doer
        self._job: Job | None = None

    @property
    def room(self) -> bool:
        """Whether nothing is to be done."""
        return self._job is None

    @property
    def busy(self) -> bool:
        """Whether there is a job."""
        return self._job is not None

    def submit(self, job: Job) -> None:
        """Take a job."""
        self._job = job

    def wait(self, work: Work, cancelled: Callable[[], bool]) -> Sequence[tuple[Job, Outcome]]:
        """Do it."""
        job, self._job = self._job, None
        if job is None:
            return ()
        found = self._doer.do(job, lambda done, steps: work(0, str(job), done, steps), cancelled)
        return () if found is None else ((job, found),)
