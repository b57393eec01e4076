"""What a load test looks at while it runs: whether the service answers at once, and what memory it holds."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType

import requests

from backend.evaluation.load_tally import Tally
from backend.memory import resident_bytes_of

TIMEOUT = 1.0
"""Seconds that Label Studio gives ``/health``."""


class Watch(ABC):
    """Something that is looked at every so many seconds, on a thread of its own, while the context lasts."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    @abstractmethod
    def look(self) -> None:
        """Look once."""

    def _run(self) -> None:
        while True:
            self.look()
            if self._ended.wait(self._every):
                return


class HealthWatch(Watch):
    """Asks ``/health``; ``seconds`` are those that answers took."""

    def __init__(self, url: str, tally: Tally, every: float = 0.1) -> None:
        super().__init__(every)
        self.seconds: list[float] = []
        self._url = f"{url}/health"
        self._tally = tally
        self._session = requests.Session()
        self._session.trust_env = False

    def look(self) -> None:
        """Ask once."""
        started = time.perf_counter()
        try:
            status = self._session.get(self._url, timeout=TIMEOUT).status_code
        except requests.RequestException as error:
            self._tally.fail(f"/health: {type(error).__name__}")
            return
        if status != 200:
            self._tally.fail(f"/health: status {status}")
        self.seconds.append(time.perf_counter() - started)


class MemoryWatch(Watch):
    """Reads what a process holds; ``held`` are bytes, in turn."""

    def __init__(self, process: int, every: float = 0.5) -> None:
        super().__init__(every)
        self.held: list[int] = []
        self._process = process

    def look(self) -> None:
        """Read once; nothing where the system does not say, or the process is gone."""
        held = resident_bytes_of(self._process)
        if held:
            self.held.append(held)
