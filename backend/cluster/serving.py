"""``serve`` with its workers on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial

from backend.cluster.start import connected
from backend.errors import ClusterError
from backend.service.engine import Choice, Tracker, choose, tracker_factory
from backend.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Serving:
    """What there is to serve with: which models, and what starts each worker."""

    choice: Choice
    factories: Sequence[Callable[[], Tracker]]


@contextmanager
def serving(address: str, settings: Settings, *, workers: int | None, gpus: float | None) -> Iterator[Serving]:
    """Be connected to a cluster, and have workers there; they end with it, and so does a cluster that was started here.

    Args:
        address: see :func:`backend.cluster.start.connected`.
        settings: of the service. A worker takes as many processors as it has threads, one by default.
        workers: how many; by default as many as the cluster has GPUs for, and one on a cluster without.
        gpus: of each; by default one, and none on a cluster without.

    Raises:
        SettingsError: Ray is not installed, or the machines do not have what the settings ask for.
        ClusterError: the cluster cannot be reached, or no machine of it answers.
    """
    processors = settings.threads or 1
    here = max(os.cpu_count() or 1, (workers or 1) * processors)  # Ray only counts them
    with connected(address, processors=here) as cluster:
        from backend.cluster.fleet import Fleet
        from backend.cluster.pool import Share, choose_there, gpus_there
        from backend.cluster.worker import without_secrets

        share = Share(float(processors), float(gpus_there()) if gpus is None else gpus)
        count = workers or (share.fits() if share.gpus else 1)
        plain = without_secrets(settings)
        choice = choose_there(plain, share)
        if choice is None:
            raise ClusterError("no machine of the cluster has said which models it can run")
        logger.info("%d worker(s) on %s, each with %s", count, cluster, share)
        fleet = Fleet(partial(build_there, plain, choice), count, share, media_bytes=settings.max_media_bytes)
        try:
            yield Serving(choice, fleet.factories)
        finally:
            fleet.close()


def build_there(settings: Settings, choice: Choice) -> Tracker:
    """The models of a choice, on whatever device a worker has.

    Args:
        settings: those of the service, without its secrets.
        choice: which models; its device is that of another machine.

    Raises:
        SettingsError: this machine does not have the device that was asked for.
        WeightsError: weights are not there, and cannot be fetched.
    """
    own = settings.model_copy(update={**asdict(choice), "device": settings.device})
    return tracker_factory(own, choose(own))()
