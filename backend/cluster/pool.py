"""Jobs go to Ray actors, each of which holds the models: whichever is free does the next one.

No more than two jobs for each worker are out at a time, the one that it does and the one that it does next, and what
came of a job is let go of when it was fetched: so much, and no more, is ever in Ray's object store.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ray
from pydantic import SecretStr
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

from backend.cluster.worker import MakeDoer, Worker
from backend.errors import ClusterError, KeytrackError
from backend.prelabel.course import TRIES
from backend.prelabel.jobs import Failed, Job, Lost, Outcome
from backend.prelabel.workers import Work
from backend.service.engine import Choice, choose
from backend.settings import Settings

logger = logging.getLogger(__name__)

# Seconds from one look at how far the workers are to the next, and after which somebody is told that none has started.
_LOOK = 0.5
_PATIENCE = 60.0
# The calls that are answered while a job is done.
_BESIDE = "beside"
_COLOURS = re.compile("\x1b\\[[0-9;]*m")
_BEYOND = "an internal error; the log has the details"

Rest = Callable[[int, str], None]
"""Is told of a worker that does nothing, and why: it is ``starting``, it ``died``, or "": there is nothing to do."""


@dataclass(frozen=True)
class Share:
    """What each worker takes of its machine: processors and GPUs, parts of them too."""

    processors: float = 1.0
    gpus: float = 0.0

    def __str__(self) -> str:
        return f"{self.processors:g} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")

    def fits(self) -> int:
        """How many such workers the machines of the cluster hold together; one at least: more machines may come."""
        return max(1, sum(self._on(node["Resources"]) for node in ray.nodes() if node["Alive"]))

    def _on(self, has: dict[str, float]) -> int:
        parts = [(has.get("CPU", 0.0), self.processors), (has.get("GPU", 0.0), self.gpus)]
        return min(int(there / wanted) for there, wanted in parts if wanted)


def gpus_there() -> bool:
    """Whether any machine of the cluster has a GPU."""
    return bool(ray.cluster_resources().get("GPU"))


def choose_there(settings: Settings, share: Share, cancelled: Callable[[], bool] = lambda: False) -> Choice | None:
    """The models that are best on the machines that have what a worker takes; None where it was cancelled.

    Raises:
        KeytrackError: what :func:`backend.service.engine.choose` raises.
        ClusterError: the machine died meanwhile.
    """
    asked = ray.remote(num_cpus=share.processors, num_gpus=share.gpus)(_choose).remote(settings)
    began, told = time.monotonic(), False
    while not cancelled():
        try:
            found: Choice | KeytrackError = ray.get(asked, timeout=_LOOK)
        except GetTimeoutError:
            told = told or _tell_waiting(began, share)
            continue
        except RayError as error:
            raise ClusterError(f"no machine of the cluster could say which models it can run: {error}") from error
        if isinstance(found, KeytrackError):
            raise found
        return found
    return None


def _choose(settings: Settings) -> Choice | KeytrackError:
    try:
        return choose(settings)
    except KeytrackError as error:
        return error


@dataclass(eq=False)
class _Place:
    """A worker's place, in which another one comes where it dies."""

    number: int
    actor: Any
    loading: Any = None
    job: Job | None = None
    doing: Any = None
    asked: Any = None
    failures: int = 0

    @property
    def waited_for(self) -> Any:
        """What is to come of it next; None where it waits for a job."""
        return self.doing if self.loading is None else self.loading

    @property
    def ready(self) -> bool:
        """Whether its models are loaded."""
        return self.loading is None


class RayWorkers:
    """Workers on a cluster that this process is connected to; see :class:`backend.prelabel.workers.Workers`.

    Args:
        make: makes what does the jobs, on the worker.
        count: how many workers.
        share: what each of them takes.
        token: of Label Studio.
        rest: is told of a worker that does nothing.
    """

    def __init__(
        self,
        make: MakeDoer,
        count: int,
        share: Share,
        *,
        token: SecretStr | None = None,
        rest: Rest = lambda worker, why: None,
    ) -> None:
        self._make = make
        self._token = token
        self._rest = rest
        self._share = share
        self._waiting: deque[Job] = deque()
        self._began, self._told = time.monotonic(), False
        self._places = [_Place(number, None) for number in range(count)]
        for place in self._places:
            self._start(place)

    @property
    def room(self) -> bool:
        """Whether there are fewer than two jobs for each worker that is there."""
        out = len(self._waiting) + sum(place.job is not None for place in self._places)
        return out < 2 * max(1, sum(place.ready for place in self._places))

    @property
    def busy(self) -> bool:
        """Whether there are jobs that were not given back."""
        return bool(self._waiting) or any(place.job is not None for place in self._places)

    def submit(self, job: Job) -> None:
        """Give a job to a worker that is free, or to the first that will be."""
        self._waiting.append(job)
        self._hand_out()

    def wait(self, work: Work, cancelled: Callable[[], bool]) -> Sequence[tuple[Job, Outcome]]:
        """Wait for jobs; the jobs of workers that died are given back as lost.

        Raises:
            KeytrackError: no worker can load its models.
            ClusterError: no worker stays alive long enough to load them.
        """
        found: list[tuple[Job, Outcome]] = []
        while not found and not cancelled():
            places = {place.waited_for: place for place in self._places if place.waited_for is not None}
            done, _ = ray.wait(list(places), num_returns=1, timeout=_LOOK)
            if done:
                done, _ = ray.wait(list(places), num_returns=len(places), timeout=0)
            for reference in done:
                place = places[reference]
                if place.loading is not None:
                    self._loaded(place)
                else:
                    found += self._taken(place)
            self._hand_out()  # before anybody deals with what was found
            self._look(work)
            if not any(place.ready for place in self._places):
                self._told = self._told or _tell_waiting(self._began, self._share)
        return found

    def close(self) -> None:
        """End the workers, whatever they are doing."""
        for place in self._places:
            with suppress(RayError):
                ray.kill(place.actor)
        self._places.clear()
        self._waiting.clear()

    def _start(self, place: _Place) -> None:
        """Put a new worker in a place."""
        actor = ray.remote(concurrency_groups={_BESIDE: 1})(Worker).options(
            num_cpus=self._share.processors, num_gpus=self._share.gpus, max_restarts=0, max_task_retries=0
        )
        place.actor = actor.remote(f"worker {place.number + 1}", self._make)
        place.job = place.doing = place.asked = None
        place.loading = place.actor.load.remote(self._token)
        self._rest(place.number, "starting")

    def _hand_out(self) -> None:
        for place in self._places:
            if place.ready and place.job is None and self._waiting:
                place.job = self._waiting.popleft()
                place.doing = place.actor.do.remote(place.job)

    def _loaded(self, place: _Place) -> None:
        """A worker is there, or could not come to be."""
        reference, place.loading = place.loading, None
        problem: Exception | None
        try:
            problem = ray.get(reference)
        except RayError as error:
            problem = ClusterError(f"a worker died {TRIES} times before its models were loaded: {_brief(error)}")
            place.failures += 1
            if place.failures < TRIES:
                self._replace(place)
                return
        if problem is None:
            place.failures = 0
            self._rest(place.number, "")
            return
        self._places.remove(place)
        self._rest(place.number, "died")
        with suppress(RayError):
            ray.kill(place.actor)
        if not self._places:
            raise problem
        logger.warning("worker %d is given up: %s", place.number + 1, problem)

    def _taken(self, place: _Place) -> Iterator[tuple[Job, Outcome]]:
        """What came of a place's job."""
        job, reference = place.job, place.doing
        place.job = place.doing = None
        outcome: Outcome | None
        try:
            outcome = ray.get(reference)
        except RayTaskError as error:
            outcome = Failed(_BEYOND, fault=str(error))
        except RayError as error:
            outcome = Lost(_brief(error))
            logger.warning("worker %d died at %s: %s", place.number + 1, job, _brief(error))
            self._replace(place)
        else:
            self._rest(place.number, "")
        if job is not None and outcome is not None:
            yield job, outcome

    def _replace(self, place: _Place) -> None:
        self._rest(place.number, "died")
        with suppress(RayError):  # it may only be out of reach
            ray.kill(place.actor)
        self._start(place)

    def _look(self, work: Work) -> None:
        """Tell how far the workers are, as far as they have said so."""
        for place in self._places:
            if place.job is None:
                continue
            if place.asked is None:
                place.asked = place.actor.progress.options(concurrency_group=_BESIDE).remote()
                continue
            if ray.wait([place.asked], timeout=0)[0]:
                with suppress(RayError):  # its job tells
                    at = ray.get(place.asked)
                    if at[0] == str(place.job):
                        work(place.number, *at)
                place.asked = None


@contextmanager
def ray_workers(
    make: MakeDoer, count: int, share: Share, *, token: SecretStr | None = None, rest: Rest = lambda worker, why: None
) -> Iterator[RayWorkers]:
    """The same, ended at the end; the arguments are those of :class:`RayWorkers`."""
    workers = RayWorkers(make, count, share, token=token, rest=rest)
    try:
        yield workers
    finally:
        workers.close()


def _tell_waiting(began: float, share: Share) -> bool:
    """Say that nobody has started, when it is time for it; whether it was."""
    if time.monotonic() - began < _PATIENCE:
        return False
    has = ray.cluster_resources()
    logger.warning(
        "no worker has started yet: each takes %s on one machine, and the cluster has %g CPU and %g GPU in all, other "
        "work on it included; it starts when there is room",
        *(share, has.get("CPU", 0.0), has.get("GPU", 0.0)),
    )
    return True


def _brief(error: Exception) -> str:
    """What Ray says in many lines: the first of them, or where a program failed the last."""
    lines = [line.strip() for line in _COLOURS.sub("", str(error)).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1 if "Traceback" in str(error) else 0]
