"""``serve``: the backend behind waitress."""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from waitress.server import create_server

from backend import __version__
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.cli.workers import add_worker_options, check_worker_options
from backend.errors import SettingsError
from backend.model import Keytrack
from backend.service.access import Access
from backend.service.answering import Answering
from backend.service.app import MAX_BODY_BYTES, create_app
from backend.service.engine import Choice, Tracker, choose, tracker_factory
from backend.service.jobs import WAITING_AT_ONCE
from backend.settings import Settings

HELP = "Run the backend that Label Studio talks to, until it is interrupted (Ctrl-C or SIGTERM)."
# A press holds one while it waits; those left over answer what is answered at once.
THREADS = WAITING_AT_ONCE + 16
# What presses return when the service stops still has to be made, and to reach them.
ANSWER_SECONDS = 4.0
FLUSH_SECONDS = 0.5

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options; the token has none, since other users of a machine can read command lines."""
    add_settings(
        parser,
        "host",
        "port",
        "data_dir",
        "weights_dir",
        "media_root",
        *CHOICE,
        "refine",
        "xmem_mode",
        "budget_seconds",
        "max_jobs",
        "keyframe_iou",
        "prelabel",
        "username",
        "label_studio_url",
        "allowed_hosts",
        "max_media_bytes",
        "media_cache_bytes",
        "embedding_cache_bytes",
        "threads",
    )
    add_worker_options(parser)


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; the models are loaded in the background meanwhile."""
    settings = settings_from(args)
    check_worker_options(args)
    access = Access.of(settings)
    with _alone(settings.data_dir), _models(args, settings) as (choice, factories):
        _serve(settings, choice, access, factories)
    return 0


@contextmanager
def _models(args: argparse.Namespace, settings: Settings) -> Iterator[tuple[Choice, Sequence[Callable[[], Tracker]]]]:
    """Which models there are, and what builds them for each worker: in this process, or on a cluster."""
    if args.ray is None:
        choice = choose(settings)
        yield choice, [tracker_factory(settings, choice)]
        return
    from backend.cluster.serving import serving  # Ray

    with serving(args.ray, settings, workers=args.workers, gpus=args.gpus_per_worker) as there:
        yield there.choice, there.factories


@contextmanager
def _alone(data_dir: Path) -> Iterator[None]:
    """Keep other services off the data directory; the system does so no longer once this process is gone."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = FileLock(data_dir / "serve.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"KEYTRACK_DATA_DIR / --data-dir: another service is at work in {data_dir}; stop it, or give this one a "
            "directory of its own"
        ) from None
    except OSError as error:
        raise SettingsError(f"KEYTRACK_DATA_DIR / --data-dir: {data_dir} cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _serve(settings: Settings, choice: Choice, access: Access, factories: Sequence[Callable[[], Tracker]]) -> None:
    first, *others = factories
    keytrack = Keytrack(settings, first, choice, *others)
    try:
        app = Answering(create_app(keytrack, access))
        server = _listen(app, settings)
        _stop_on_signals(keytrack, app)
        ((host, port), *_) = getattr(server, "effective_listen", [(settings.host, server.effective_port)])
        logger.info("keytrack %s at http://%s:%s, data in %s", __version__, host, port, settings.data_dir)
        logger.info("%s", choice)
        keytrack.warm_up()
        keytrack.resume()
        server.run()
    finally:
        keytrack.close()


def _listen(app: Answering, settings: Settings) -> Any:
    try:
        return create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=THREADS,
            max_request_body_size=MAX_BODY_BYTES + 1,  # the application's own limit answers in JSON
            ident="keytrack",
        )
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"KEYTRACK_HOST / --host, KEYTRACK_PORT / --port: cannot listen on {settings.host}:{settings.port} "
            f"({error}); give another port, or 0 for a free one"
        ) from None


def _stop_on_signals(keytrack: Keytrack, app: Answering) -> None:
    """End the work at the first signal, then the server; a second signal does not wait for that."""
    stopping = threading.Event()

    def drain(number: int) -> None:
        keytrack.stop()
        app.wait(ANSWER_SECONDS)
        time.sleep(FLUSH_SECONDS)
        signal.raise_signal(number)

    def handle(number: int, frame: FrameType | None) -> None:
        if stopping.is_set():
            raise SystemExit(0)
        stopping.set()
        logger.info("%s: stopping", signal.Signals(number).name)
        threading.Thread(target=drain, args=(number,), name="keytrack-stop", daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
