"""The room on the disk for media that were fetched: what nobody has used for longest makes room for what comes."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from backend.labelstudio.claims import Claims

log = logging.getLogger(__name__)

SHARE_OF_DISK = 0.25
"""The room where no limit was set."""
COUNTED_SECONDS = 60.0
"""For how long the bytes in the directory are known, to which other processes add too."""

_NAMED = re.compile(r"(?P<key>[0-9a-f]{24})-[0-9a-f]{8}(\.\w+)?")
_PART = re.compile(r"[0-9a-f]{24}-\d+-\d+\.part")


@dataclass(frozen=True)
class _File:
    path: Path
    size: int
    used: int


class Room:
    """A directory of files that were fetched, which hold no more than ``limit`` bytes together.

    Those that were not used for longest go first, and those that somebody uses never: together, or as a single one that
    is larger, they may take more than the limit, until nobody uses them. Files with other names than such have are
    nobody's business here, and do not count.

    Args:
        directory: where they lie; it need not be there.
        limit: in bytes; None is a share of the disk.
        leaving: told of a file before it goes, to close it.
        clock: in seconds.
    """

    def __init__(
        self,
        directory: Path,
        limit: int | None = None,
        *,
        leaving: Callable[[Path], None] = lambda path: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._limit = limit
        self._leaving = leaving
        self._clock = clock
        self._claims = Claims(directory.with_name(directory.name + ".lock"))
        self._lock = threading.RLock()
        self._held = 0
        self._counted: float | None = None
        self._expected: dict[Path, int] = {}
        self._tidying = False
        self._warned = False

    def held(self) -> int:
        """Bytes of the files that are there."""
        with self._lock:
            if self._counted is None or self._clock() - self._counted > COUNTED_SECONDS:
                self._count()
            return self._held

    @contextmanager
    def use(self, name: str) -> Iterator[None]:
        """Keep a file meanwhile, whether it is there or is about to be."""
        path = self._directory / name
        with self._claims.claim(name):
            _touch(path)
            try:
                yield
            finally:
                _touch(path)  # how long it was not used counts from the end
        if not self._tidying and self._over():  # beside whoever ends here, who may hold up others
            self._tidying = True
            try:
                threading.Thread(target=self._tidy, name="keytrack-media-room", daemon=True).start()
            except RuntimeError:  # there are no more threads
                self._tidying = False

    @contextmanager
    def filling(self, part: Path) -> Iterator[Filling]:
        """While a file is written, under a name of its own."""
        try:
            yield Filling(self, part)
        finally:
            with self._lock:
                self._expected.pop(part, None)

    def discard(self, name: str) -> None:
        """Remove a file that is of no use any more, if nobody uses it; otherwise it makes room later."""
        with self._lock:
            if self._remove(self._directory / name):
                self._counted = None

    def _over(self) -> bool:
        return self._counted is not None and self._held > self._most()

    def _tidy(self) -> None:
        """Bring the files below the limit again, but for the one that was used last: it may be larger than that."""
        with self._lock:
            self._tidying = False  # what is given back from now on may be too much still
            self._make_room(0)

    def _make_room(self, more: int) -> None:
        """Make room for so many bytes, which count as expected already."""
        coming = sum(self._expected.values())
        most = self._most()
        if self.held() + coming <= most and more <= self._free():
            self._warned = False
            return
        files = sorted(self._count(), key=lambda file: file.used)
        for file in files if more else files[:-1]:
            if self._held + coming <= most and more <= self._free():
                return
            if self._remove(file.path):
                self._held -= file.size
                log.info("%s was removed: other media need its room", file.path.name)
        if more and self._held + coming > most and not self._warned:
            self._warned = True
            log.warning(
                "media that are in use, or on their way, take more than the %d bytes that there are for them "
                "(KEYTRACK_MEDIA_CACHE_BYTES / --media-cache-bytes)",
                most,
            )

    def _count(self) -> list[_File]:
        """All files, counted anew."""
        files: list[_File] = []
        self._held = 0
        with suppress(FileNotFoundError), os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(OSError):  # gone meanwhile
                    if _NAMED.fullmatch(entry.name):
                        state = entry.stat()
                        files.append(_File(Path(entry.path), state.st_size, state.st_atime_ns))
                        self._held += state.st_size
                    elif _PART.fullmatch(entry.name) and Path(entry.path) not in self._expected:
                        self._held += entry.stat().st_size  # another process fetches it
        self._counted = self._clock()
        return files

    def _remove(self, path: Path) -> bool:
        """Remove a file that nobody uses, and what is remembered of it; whether that was so."""
        with self._claims.alone(path.name) as alone:
            if not alone:
                return False
            try:
                self._leaving(path)
                note = path.with_name(path.name[:24] + ".json")
                with suppress(OSError, ValueError, TypeError, KeyError):
                    if json.loads(note.read_text("utf-8"))["file"] == path.name:
                        note.unlink()
                path.unlink(missing_ok=True)
            except OSError as error:
                log.warning("%s cannot be removed: %s", path, error.strerror)
                return False
        return True

    def _most(self) -> int:
        if self._limit is None:
            self._limit = int(shutil.disk_usage(_existing(self._directory)).total * SHARE_OF_DISK)
        return self._limit

    def _free(self) -> int:
        return shutil.disk_usage(_existing(self._directory)).free


class Filling:
    """A file that is being written; see :meth:`Room.filling`.

    Attributes:
        part: under which name.
    """

    def __init__(self, room: Room, part: Path) -> None:
        self.part = part
        self._room = room

    def expect(self, size: int) -> None:
        """Make room for the bytes that the file is going to have."""
        room = self._room
        with room._lock:
            more = size - room._expected.get(self.part, 0)
            room._expected[self.part] = size
            if more > 0:
                room._make_room(more)

    def finish(self, name: str) -> None:
        """It is there, whole: it has its name from now on."""
        room = self._room
        with room._lock:
            self.part.replace(room._directory / name)
            room._held += room._expected.pop(self.part, 0)


def _touch(path: Path) -> None:
    """Note that a file was used now; when it was changed stays as it is."""
    with suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
