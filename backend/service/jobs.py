"""Many jobs on one accelerator, one step at a time.

A job is work in steps: an iterator that the worker advances. Between two steps the worker chooses anew, so a job
that somebody waits for goes first, whatever runs in the background, and several such jobs take turns. What nobody
asked for goes on only while there is nothing else to do.
Slow input and output (a download) comes before the first step and runs beside the worker, not on it. Each job has a
thread for that: what is scarce (a host's patience, the processor that reads a video's index) bounds itself, so that
nobody waits behind a host that hangs.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Literal, Protocol

from backend import logs
from backend.errors import BusyError, KeytrackError, UnavailableError
from backend.service.failures import relieve

logger = logging.getLogger(__name__)

Status = Literal["preparing", "ready", "running", "done", "failed", "cancelled"]
IDLE_PREPARING_AT_ONCE = 4
MOST_IDLE = 1000
"""Idle jobs that wait to be prepared; each holds what it was told."""
WAITING_AT_ONCE = 24
"""Callers that :class:`Jobs` holds while they wait; each holds one of the threads that answer requests."""


class Work(Protocol):
    """What a job does."""

    def prepare(self, job: Job) -> None:
        """Slow input and output, on a thread of its own; what it raises fails the job."""

    def steps(self, job: Job) -> Iterator[object]:
        """The work itself, on the worker; each step should take well under a second."""


class Job:
    """A handle on submitted work: its status, its error, and the keys whose results it is to make.

    A newer job takes over the keys it shares with an older one; a job that lost all its keys is cancelled.
    """

    def __init__(self, number: int, name: str, work: Work, keys: frozenset[Hashable], *, idle: bool = False) -> None:
        self.number = number
        self.name = name
        self.work = work
        self.keys = keys
        self.idle = idle
        self.status: Status = "preparing"
        self.error: Exception | None = None
        self.waiters = 0
        self.last_turn = 0
        self.stopping = False
        self.steps: Iterator[object] | None = None

    @property
    def live(self) -> bool:
        """Whether there is, or may be, work left."""
        return self.status in ("preparing", "ready", "running")

    def cancelled(self) -> bool:
        """Whether the work should end at once; for the work itself to ask between its steps."""
        return self.stopping

    def owns(self, key: Hashable) -> bool:
        """Whether the results for ``key`` are still this job's to make."""
        return key in self.keys


class Jobs:
    """The queue and its one worker thread, which starts with the first job."""

    def __init__(self, most: int = 64) -> None:
        """An empty queue that takes up to ``most`` jobs at a time, not counting idle ones."""
        self._most = most
        self._waits = threading.BoundedSemaphore(WAITING_AT_ONCE)
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._owners: dict[Hashable, Job] = {}
        self._numbers = itertools.count(1)
        self._turns = itertools.count(1)
        self._unprepared: deque[Job] = deque()  # idle ones
        self._idle_preparers = 0
        self._worker: threading.Thread | None = None
        self._closed = False

    def __len__(self) -> int:
        """Jobs that are not at their end."""
        return len(self._jobs)

    def live(self) -> list[Job]:
        """The jobs that are not at their end, in the order in which they came."""
        with self._changed:
            return list(self._jobs.values())

    def counts(self) -> dict[str, int]:
        """Jobs that are not at their end, by status."""
        with self._changed:
            found = Counter(job.status for job in self._jobs.values())
        return {status: found[status] for status in ("preparing", "ready", "running")}

    def submit(self, name: str, work: Work, keys: Iterable[Hashable] = (), *, idle: bool = False) -> Job:
        """Queue ``work``; it takes over ``keys`` from the jobs that have them.

        Args:
            name: for the log.
            work: what is to be done.
            keys: whose results it makes.
            idle: nobody asked for it: it has its turns when there is nothing else to do.

        Raises:
            UnavailableError: the queue is closed.
            BusyError: it is full; what this job would have replaced goes on.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("the service is stopping; press again once it is back")
            job = Job(next(self._numbers), name, work, frozenset(keys), idle=idle)
            if not idle:
                self._refuse_too_many(job.keys)
            elif len(self._unprepared) >= MOST_IDLE:
                raise BusyError(f"the backend is busy: {MOST_IDLE} things wait to be looked at; try again in a while")
            self._take(job.keys)
            self._owners.update(dict.fromkeys(job.keys, job))
            self._jobs[job.number] = job
            if self._worker is None:
                self._worker = threading.Thread(target=self._run, name="keytrack-worker", daemon=True)
                self._worker.start()
            if idle:
                self._unprepared.append(job)
                if self._idle_preparers == IDLE_PREPARING_AT_ONCE:
                    return job
                self._idle_preparers += 1
        prepare = self._prepare_idle if idle else partial(self._prepare, job)
        threading.Thread(target=prepare, name=f"keytrack-prepare-{job.number}", daemon=True).start()
        return job

    def owner(self, key: Hashable) -> Job | None:
        """The live job that makes the results for ``key``."""
        with self._changed:
            return self._owners.get(key)

    def cancel(self, keys: Iterable[Hashable]) -> None:
        """Stop the work for ``keys``; a job that has other keys goes on with those."""
        with self._changed:
            self._take(frozenset(keys))

    def wait(self, jobs: Mapping[Hashable, Job], deadline: float) -> bool:
        """Wait until each job is at its end or has lost its key, or until ``deadline`` (of ``time.monotonic``).

        The jobs waited for go before others. Returns whether all of them came to an end in time. Where too many wait
        already nobody does, so that threads are left for requests that are answered at once.
        """
        with self.attended(jobs.values()):
            return self._hold(lambda: all(self._owners.get(key) is not job for key, job in jobs.items()), deadline)

    def wait_prepared(self, job: Job, deadline: float) -> bool:
        """Wait until a job is prepared or at its end, or until ``deadline``; returns whether it is. Where too many wait
        already nobody does."""
        return self._hold(lambda: job.status != "preparing", deadline)

    def _hold(self, arrived: Callable[[], bool], deadline: float) -> bool:
        held = self._waits.acquire(blocking=False)
        try:
            with self._changed:
                return self._changed.wait_for(arrived, max(0.0, deadline - time.monotonic()) if held else 0)
        finally:
            if held:
                self._waits.release()

    @contextmanager
    def attended(self, jobs: Iterable[Job]) -> Iterator[None]:
        """Meanwhile somebody waits for something that the jobs make: they go before others."""
        waited = set(jobs)
        with self._changed:
            for job in waited:
                job.waiters += 1
        try:
            yield
        finally:
            with self._changed:
                for job in waited:
                    job.waiters -= 1

    def close(self, timeout: float = 5.0) -> None:
        """Cancel every job and stop the worker; waits for the step under way, at most ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                self._stop(job)
            self._changed.notify_all()
            worker = self._worker
        if worker is not None:
            worker.join(timeout)
            if worker.is_alive():
                logger.warning("the step under way did not end within %.0f s; leaving it", timeout)

    def _refuse_too_many(self, keys: frozenset[Hashable]) -> None:
        others = [job for job in self._jobs.values() if not job.idle and not job.stopping]
        kept = [job for job in others if not (job.keys and job.keys <= keys)]
        if len(kept) >= self._most:
            raise BusyError(
                f"the backend is busy: as many presses are at work or wait as it takes at a time ({self._most}); try "
                "again in a while"
            )

    def _take(self, keys: frozenset[Hashable]) -> None:
        """Take ``keys`` from the jobs that own them."""
        for job in {self._owners.pop(key) for key in keys if key in self._owners}:
            job.keys -= keys
            if not job.keys:
                self._stop(job)
        self._changed.notify_all()

    def _stop(self, job: Job) -> None:
        job.stopping = True
        if job.status == "preparing":  # its thread finds it ended; a started one is for the worker to close
            self._end(job, "cancelled")
        self._changed.notify_all()

    def _end(self, job: Job, status: Status, error: Exception | None = None) -> None:
        with self._changed:
            job.status = status
            job.error = error
            self._jobs.pop(job.number, None)
            for key in job.keys:
                if self._owners.get(key) is job:
                    del self._owners[key]
            self._changed.notify_all()

    def _prepare_idle(self) -> None:
        """Prepare idle jobs until there is none: they take no turn from those that somebody waits for."""
        while True:
            with self._changed:
                if not self._unprepared:
                    self._idle_preparers -= 1
                    return
                job = self._unprepared.popleft()
            self._prepare(job)

    def _prepare(self, job: Job) -> None:
        if not job.live:
            return
        try:
            with logs.about(job=job.number):
                job.work.prepare(job)
        except Exception as error:  # noqa: BLE001 - whatever went wrong is told to whoever waits
            self._fail(job, error)
            return
        with self._changed:
            if job.live:
                job.status = "ready"
                self._changed.notify_all()

    def _fail(self, job: Job, error: Exception) -> None:
        relieve(error)
        unexpected = None if isinstance(error, KeytrackError) else error
        logger.error("job %d (%s) failed: %s", job.number, job.name, error, exc_info=unexpected)
        with self._changed:
            if job.live:
                self._end(job, "failed", error)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next() is not None)
                job = self._next()
                if job is None:  # closed, and nothing is left to tidy up
                    return
                job.status = "running"
                job.last_turn = next(self._turns)
            self._step(job)

    def _next(self) -> Job | None:
        """Whose turn it is: stopped jobs (to be closed), those waited for in turn, the oldest; idle ones at last."""
        ready = [job for job in self._jobs.values() if job.status == "ready"]
        if not ready:
            return None
        return min(ready, key=_rank)

    def _step(self, job: Job) -> None:
        try:
            if job.steps is None and not job.stopping:
                job.steps = iter(job.work.steps(job))
            if not job.stopping and job.steps is not None:
                with logs.about(job=job.number):
                    next(job.steps)
                with self._changed:
                    job.status = "ready"
                return
        except StopIteration:
            self._end(job, "cancelled" if job.stopping else "done")
            return
        except Exception as error:  # noqa: BLE001 - a fault in one job must not end the worker
            self._fail(job, error)
            return
        self._dispose(job)

    def _dispose(self, job: Job) -> None:
        close = getattr(job.steps, "close", None)
        try:
            if close is not None:
                close()
        except Exception:
            logger.exception("job %d (%s) failed while it was cancelled", job.number, job.name)
        self._end(job, "cancelled")


def _rank(job: Job) -> tuple[int, int]:
    if job.stopping:
        return 0, 0
    return (1, job.last_turn) if job.waiters else (2 + job.idle, job.number)
