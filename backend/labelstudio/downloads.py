"""Files fetched once and kept: one directory, atomic, shared by everybody who asks for the same address."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests

from backend.errors import MediaError
from backend.labelstudio.hosts import shown
from backend.labelstudio.in_use import active
from backend.labelstudio.lines import Line
from backend.labelstudio.room import Filling, Room
from backend.labelstudio.shared import Shared

log = logging.getLogger(__name__)

FRESH_SECONDS = 600.0  # for how long a file that may change is used without asking again
STALE_PART_SECONDS = 86_400.0
CHUNK = 1 << 16
FROM_ONE_HOST = 8  # downloads at a time; idle work takes four
_CLOSED = "the download was ended, the backend is shutting down"

# Query parameters that sign an address and differ each time: (those that give it away, all that belong to it)
_SIGNATURES = (
    ({"x-amz-signature"}, lambda name: name.startswith("x-amz-")),
    ({"x-goog-signature"}, lambda name: name.startswith("x-goog-")),
    ({"signature", "expires"}, lambda name: name in {"signature", "expires", "awsaccesskeyid", "googleaccessid"}),
    ({"sig", "se"}, lambda name: name in {"sig", "se", "st", "sp", "sv", "sr", "spr", "skoid", "sktid", "skt", "ske"}),
)

Opener = Callable[[Mapping[str, str], Line], requests.Response]


@dataclass(frozen=True)
class _Entry:
    """What is remembered of a file; ``address`` is without its query, which may hold a signature."""

    file: str
    size: int
    address: str
    etag: str | None
    modified: str | None


class _Turn:
    """Whose turn it is to ask for an address, and how it went since somebody wants it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.failures = 0
        self.problem = ""


class DownloadStore:
    """Fetches each address once into ``directory``, a few at a time from one host. A download to which next to nothing
    comes is given up, see :class:`backend.labelstudio.lines.Line`.

    The file's name is made of the address without its signature and of the version fetched, so a file that changed at
    its source gets a new path, and nothing kept by path is mistaken for it. A file that was handed out is in use by
    whatever goes on on the thread, see :mod:`backend.labelstudio.in_use`.

    Args:
        directory: for the files; made when it is needed.
        max_bytes: the most that a file may have.
        room: that the files have together; by default a share of the disk.
        clock: in seconds.
    """

    def __init__(
        self,
        directory: Path,
        max_bytes: int,
        *,
        room: Room | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._room = room or Room(directory)
        self._clock = clock
        self._guard = threading.Lock()
        self._turns: Shared[str, _Turn] = Shared(_Turn)
        self._hosts: Shared[str, threading.Semaphore] = Shared(lambda: threading.Semaphore(FROM_ONE_HOST))
        self._checked: OrderedDict[str, float] = OrderedDict()  # the longest ago first
        self._lines: set[Line] = set()
        self._closed = False

    def close(self) -> None:
        """End the downloads under way; they raise MediaError."""
        with self._guard:
            self._closed = True
            lines = list(self._lines)
        for line in lines:
            line.hang_up(_CLOSED)

    def get(self, address: str, suffix: str, open_: Opener, *, immutable: bool = False) -> Path:
        """The local file of ``address``.

        ``open_`` is called with headers (those of a conditional request) and the line that its connections belong to,
        and answers 200 or 304 with its body still to read. ``immutable`` files are never asked for again; others are
        after ten minutes, and a copy at hand is used where the source cannot be reached then. Who waits while another
        cannot reach it is told so as well; other failures may be that one's own, such as a token's.

        Raises:
            MediaError: from ``open_``, or too large or slow, ended early, not a video but a page, or the disk is full.
        """
        key = _key(address)
        with self._turns.use(key) as turn:
            failures = turn.failures
            with turn.lock:
                if turn.failures != failures:
                    raise Unreachable(turn.problem)
                try:
                    return self._get(key, address, suffix, open_, immutable)
                except OSError as error:
                    raise _disk_error(error, self._directory) from error
                except Unreachable as error:
                    turn.failures, turn.problem = turn.failures + 1, str(error)
                    raise

    def at_hand(self, address: str) -> Path | None:
        """The local file of ``address`` where it was fetched before, however long ago; nobody is asked."""
        with ExitStack() as held:
            key = _key(address)
            entry = self._entry(key) if active() is None else self._claimed(key, held)
            return None if entry is None else self._handed_out(entry)

    def use(self, path: Path) -> bool:
        """Have a file in use that was handed out before; False where it is gone."""
        uses = active()
        if uses is not None and path.parent == self._directory:
            uses.add(path, partial(self._room.use, path.name))
        return path.exists()

    def held(self) -> int:
        """Bytes of all files together."""
        return self._room.held()

    def _get(self, key: str, address: str, suffix: str, open_: Opener, immutable: bool) -> Path:
        with ExitStack() as held:
            old = entry = self._claimed(key, held)
            if entry is None or not (immutable or self._is_fresh(key)):
                with self._line(address) as line:
                    entry = self._refresh(key, address, suffix, open_, entry, line, held)
                self._note_checked(key)
            path = self._handed_out(entry)
        if old is not None and old.file != entry.file:
            self._room.discard(old.file)
        return path

    def _claimed(self, key: str, held: ExitStack) -> _Entry | None:
        """What is known of a file that is still there, whole, and stays as long as it is held."""
        claimed = None
        while (entry := self._entry(key)) is not None and entry.file != claimed:
            claimed = entry.file
            held.enter_context(self._room.use(claimed))
        return entry

    def _handed_out(self, entry: _Entry) -> Path:
        path = self._directory / entry.file
        self.use(path)
        return path

    @contextmanager
    def _line(self, address: str) -> Iterator[Line]:
        """A line to a host, once not too many others are in use."""
        with self._hosts.use(urlsplit(address).netloc) as place, place, Line() as line:
            with self._guard:
                self._lines.add(line)
            if self._closed:
                line.hang_up(_CLOSED)
            try:
                yield line
            finally:
                with self._guard:
                    self._lines.remove(line)

    def _is_fresh(self, key: str) -> bool:
        with self._guard:
            checked = self._checked.get(key)
        return checked is not None and self._clock() - checked < FRESH_SECONDS

    def _note_checked(self, key: str) -> None:
        now = self._clock()
        with self._guard:
            self._checked[key] = now
            self._checked.move_to_end(key)
            while self._checked and now - next(iter(self._checked.values())) >= FRESH_SECONDS:
                self._checked.popitem(last=False)

    def _entry(self, key: str) -> _Entry | None:
        """What is known of a file that is still there, whole."""
        try:
            entry = _Entry(**json.loads((self._directory / f"{key}.json").read_text("utf-8")))
            whole = (self._directory / entry.file).stat().st_size == entry.size
        except (OSError, ValueError, TypeError):
            return None
        return entry if whole else None

    def _refresh(
        self, key: str, address: str, suffix: str, open_: Opener, entry: _Entry | None, line: Line, held: ExitStack
    ) -> _Entry:
        headers = {}
        if entry is not None and entry.etag:
            headers["If-None-Match"] = entry.etag
        elif entry is not None and entry.modified:
            headers["If-Modified-Since"] = entry.modified
        try:
            response = open_(headers, line)
        except Unreachable as failure:
            error = _hung_up(address, line) or failure
            if entry is None:
                raise error from None
            log.warning("%s; using the copy fetched before", error)
            return entry
        with response:
            if entry is not None and (response.status_code == 304 or _is_same(entry, response)):
                return entry
            return self._download(key, address, suffix, response, line, held)

    def _download(
        self, key: str, address: str, suffix: str, response: requests.Response, line: Line, held: ExitStack
    ) -> _Entry:
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        part = self._directory / f"{key}-{os.getpid()}-{threading.get_ident()}.part"
        try:
            with self._room.filling(part) as filling:
                size = self._stream(address, response, filling, line)
                version = hashlib.sha256(f"{etag} {modified} {size}".encode()).hexdigest()[:8]
                entry = _Entry(f"{key}-{version}{suffix}", size, shown(address), etag, modified)
                held.enter_context(self._room.use(entry.file))
                filling.finish(entry.file)
            part.write_text(json.dumps(asdict(entry)), "utf-8")
            part.replace(self._directory / f"{key}.json")
        finally:
            part.unlink(missing_ok=True)
        log.info("fetched %s: %d bytes", shown(address), size)
        return entry

    def _stream(self, address: str, response: requests.Response, filling: Filling, line: Line) -> int:
        declared = response.headers.get("Content-Length", "")
        size, expected = 0, int(declared) if declared.isdecimal() else 0
        if expected > self._max_bytes:
            raise self._too_large(address)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._sweep()
        filling.expect(expected)
        with filling.part.open("wb") as file:
            try:
                for chunk in response.iter_content(CHUNK):
                    if size == 0 and chunk[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
                        raise MediaError(f"{shown(address)} answered a web page instead of a video")
                    size += len(chunk)
                    if size > self._max_bytes:
                        raise self._too_large(address)
                    if size > expected:  # more at a time, the larger it is
                        expected = min(size + size // 8, self._max_bytes)
                        filling.expect(expected)
                    line.took(len(chunk))
                    file.write(chunk)
            except requests.RequestException as error:
                early = Unreachable(f"{shown(address)}: the download ended early ({type(error).__name__})")
                raise _hung_up(address, line) or early from None
            hung_up = _hung_up(address, line)
            if hung_up is not None:  # where no length was declared it looks like the end of the file
                raise hung_up
            file.flush()
            os.fsync(file.fileno())
        if size == 0:
            raise MediaError(f"{shown(address)} answered an empty file")
        filling.expect(size)
        return size

    def _too_large(self, address: str) -> MediaError:
        return MediaError(
            f"{shown(address)} is larger than {self._max_bytes} bytes, the most that is fetched "
            "(KEYTRACK_MAX_MEDIA_BYTES / --max-media-bytes)"
        )

    def _sweep(self) -> None:
        """Remove what downloads left behind that were killed."""
        oldest = time.time() - STALE_PART_SECONDS
        for part in self._directory.glob("*.part"):
            with suppress(OSError):
                if part.stat().st_mtime < oldest:
                    part.unlink()


class Unreachable(MediaError):
    """The source did not answer, or cannot now; a copy fetched before may serve."""

    passing = True


def _hung_up(address: str, line: Line) -> MediaError | None:
    """What to say of a line that was hung up."""
    if line.problem is None:
        return None
    kind = MediaError if line.problem == _CLOSED else Unreachable
    return kind(f"{shown(address)}: {line.problem}")


def _key(address: str) -> str:
    return hashlib.sha256(_identity(address).encode()).hexdigest()[:24]


def _identity(address: str) -> str:
    """The address without what only signs it."""
    parts = urlsplit(address)
    query = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in query}
    for signs, belongs in _SIGNATURES:
        if signs <= names:
            query = [(name, value) for name, value in query if not belongs(name.lower())]
    return parts._replace(query=urlencode(query), fragment="").geturl()


def _is_same(entry: _Entry, response: requests.Response) -> bool:
    """Whether an answer to a source that knows no conditional requests is the file at hand."""
    etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
    if etag or entry.etag:
        return etag == entry.etag
    return modified == entry.modified and response.headers.get("Content-Length") == str(entry.size)


def _disk_error(error: OSError, directory: Path) -> MediaError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MediaError(
            f"the disk is full: no room for media under {directory}, and those that are there are in use; free some, "
            "or set KEYTRACK_DATA_DIR"
        )
    return MediaError(f"media cannot be kept under {directory} ({error.strerror or type(error).__name__})")
