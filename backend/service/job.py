"""A job: work that was submitted, how far it is, and whose it is."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Literal, Protocol

from backend.errors import WorkerLostError
from backend.labelstudio.in_use import Uses
from backend.service.turns import Ticket

Status = Literal["preparing", "ready", "running", "done", "failed", "cancelled"]
MOST_LOSSES = 3
"""Workers that may die of one job, before it is given up."""


class Work(Protocol):
    """What a job does."""

    def prepare(self, job: Job) -> None:
        """Slow input and output, on a thread of its own; what it raises fails the job."""

    def steps(self, job: Job) -> Iterator[object]:
        """The work itself, on a worker; each step should take well under a second."""


class Job:
    """A handle on submitted work: its status, its error, and the keys whose results it is to make.

    A newer job takes over the keys it shares with an older one; a job that lost all its keys is cancelled.

    Attributes:
        home: the worker that it belongs to, by its number; None as long as any may take it.
        beside: whether what it is being told of is a worker that died of another job.
        ticket: how long it takes, and had its turns; its work may say the first while it is prepared.
        uses: the media that its work found, which stay until its end.
    """

    def __init__(
        self,
        number: int,
        name: str,
        work: Work,
        keys: frozenset[Hashable],
        *,
        idle: bool = False,
        place: Hashable = None,
        owner: Hashable = None,
        moves: bool = False,
    ) -> None:
        self.number = number
        self.name = name
        self.work = work
        self.keys = keys
        self.idle = idle
        self.place = place
        self.ticket = Ticket(next(one for one in (owner, place, ("job", number)) if one is not None))
        self.uses = Uses()
        self.home: int | None = None
        self.pinned = False
        self._moves = moves
        self._losses = 0
        self.beside = False
        self.status: Status = "preparing"
        self.error: Exception | None = None
        self.waiters = 0
        self.stopping = False
        self.steps: Iterator[object] | None = None

    @property
    def live(self) -> bool:
        """Whether there is, or may be, work left."""
        return self.status in ("preparing", "ready", "running")

    def cancelled(self) -> bool:
        """Whether the work should end at once; for the work itself to ask between its steps."""
        return self.stopping

    @property
    def worker(self) -> int:
        """The number of the worker that does its steps, for these to ask."""
        return self.home or 0

    def goes_on(self, error: BaseException) -> bool:
        """Whether the work is begun again after an error that it raised, since its worker died of it.

        For the work itself to ask, which then tells nobody.
        """
        lost = isinstance(error, WorkerLostError) and not self.stopping
        return lost and self._moves and self._losses + (not self.beside) < MOST_LOSSES

    def begin_again(self, *, lost: bool) -> None:
        """Its worker died, of this job where it is ``lost``."""
        self._losses += lost
        self.steps = None

    def owns(self, key: Hashable) -> bool:
        """Whether the results for ``key`` are still this job's to make."""
        return key in self.keys
