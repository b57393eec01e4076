"""Who tracks for ``prelabel``: this process, or workers on a Ray cluster."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.prelabel.doing import Doer
from backend.prelabel.workers import InProcess, Workers
from backend.service.engine import Choice, Engine, choose, tracker_factory
from backend.settings import Settings

logger = logging.getLogger(__name__)

Begin = Callable[[Callable[[int, str], None]], AbstractContextManager[Workers]]
"""Starts the workers; is told whom to tell of those that do nothing."""


@contextmanager
def find_workers(
    args: argparse.Namespace, settings: Settings, cancelled: Callable[[], bool]
) -> Iterator[tuple[Choice, Begin]]:
    """Which models there are where the work is to be done, and what starts the workers there.

    Raises:
        KeytrackError: what :func:`backend.service.engine.choose` raises, or a cluster cannot be reached.
    """
    if args.ray is None:
        choice = choose(settings)
        yield choice, lambda rest: _here(settings, choice)
        return
    from backend.cluster.start import connected

    processors = settings.threads or 1
    here = max(os.cpu_count() or 1, (args.workers or 1) * processors)  # Ray only counts them
    with connected(args.ray, processors=here) as cluster:
        from backend.cluster.pool import Share, choose_there, gpus_there, ray_workers
        from backend.cluster.worker import make_doer, without_secrets

        share = Share(float(processors), float(gpus_there()) if args.gpus_per_worker is None else args.gpus_per_worker)
        plain = without_secrets(settings)
        found = choose_there(plain, share, cancelled)
        if found is None:
            raise KeyboardInterrupt
        count = args.workers or share.fits()
        logger.info("%d worker%s on %s, each with %s", count, "s" * (count != 1), cluster, share)
        yield (
            found,
            lambda rest: ray_workers(
                partial(make_doer, plain, found), count, share, token=settings.label_studio_token, rest=rest
            ),
        )


@contextmanager
def _here(settings: Settings, choice: Choice) -> Iterator[Workers]:
    library = MediaLibrary(settings)
    try:
        url = settings.label_studio_url
        access = None if url is None else LabelStudioAccess(url, settings.label_studio_token)
        engine = Engine(tracker_factory(settings, choice))
        yield InProcess(Doer(engine.tracker, lambda name: library.resolve(name, access)))
    finally:
        library.close()
