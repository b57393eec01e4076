"""The service under a load test: ``serve`` in a process of its own, as a team runs it."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import requests

from backend.demo.process import ServerProcess
from backend.errors import StartError
from backend.settings import Settings, foreign_variables, option_name

COMMAND = (sys.executable, "-m", "backend")
START_SECONDS = 300.0
"""Until the models are in memory, which are fetched where they are not there."""
STOP_SECONDS = 60.0
# What of the settings the service gets; the rest is its own.
_PASSED = (
    "weights_dir",
    "profile",
    "segmenter",
    "propagator",
    "embedder",
    "device",
    "budget_seconds",
    "max_jobs",
    "keyframe_iou",
    "embedding_cache_bytes",
    "threads",
)
_ROOT = Path(__file__).resolve().parents[2]
_ADDRESS = re.compile(r"at (http://127\.0\.0\.1:\d+)")


class LoadServer:
    """A context manager: inside, the service answers at ``url`` and its models are in memory.

    Attributes:
        url: its address.
        pid: its process.
        log: what it printed.
    """

    def __init__(self, settings: Settings, directory: Path, media: Path, command: Sequence[str] = COMMAND) -> None:
        """
        Args:
            settings: which models, and what the service takes on.
            directory: an empty one for its data and its log.
            media: where the videos are.
            command: runs the backend's command line.
        """
        options = {option_name(name): getattr(settings, name) for name in _PASSED}
        options |= {"--data-dir": directory / "data", "--media-root": media, "--host": "127.0.0.1", "--port": 0}
        arguments = [f"{name}={value}" for name, value in options.items() if value is not None]
        self.log = directory / "serve.log"
        self.url = ""
        self.pid = 0
        self._process = ServerProcess(
            "the service", [*command, "serve", *arguments], self.log, env=foreign_variables(), cwd=_ROOT
        )

    def __enter__(self) -> LoadServer:
        """Start it.

        Raises:
            StartError: it ended, or did not load its models in time.
        """
        self._process.start()
        try:
            self._process.wait_until(self._ready, START_SECONDS)
        except BaseException:
            self._process.stop()
            raise
        self.pid = self._process.pid or 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.stop()

    def end(self) -> bool:
        """Ask it to end (SIGTERM); whether it did so by itself, in time, and was there until then."""
        try:
            self._process.check()
        except StartError:
            return False
        os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._process.pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._process.pid is None

    def _ready(self) -> bool:
        found = _ADDRESS.search(self.log.read_text("utf-8", errors="replace"))
        if found is None:
            return False
        self.url = found[1]
        with requests.Session() as session:
            session.trust_env = False
            try:
                return bool(session.get(f"{self.url}/health", timeout=1).json().get("models_loaded"))
            except (requests.RequestException, ValueError):
                return False
