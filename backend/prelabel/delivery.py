"""Predictions are given to Label Studio: each once, however often it takes, and over restarts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from backend.errors import (
    BusyError,
    KeytrackError,
    LabelStudioUnreachable,
    NotLabelStudioError,
    UnavailableError,
)
from backend.labelstudio.client import LabelStudioClient
from backend.prelabel.later import Alarm, Wake, backoff, call_later
from backend.prelabel.passing import is_passing
from backend.prelabel.posting import give
from backend.service.jobs import Job, Jobs
from backend.service.parcels import Parcel, Parcels

logger = logging.getLogger(__name__)

# Seconds after which what failed and may pass is tried again: doubled each time, up to the longest.
FIRST_WAIT = 10.0
LONGEST_WAIT = 1800.0
TOKENLESS = "no token is known: set KEYTRACK_LABEL_STUDIO_URL and KEYTRACK_LABEL_STUDIO_TOKEN"

Address = tuple[str, str]


class Delivery:
    """One parcel after the other is posted. What Label Studio cannot take now is tried again, what it refuses is not:
    then the tracks are handed out when it asks for them.

    Args:
        parcels: that wait.
        jobs: on which posting is done, beside the worker.
        client: makes a client of a project's Label Studio; None where no token is known.
        clock: in seconds.
        alarm: see :data:`backend.prelabel.later.Alarm`.
    """

    def __init__(
        self,
        parcels: Parcels,
        jobs: Jobs,
        client: Callable[[str], LabelStudioClient | None],
        *,
        clock: Callable[[], float] = time.monotonic,
        alarm: Alarm = call_later,
    ) -> None:
        self._parcels = parcels
        self._jobs = jobs
        self._client = client
        self._clock = clock
        self._wake = Wake(self._next, clock, alarm)
        self._lock = threading.Lock()
        # When the turn of each is, and how often it failed.
        self._due: dict[Address, tuple[float, int]] = {}
        self._sending: Address | None = None
        self._updates: set[Address] = set()
        self._said: dict[str, str] = {}  # why a project's predictions are not posted

    def sending(self, project: str, task: str) -> bool:
        """Whether a task's parcel is on its way, or is the next to be, and may become a prediction where there is none;
        not while it waits for another try."""
        with self._lock:
            if (project, task) in self._updates:
                return False
            due = self._due.get((project, task))
            return self._sending == (project, task) or (due is not None and due[0] <= self._clock())

    def send(self, parcel: Parcel) -> None:
        """Keep a parcel, and post it as soon as can be.

        Raises:
            StorageError: it cannot be kept.
        """
        terms = self._parcels.put(parcel)
        with self._lock:
            self._due[parcel.address] = self._clock(), 0
            (self._updates.add if terms == "update" else self._updates.discard)(parcel.address)
        self._next()

    def leave(self, project: str, task: str) -> None:
        """Post a task's parcel no longer, if it is not on its way.

        Raises:
            StorageError: it cannot be read.
        """
        with self._lock:
            self._due.pop((project, task), None)
        parcel = self._parcels.get(project, task)
        if parcel is not None:
            self._parcels.drop(parcel)

    def resume(self) -> None:
        """Go on with what was not posted when the service ended."""
        with self._lock:
            for address in self._parcels.addresses():
                self._due.setdefault(address, (self._clock(), 0))
        self._next()

    def _next(self) -> None:
        with self._lock:
            if self._sending is not None or not self._due:
                return
            address, (due, _) = min(self._due.items(), key=lambda item: item[1][0])
            early = due > self._clock()
            if not early:
                self._sending = address
        if early:
            self._wake.at(due)
            return
        try:
            self._jobs.submit("post task {1} of project {0}".format(*address), _Posting(address, self), idle=True)
        except BusyError:
            self._release()
            self._wake.at(self._clock() + FIRST_WAIT)
        except UnavailableError:  # the service is stopping; the next one goes on
            self._release()

    def _release(self) -> None:
        with self._lock:
            self._sending = None

    def _post(self, address: Address) -> None:
        """One try, and what comes of it."""
        again: float | None = None
        with self._lock:
            _, failures = self._due.pop(address, (0.0, 0))
        try:
            self._try(address)
        except KeytrackError as error:
            again = _wait(failures, error)
            name = "task {1} of project {0}".format(*address)
            logger.warning("%s: tracked, and not posted yet: %s; tried again in %g s", name, error, again)
        finally:
            with self._lock:
                self._sending = None
                if again is None and address not in self._due:
                    self._updates.discard(address)
                if again is not None:
                    self._due.setdefault(address, (self._clock() + again, failures + 1))
            self._next()

    def _try(self, address: Address) -> None:
        """Post a parcel, if it is there still.

        Raises:
            KeytrackError: that failed, and may pass.
        """
        parcel = self._parcels.get(*address)
        if parcel is None:
            return
        client = self._client(parcel.project)
        if client is None:
            self._refused(parcel, TOKENLESS)
        else:
            try:
                done = give(client, parcel)
                logger.log(logging.DEBUG if parcel.terms == "update" else logging.INFO, "%s: %s", parcel, done)
                self._said.pop(parcel.project, None)
            except KeytrackError as error:
                if is_passing(error) or isinstance(error, NotLabelStudioError):
                    raise
                self._refused(parcel, str(error))
            finally:
                client.close()
        self._parcels.drop(parcel)

    def _refused(self, parcel: Parcel, reason: str) -> None:
        """Say why a project's predictions are not posted, where that is new."""
        new = self._said.get(parcel.project) != reason
        self._said[parcel.project] = reason
        level = logging.WARNING if new else logging.DEBUG
        logger.log(level, "%s: tracked, and not posted: %s; Retrieve Predictions brings it", parcel, reason)


def _wait(failures: int, error: KeytrackError) -> float:
    """Seconds until the next try: as long as Label Studio asks for, where that is longer."""
    asked = error.wait if isinstance(error, LabelStudioUnreachable) else None
    return max(backoff(FIRST_WAIT, failures, LONGEST_WAIT), min(asked or 0.0, LONGEST_WAIT))


class _Posting:
    """The work of one try: all of it beside the worker."""

    def __init__(self, address: Address, delivery: Delivery) -> None:
        self._address = address
        self._delivery = delivery

    def prepare(self, job: Job) -> None:
        """Try."""
        self._delivery._post(self._address)

    def steps(self, job: Job) -> Iterator[None]:
        """Nothing is left to do."""
        return iter(())
