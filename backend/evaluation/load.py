"""The load of a team: many annotators at once, who press, correct and change their minds, on the real service."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from backend.demo.project import LABEL_CONFIG
from backend.evaluation.load_annotator import Annotator
from backend.evaluation.load_client import LoadClient
from backend.evaluation.load_report import HeldMemory, Latencies
from backend.evaluation.load_server import COMMAND, LoadServer
from backend.evaluation.load_tally import Tally
from backend.evaluation.load_videos import make_videos
from backend.evaluation.load_watch import HealthWatch, MemoryWatch
from backend.settings import Settings

# A press under way is answered within its budget; one that hangs is given up by the client before this.
_LAST_PRESS_SECONDS = 120.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadPlan:
    """How much of a load: ``seconds`` of it, on videos of ``frames`` frames; thoughts take up to ``pause`` seconds."""

    annotators: int = 20
    videos: int = 5
    frames: int = 24
    width: int = 854
    height: int = 480
    seconds: float = 600.0
    pause: float = 2.0
    seed: int = 0


@dataclass(frozen=True)
class LoadOutcome:
    """What came of it; ``ended`` says that the service ended by itself when it was asked to."""

    tally: Tally
    presses: Latencies
    health: Latencies
    memory: HeldMemory
    seconds: float
    ended: bool


def run_load(plan: LoadPlan, settings: Settings, directory: Path, command: Sequence[str] = COMMAND) -> LoadOutcome:
    """Draw the videos, start the service, let the annotators work, and end it.

    Args:
        plan: how much.
        settings: of the service.
        directory: an empty one for videos, data and log.
        command: runs the backend's command line.

    Raises:
        StartError: the service did not start.
        VideoError: a video cannot be drawn.
    """
    media = directory / "media"
    media.mkdir()
    videos = make_videos(plan.videos, plan.frames, plan.width, plan.height)
    for video in videos:
        video.write(media)
    config = LABEL_CONFIG.read_text("utf-8")
    tally = Tally()
    stopping = threading.Event()
    with LoadServer(settings, directory, media, command) as server, ExitStack() as stack:
        log.info("the service is at %s, its log in %s", server.url, server.log)
        health = HealthWatch(server.url, tally)
        memory = MemoryWatch(server.pid)
        threads = []
        for number in range(plan.annotators):
            clients = LoadClient(server.url, config, tally), LoadClient(server.url, config, tally)
            for client in clients:
                stack.callback(client.close)
            annotator = Annotator(number, clients, videos, tally, seed=plan.seed, pause=plan.pause, stopping=stopping)
            threads.append(threading.Thread(target=_guarded, args=(annotator, tally), daemon=True))
        with health, memory:
            started = time.monotonic()
            for thread in threads:
                thread.start()
            _wait(plan.seconds, tally)
            stopping.set()
            for thread in threads:
                thread.join(_LAST_PRESS_SECONDS)
            seconds = time.monotonic() - started
        if any(thread.is_alive() for thread in threads):
            tally.fail("an annotator who waits for ever")
        ended = server.end()
    return LoadOutcome(
        tally, Latencies.of(tally.seconds), Latencies.of(health.seconds), HeldMemory.of(memory.held), seconds, ended
    )


def _guarded(annotator: Annotator, tally: Tally) -> None:
    """Let an annotator work; one who breaks down over an answer is counted, not lost."""
    try:
        annotator.run()
    except Exception as error:
        log.exception("an annotator cannot go on")
        tally.fail(f"an answer that cannot be read ({type(error).__name__})")


def _wait(seconds: float, tally: Tally) -> None:
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        time.sleep(min(left, 30.0))
        log.info(
            "%d presses, %d tracks finished, %d busy, errors %s, wrong answers %s",
            len(tally.seconds),
            tally.finished,
            tally.busy,
            dict(tally.errors),
            dict(tally.wrong),
        )
