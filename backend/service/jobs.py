"""Many jobs on few accelerators, one step at a time.

A job is work in steps: an iterator that a worker advances. Between two steps the worker chooses anew, so a job
that somebody waits for goes first, whatever runs in the background; among several such jobs everybody has a fair share
(``turns.py``). What nobody asked for goes on only while there is nothing else to do.
There is a worker for each accelerator. What belongs to one task is done by the worker that knows it (``workers.py``);
where that dies, what it was doing is begun again, by another one or by itself when it is back.
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

from backend import logs
from backend.errors import BusyError, KeytrackError, UnavailableError, WorkerLostError
from backend.service.failures import relieve
from backend.service.job import Job as Job  # who submits work has to do with both
from backend.service.job import Status, Work
from backend.service.turns import Turns
from backend.service.workers import Worker, Workers, WorkerState

logger = logging.getLogger(__name__)

IDLE_PREPARING_AT_ONCE = 4
MOST_IDLE = 1000
"""Idle jobs that wait to be prepared; each holds what it was told."""
WAITING_AT_ONCE = 24
"""Callers that :class:`Jobs` holds while they wait; each holds one of the threads that answer requests."""
FIRST_REST, LONGEST_REST = 1.0, 30.0
"""Seconds after which a worker that cannot be started is tried again: doubled each time, up to the longest."""


class Jobs:
    """The queue and its workers, threads that start with the first job."""

    def __init__(
        self, most: int = 64, *, workers: int = 1, revive: Callable[[int], object] = lambda number: None
    ) -> None:
        """An empty queue.

        Args:
            most: jobs that it takes at a time, not counting idle ones.
            workers: how many there are.
            revive: called on the thread of a worker that was lost, until it raises nothing.
        """
        self._most = most
        self._workers = Workers(workers)
        self._revive = revive
        self._turns = Turns()
        self._waits = threading.BoundedSemaphore(WAITING_AT_ONCE)
        self._changed = threading.Condition()
        self._jobs: dict[int, Job] = {}
        self._owners: dict[Hashable, Job] = {}
        self._numbers = itertools.count(1)
        self._unprepared: deque[Job] = deque()  # idle ones
        self._idle_preparers = 0
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

    def workers(self) -> list[WorkerState]:
        """What each worker does."""
        with self._changed:
            return [worker.state for worker in self._workers.all]

    def submit(
        self,
        name: str,
        work: Work,
        keys: Iterable[Hashable] = (),
        *,
        idle: bool = False,
        place: Hashable = None,
        owner: Hashable = None,
        worker: int | None = None,
        moves: bool = False,
    ) -> Job:
        """Queue ``work``; it takes over ``keys`` from the jobs that have them.

        Args:
            name: for the log.
            work: what is to be done.
            keys: whose results it makes.
            idle: nobody asked for it: it has its turns when there is nothing else to do.
            place: what the worker should know, such as the task.
            owner: whose share it takes; by default all jobs of a place have one.
            worker: which one does it, whatever happens; by default the one that knows the place, or has least to do.
            moves: its steps can be begun again where its worker dies; otherwise it fails.

        Raises:
            UnavailableError: the queue is closed.
            BusyError: it is full; what this job would have replaced goes on.
        """
        with self._changed:
            if self._closed:
                raise UnavailableError("the service is stopping; press again once it is back")
            number, wanted = next(self._numbers), frozenset(keys)
            job = Job(number, name, work, wanted, idle=idle, place=place, owner=owner, moves=moves)
            job.home = self._workers.home(place) if worker is None else worker
            job.pinned = worker is not None
            if not idle:
                self._refuse_too_many(job.keys)
            elif len(self._unprepared) >= MOST_IDLE:
                raise BusyError(f"the backend is busy: {MOST_IDLE} things wait to be looked at; try again in a while")
            self._take(job.keys)
            self._owners.update(dict.fromkeys(job.keys, job))
            self._jobs[job.number] = job
            for one in self._workers.all:
                if one.thread is None:
                    one.thread = threading.Thread(target=self._run, args=(one,), name="keytrack-worker", daemon=True)
                    one.thread.start()
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
        """Cancel every job and stop the workers; waits for the steps under way, at most ``timeout`` seconds."""
        with self._changed:
            self._closed = True
            for job in list(self._jobs.values()):
                self._stop(job)
            self._changed.notify_all()
            threads = [worker.thread for worker in self._workers.all if worker.thread is not None]
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            logger.warning("a step under way did not end within %.0f s; leaving it", timeout)

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
            self._turns.end(job.ticket)
            self._jobs.pop(job.number, None)
            for key in job.keys:
                if self._owners.get(key) is job:
                    del self._owners[key]
            self._changed.notify_all()
        job.uses.close()

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
            with logs.about(job=job.number), job.uses.active():
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

    def _run(self, worker: Worker) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._next(worker) is not None)
                job = self._next(worker)
                if job is None:  # closed, and nothing is left to tidy up
                    return
                self._workers.take(worker, job)
                job.status = "running"
                if not job.stopping and (job.waiters or not job.idle):
                    self._turns.step(job.ticket)
            lost = self._step(job)
            with self._changed:
                worker.job = None
                worker.ailing = lost is not None
                self._changed.notify_all()  # what it has done changes what the others may take
            if lost is not None:
                self._replace(worker, lost)

    def _next(self, worker: Worker) -> Job | None:
        """Whose turn it is: stopped jobs (to be closed), those waited for, other ones; idle ones at last."""
        jobs = self._jobs.values()
        ready = [job for job in jobs if job.status == "ready" and self._workers.may_take(worker, job, jobs)]
        return min(ready, key=self._rank, default=None)

    def _rank(self, job: Job) -> tuple[int, float, int]:
        if job.stopping:
            return 0, 0, job.number
        if job.idle and not job.waiters:
            return 3, 0, job.number
        return (1 if job.waiters else 2), self._turns.due(job.ticket), job.number

    def _step(self, job: Job) -> WorkerLostError | None:
        """Do a job's next step; what the worker died of, if it did."""
        try:
            if job.steps is None and not job.stopping:
                job.steps = iter(job.work.steps(job))
            if not job.stopping and job.steps is not None:
                with logs.about(job=job.number), job.uses.active():
                    next(job.steps)
                with self._changed:
                    job.status = "ready"
                return None
        except StopIteration:
            self._end(job, "cancelled" if job.stopping else "done")
            return None
        except WorkerLostError as error:
            self._undo(job, error, lost=True)
            return error
        except Exception as error:  # noqa: BLE001 - a fault in one job must not end the worker
            self._fail(job, error)
            return None
        self._dispose(job)
        return None

    def _undo(self, job: Job, error: Exception, *, lost: bool) -> None:
        """A job raised what its worker died of: it is begun again, or fails."""
        if not job.goes_on(error):
            self._fail(job, error)
            return
        logger.warning("job %d (%s) is begun again: %s", job.number, job.name, error)
        with self._changed:
            job.begin_again(lost=lost)
            job.status = "ready"
            self._changed.notify_all()

    def _replace(self, worker: Worker, error: WorkerLostError) -> None:
        """A worker died: what it was doing is begun again elsewhere, until it is back."""
        with self._changed:
            self._workers.lose(worker)
            own = [job for job in self._jobs.values() if job.home == worker.number and not job.pinned]
            begun = [job for job in own if job.status == "ready" and job.steps is not None and not job.stopping]
            for job in begun:
                job.status = "running"
            for job in own:
                job.home = self._workers.home(job.place)
            self._changed.notify_all()
        for job in begun:
            self._tell(job, error)
        rest = FIRST_REST
        while True:
            try:
                self._revive(worker.number)
            except Exception as problem:  # noqa: BLE001 - it is tried again, whatever it was
                logger.warning("worker %d cannot be started: %s", worker.number, problem)
            else:
                worker.ailing = False
                break
            with self._changed:
                # Where no other is left it takes jobs all the same, for these to fail and say why.
                if not self._workers.alive or self._changed.wait_for(lambda: self._closed, rest):
                    break
            rest = min(2 * rest, LONGEST_REST)
        with self._changed:
            worker.alive = True
            self._changed.notify_all()

    def _tell(self, job: Job, error: WorkerLostError) -> None:
        """A job's worker died of another job: its steps so far are of no use."""
        throw = getattr(job.steps, "throw", None)
        job.beside = True
        try:
            if throw is not None:
                throw(error)
        except StopIteration:
            self._end(job, "done")
        except Exception as raised:  # noqa: BLE001 - its own word on it
            self._undo(job, raised, lost=False)
        else:
            self._undo(job, error, lost=False)
        finally:
            job.beside = False

    def _dispose(self, job: Job) -> None:
        close = getattr(job.steps, "close", None)
        try:
            if close is not None:
                close()
        except Exception:
            logger.exception("job %d (%s) failed while it was cancelled", job.number, job.name)
        self._end(job, "cancelled")
