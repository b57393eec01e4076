"""The workers of ``serve --ray``: a Ray actor with models of its own for each."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import ray
from ray.exceptions import RayError

from backend.cluster.actor import TrackerActor
from backend.cluster.pool import Share
from backend.cluster.remote import CONTROL, RemoteTracker, get
from backend.errors import WorkerLostError
from backend.service.engine import Tracker

logger = logging.getLogger(__name__)

START_SECONDS = 60.0
"""After which a machine counts as missing for a worker: that long a cluster may take to find one."""

CLOSE_SECONDS = 1.0
"""That a worker has to tidy up."""


class Fleet:
    """Workers on a cluster that this process is connected to. Its methods may be called from any thread.

    Args:
        build: builds the models, on a worker.
        count: how many workers.
        share: what each of them takes of its machine.
        media_bytes: that videos which are sent to a worker may take there.
    """

    def __init__(self, build: Callable[[], Tracker], count: int, share: Share, *, media_bytes: int) -> None:
        self._build = build
        self._share = share
        self._media_bytes = media_bytes
        self._actors: list[Any] = [None] * count
        self._closed = False

    @property
    def factories(self) -> list[Callable[[], Tracker]]:
        """For each worker what starts it, or another in its place, and gives the tracker that works there.

        They raise WorkerLostError where it does not start, and what building the models raises.
        """
        return [partial(self._start, number) for number in range(len(self._actors))]

    def close(self) -> None:
        """End the workers, whatever they are doing; none starts any more."""
        self._closed = True
        for number in range(len(self._actors)):
            self._end(number)

    def _start(self, number: int) -> Tracker:
        self._end(number)
        if self._closed:
            raise WorkerLostError("the service is stopping; press again once it is back")
        actor = ray.remote(concurrency_groups={CONTROL: 2})(TrackerActor).options(
            num_cpus=self._share.processors, num_gpus=self._share.gpus, max_restarts=0, max_task_retries=0
        )
        handle = self._actors[number] = actor.remote(self._build, self._media_bytes)
        try:
            process = get(handle.hello.options(concurrency_group=CONTROL).remote(), START_SECONDS)
        except WorkerLostError as error:
            self._end(number)
            raise WorkerLostError(
                f"a worker could not be started within {START_SECONDS:.0f} s: it takes {self._share} of one machine of "
                f"the cluster, which has to be free ({error})"
            ) from error
        try:
            get(handle.load.remote())
        except Exception:
            self._end(number)
            raise
        logger.info("worker %d is ready (process %d)", number + 1, process)
        return RemoteTracker(handle)

    def _end(self, number: int) -> None:
        actor, self._actors[number] = self._actors[number], None
        if actor is not None:
            with suppress(WorkerLostError):  # then the next one on that machine tidies up
                get(actor.close.options(concurrency_group=CONTROL).remote(), CLOSE_SECONDS)
            with suppress(RayError):
                ray.kill(actor)
