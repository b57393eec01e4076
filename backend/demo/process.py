"""A server in a process of its own: started, waited for, and stopped for certain."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import requests

from backend.errors import StartError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
STOP_SECONDS = 10.0
TAIL_BYTES = 16_384
PORTS = range(20_000, 30_000)
"""Below those that systems give to whoever asks for any: a server takes half a minute until it listens."""


def free_port() -> int:
    """A loopback port that nobody listens on just now, nor is given by the system before somebody does.

    Raises:
        StartError: there is none.
    """
    for port in secrets.SystemRandom().sample(PORTS, 100):
        try:
            return require_free(port, "a port of our own,")
        except StartError:
            continue
    raise StartError(f"nobody can listen on any of 100 ports from {PORTS[0]} to {PORTS[-1]}; give one")


def require_free(port: int, option: str) -> int:
    """The port, if a server can listen on it: Label Studio would quietly take the next one.

    Raises:
        StartError: it is taken, not allowed, or no port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "ports go from 1 to 65535"
            raise StartError(f"{option} {port}: nobody can listen there ({reason}); give another port") from None
    return port


def answers(url: str) -> bool:
    """Whether a GET is answered with 200 within a second, on the direct way."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=1, allow_redirects=False).status_code == 200
        except requests.RequestException:
            return False


class ServerProcess:
    """Runs ``command``, everything it prints going to ``log_file``.

    It leads a process group of its own, so that Ctrl-C in the terminal reaches only us, and whatever it starts is
    ended with it.
    """

    def __init__(
        self, name: str, command: Sequence[str], log_file: Path, *, env: Mapping[str, str], cwd: Path | None = None
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log_file = log_file
        self._env = dict(env)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """Start it, and return at once.

        Raises:
            StartError: the command cannot be run.
        """
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._log_file.open("wb") as output:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=self._env,
                    cwd=self._cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise StartError(f"{self.name} cannot be started: {error}") from error

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until ``ready()``.

        Raises:
            StartError: the process ended, or ``seconds`` went by; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} did not answer within {seconds:.0f} s.{self._explain()}")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            StartError: it ended, or was never started; with the end of its log.
        """
        if self._process is None:
            raise StartError(f"{self.name} was not started")
        status = self._process.poll()
        if status is not None:
            raise StartError(f"{self.name} ended with status {status}.{self._explain()}")

    def stop(self) -> None:
        """End it and all it started: politely, and after ten seconds by force. Does nothing where nothing runs."""
        process, self._process = self._process, None
        if process is None:
            return
        self._signal(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("%s does not stop; killing it", self.name)
        finally:  # also where a second Ctrl-C ends the wait
            self._signal(process.pid, signal.SIGKILL)  # what is left of the group
            process.wait()

    def tail(self, lines: int = 25) -> str:
        """The end of what it printed."""
        try:
            with self._log_file.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(0, file.tell() - TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _explain(self) -> str:
        tail = self.tail()
        return f" The end of {self._log_file}:\n{tail}" if tail else f" {self._log_file} is empty."

    @staticmethod
    def _signal(group: int, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # the group is gone; macOS says so by EPERM
            os.killpg(group, number)
