"""A real Label Studio and this backend, started side by side with the settings that let them talk."""

from __future__ import annotations

import fcntl
import importlib.metadata
import json
import os
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

from backend.demo.process import ServerProcess, answers, free_port, require_free
from backend.errors import LabelStudioError, StartError
from backend.labelstudio.client import LabelStudioClient
from backend.settings import Settings

START_SECONDS = 300.0  # the first start makes the database: some 25 s on two idle cores
HOST = "127.0.0.1"

STUDIO_COMMAND = (sys.executable, "-m", "label_studio.server", "start", "--no-browser")

# Label Studio reads each setting as LABEL_STUDIO_<name>, then without the prefix, so that a stray DEBUG or CI in the
# user's environment would change it; hence the ones below that only say the default.
STUDIO_SETTINGS = {
    # Without these two, backends on loopback or private addresses are refused: ML_BLOCK_LOCAL_IP stops the connection
    # and the list of banned networks the webhook. The network where clouds keep credentials stays banned.
    "ML_BLOCK_LOCAL_IP": "false",
    "USE_DEFAULT_BANNED_SUBNETS": "false",
    "USER_ADDITIONAL_BANNED_SUBNETS": "169.254.0.0/16",
    "ENABLE_LEGACY_API_TOKEN": "true",
    "DISABLE_SIGNUP_WITHOUT_LINK": "true",
    # Nothing is reported to anybody. (The home page still asks GitHub for tips, and does without where it cannot.)
    "COLLECT_ANALYTICS": "false",
    "LATEST_VERSION_CHECK": "false",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "DJANGO_DB": "sqlite",
    "DEBUG": "false",
    "CI": "false",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True)
class Account:
    """Who signs in; the token is a legacy one, for API calls."""

    email: str
    password: str = field(repr=False)
    token: str = field(repr=False)


class Studio:
    """Label Studio and the backend on loopback ports, everything they keep under one directory.

    A context manager: both run inside it and neither after it. A directory used before is used again, with its
    account, project and annotations.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        studio_port: int | None = None,
        backend_port: int | None = None,
        backend_command: Sequence[str] | None = None,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._studio_port = require_free(studio_port, "--studio-port") if studio_port else free_port()
        self._backend_port = require_free(backend_port, "--port") if backend_port else free_port()
        self._backend_command = list(backend_command or (sys.executable, "-m", "backend", "serve"))
        self._running = ExitStack()
        self._processes: list[ServerProcess] = []
        self.url = f"http://{HOST}:{self._studio_port}"
        self.backend_url = f"http://{HOST}:{self._backend_port}"

    def __enter__(self) -> Studio:
        """Start both and wait until both answer.

        Raises:
            StartError: Label Studio is not installed, the directory is in use, or one of the two does not come up.
        """
        version = _label_studio_version()
        self._directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:  # undoes what was done so far where a later step fails
            stack.enter_context(_lock(self._directory))
            self.account = _account(self._directory / "account.json")
            studio, backend = self._processes = [self._label_studio(), self._backend()]
            for process in self._processes:
                stack.callback(process.stop)
                process.start()
            studio.wait_until(lambda: answers(self.url + "/health"), START_SECONDS)
            backend.wait_until(lambda: answers(self.backend_url + "/health"), START_SECONDS)
            self.client = LabelStudioClient(self.url, self.account.token, timeout=180)
            stack.callback(self.client.close)
            self._check_token(version)
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop both."""
        self._running.close()

    def check(self) -> None:
        """Make sure that both still run.

        Raises:
            StartError: one ended; with the end of its log.
        """
        for process in self._processes:
            process.check()

    def _label_studio(self) -> ServerProcess:
        directory = self._directory / "label-studio"
        directory.mkdir(exist_ok=True)
        settings = STUDIO_SETTINGS | {
            "HOST": self.url,
            "BASE_DATA_DIR": str(directory),
            "DATABASE_NAME": str(directory / "label_studio.sqlite3"),
            "USERNAME": self.account.email,
            "PASSWORD": self.account.password,
            "USER_TOKEN": self.account.token,
        }
        inherited = {
            name: value for name, value in _environment().items() if not name.startswith(("LABEL_STUDIO_", "HEARTEX_"))
        }
        command = [*STUDIO_COMMAND, "--internal-host", HOST, "--port", str(self._studio_port)]
        return ServerProcess(
            "Label Studio",
            command,
            self._directory / "label-studio.log",
            env=inherited | {f"LABEL_STUDIO_{name}": value for name, value in settings.items()},
            cwd=directory,  # it imports packages named "core" and "tasks": none may come from where we were started
        )

    def _backend(self) -> ServerProcess:
        options = {
            "host": HOST,
            "port": self._backend_port,
            "data-dir": self._directory / "backend",
            "weights-dir": self._settings.weights_dir,
            "profile": self._settings.profile,
            "segmenter": self._settings.segmenter,
            "propagator": self._settings.propagator,
            "device": self._settings.device,
            "threads": self._settings.threads,
            "budget-seconds": self._settings.budget_seconds,
            "label-studio-url": self.url,
        }
        command = [
            *self._backend_command,
            *(f"--{name}={value}" for name, value in options.items() if value is not None),
        ]
        root = str(Path(__file__).resolve().parents[2])
        search = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        environment = _environment() | {"PYTHONPATH": search, "KEYTRACK_LABEL_STUDIO_TOKEN": self.account.token}
        return ServerProcess("the backend", command, self._directory / "backend.log", env=environment)

    def _check_token(self, version: str) -> None:
        try:
            self.client.get("/api/current-user/whoami")
        except LabelStudioError as error:
            raise StartError(
                f"Label Studio {version} runs, but does not accept the account in {self._directory}: {error}. "
                "If that directory is not precious, remove it and start again"
            ) from error


def _environment() -> dict[str, str]:
    """Ours, with the two servers' calls to each other kept out of any proxy."""
    direct = ",".join(filter(None, (os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST)))
    return {**os.environ, "no_proxy": direct, "NO_PROXY": direct}


def _label_studio_version() -> str:
    try:
        return importlib.metadata.version("label-studio")
    except importlib.metadata.PackageNotFoundError:
        raise StartError("Label Studio is not installed here: pip install -r requirements-demo.txt") from None


def _lock(directory: Path) -> IO[str]:
    """Hold the directory for this process: two Label Studios on one SQLite file would damage it."""
    file = (directory / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise StartError(f"another demo uses {directory}: stop it, or give another --data-dir") from None
    return file


def _account(path: Path) -> Account:
    """The account kept in ``path``, made on first use and readable by this user alone."""
    with suppress(FileNotFoundError):
        try:
            return Account(**json.loads(path.read_text("utf-8")))
        except (ValueError, TypeError):
            raise StartError(f"{path} is damaged; remove {path.parent} and start again") from None
    account = Account("demo@keytrack.local", secrets.token_urlsafe(9), secrets.token_hex(20))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(account), file)
    return account
