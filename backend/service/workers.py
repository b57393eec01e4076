"""Which worker does which job: a task stays with the worker that knows it, its models remember its frames."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from backend.service.job import Job

KNOWN_PLACES = 10_000

State = Literal["idle", "busy", "lost"]


@dataclass(frozen=True)
class WorkerState:
    """What a worker does: ``lost`` where it died and is being started again; ``job`` is the name of what it is at."""

    number: int
    state: State
    job: str | None = None


class Worker:
    """One worker, by its number from 0.

    Attributes:
        alive: whether it takes jobs.
        ailing: whether it died, or could not be started, and has done nothing since.
        job: the one whose step it does now.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive = True
        self.ailing = False
        self.job: Job | None = None
        self.thread: threading.Thread | None = None

    @property
    def state(self) -> WorkerState:
        """For people."""
        state: State = "lost" if self.ailing else "idle" if self.job is None else "busy"
        return WorkerState(self.number, state, None if self.job is None else self.job.name)


class Workers:
    """The workers, and which of them knows what; whoever calls holds the lock of the jobs.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int) -> None:
        self.all = [Worker(number) for number in range(count)]
        self._places: OrderedDict[Hashable, int] = OrderedDict()

    @property
    def alive(self) -> list[Worker]:
        """Those that can work."""
        return [worker for worker in self.all if worker.alive]

    def home(self, place: Hashable) -> int | None:
        """The number of the worker that knows a place, such as a task; of a single one it is known anyway."""
        return 0 if len(self.all) == 1 else self._places.get(place)

    def may_take(self, worker: Worker, job: Job, jobs: Collection[Job]) -> bool:
        """Whether a job's next step may be this worker's.

        A job that no worker knows is for the one with the least to do. One whose own worker is at something else goes
        to one that has nothing to do, or nothing but idle work if it is not idle itself, as long as it has not begun.
        """
        if job.home == worker.number:
            return True
        if job.pinned:
            return False
        if job.home is None:
            mine = _work(worker.number, jobs)
            return all(mine <= _work(other.number, jobs) for other in self.alive)
        wanted, idle = _work(worker.number, jobs)
        return (
            job.steps is None
            and not job.stopping
            and not wanted
            and not (job.idle and idle)
            and any(
                one.home == job.home and one is not job and one.place != job.place and one.idle <= job.idle
                for one in jobs
                if one.status in ("ready", "running")
            )
        )

    def take(self, worker: Worker, job: Job) -> None:
        """A job is this worker's from now on, and so is its place."""
        job.home = worker.number
        worker.job = job
        if job.place is not None:
            self._places[job.place] = worker.number
            self._places.move_to_end(job.place)
            while len(self._places) > KNOWN_PLACES:
                self._places.popitem(last=False)

    def lose(self, worker: Worker) -> None:
        """A worker died: it knows nothing any more."""
        worker.alive, worker.ailing = False, True
        self._places = OrderedDict((place, number) for place, number in self._places.items() if number != worker.number)


def _work(number: int, jobs: Collection[Job]) -> tuple[int, int]:
    """What a worker has to do: jobs that somebody wanted, and idle ones."""
    own = [job for job in jobs if job.home == number and job.status in ("ready", "running")]
    idle = sum(job.idle for job in own)
    return len(own) - idle, idle
