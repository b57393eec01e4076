"""Who uses which file of a directory: this process, or another one that works in it too."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl


class Claims:
    """Claims on files by their names.

    Others see them as locks on single bytes of one file, a byte for a name: they end with the process, however that
    ends, and cost no open file each. A process has one such object for a directory, since these locks do not tell its
    threads apart. Where the system, or the disk, has no such locks, other processes are not seen.

    Args:
        path: of the file with the locks; made with the first claim.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._counts: Counter[str] = Counter()
        self._file: int | None = None

    @contextmanager
    def claim(self, name: str) -> Iterator[None]:
        """Use a file meanwhile."""
        with self._lock:
            if not self._counts[name]:
                self._mark(name, shared=True)
            self._counts[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._counts[name] -= 1
                if not self._counts[name]:
                    del self._counts[name]
                    self._unmark(name)

    @contextmanager
    def alone(self, name: str) -> Iterator[bool]:
        """Whether nobody uses a file; if so, who wants to waits meanwhile."""
        with self._lock:
            if self._counts[name] or not self._mark(name, shared=False):
                yield False
                return
            try:
                yield True
            finally:
                self._unmark(name)

    def _mark(self, name: str, *, shared: bool) -> bool:
        """Lock a name's byte; False where somebody else has it, and is not waited for."""
        if sys.platform == "win32":
            return True
        try:
            fcntl.lockf(self._open(), fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _byte(name))
        except (BlockingIOError, PermissionError):  # by the standard it is either
            return False
        except OSError:  # no locks here
            return True
        return True

    def _unmark(self, name: str) -> None:
        if sys.platform != "win32" and self._file is not None:
            with suppress(OSError):
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _byte(name))

    def _open(self) -> int:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            weakref.finalize(self, os.close, self._file)
        return self._file


def _byte(name: str) -> int:
    """Where a name's byte is; two names that share one are only taken for in use together."""
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:7], "big")
