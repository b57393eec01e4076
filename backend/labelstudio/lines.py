"""The connections of one download: they are hung up where next to nothing comes over them."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType

PACE_SECONDS = 60.0
LEAST_BYTES = 256 << 10  # in that time; before the first byte it is how long an answer may take
LONGEST_SECONDS = 4 * 3600.0


class Line:
    """A context manager, which watches from a thread of its own: a read that waits for a byte now and then ends only
    when its connection does, whatever its timeout."""

    def __init__(self) -> None:
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._received = 0
        self._problem: str | None = None
        self._watch = threading.Thread(target=self._keep_watch, name="keytrack-download-watch", daemon=True)

    def __enter__(self) -> Line:
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        with self._lock:
            for connection in self._connections:
                connection.close()
            self._connections.clear()

    @property
    def problem(self) -> str | None:
        """Why it was hung up; None where it was not."""
        return self._problem

    def hold(self, connection: socket.socket) -> None:
        """A connection that belongs to it from now on; its owner closes it as ever."""
        with self._lock:
            # Of its own: TLS takes the socket's place, and leaves the one that was given without a file.
            self._connections.append(connection.dup())
            if self._problem is not None:
                _shut(self._connections[-1])

    def took(self, size: int) -> None:
        """So many bytes came."""
        self._received += size

    def hang_up(self, problem: str) -> None:
        """End its connections, so that whoever reads from them goes on; the first problem counts."""
        with self._lock:
            self._problem = self._problem or problem
            for connection in self._connections:
                _shut(connection)

    def _keep_watch(self) -> None:
        begun, before = time.monotonic(), 0
        while not self._over.wait(PACE_SECONDS):
            received = self._received
            if received - before < LEAST_BYTES:
                self.hang_up(f"too little comes of it: {received - before} bytes in {PACE_SECONDS:g} seconds")
                return
            if time.monotonic() - begun > LONGEST_SECONDS:
                self.hang_up(f"it is not there after {LONGEST_SECONDS / 3600:g} hours")
                return
            before = received


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)
