"""Open videos, kept open between jobs: opening a long one means scanning its index."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from backend.video.reader import VideoReader

IDLE_READERS = 4
OPENING_AT_ONCE = 4

FileState = tuple[Path, int, int]  # path, modification time, size: a file that was replaced is another file


class Readers:
    """Lends each borrower a reader of its own: two that share one would seek back and forth at every step."""

    def __init__(self, open_video: Callable[[Path], VideoReader] = VideoReader, idle: int = IDLE_READERS) -> None:
        self._open = open_video
        self._limit = idle
        self._idle: list[tuple[FileState, VideoReader]] = []  # the longest unused first
        self._lock = threading.Lock()
        self._opening = threading.BoundedSemaphore(OPENING_AT_ONCE)
        self._closed = False

    @contextmanager
    def lease(self, path: Path) -> Iterator[VideoReader]:
        """A reader for the caller alone, until the end of the block.

        Raises:
            VideoError: the file cannot be opened as a video.
        """
        state = _state(path)
        reader = self._take(state) or self._opened(path)
        try:
            yield reader
        finally:
            self._give_back(state, reader)

    def drop(self, path: Path) -> None:
        """Close the idle readers of a file."""
        with self._lock:
            surplus = [reader for (known, _, _), reader in self._idle if known == path]
            self._idle = [(state, reader) for state, reader in self._idle if state[0] != path]
        for reader in surplus:
            reader.close()

    def close(self) -> None:
        """Close the idle readers; those on loan are closed as they come back."""
        with self._lock:
            self._closed = True
            surplus, self._idle = [reader for _, reader in self._idle], []
        for reader in surplus:
            reader.close()

    def _opened(self, path: Path) -> VideoReader:
        with self._opening:
            return self._open(path)

    def _take(self, state: FileState) -> VideoReader | None:
        with self._lock:
            for index in reversed(range(len(self._idle))):
                if self._idle[index][0] == state:
                    return self._idle.pop(index)[1]
        return None

    def _give_back(self, state: FileState, reader: VideoReader) -> None:
        with self._lock:
            self._idle.append((state, reader))
            excess = len(self._idle) if self._closed else len(self._idle) - self._limit
            surplus = [reader for _, reader in self._idle[: max(excess, 0)]]
            del self._idle[: max(excess, 0)]
        for old in surplus:
            old.close()


def _state(path: Path) -> FileState:
    try:
        status = path.stat()
    except OSError:  # the reader has a better word for it
        return (path, 0, 0)
    return (path, status.st_mtime_ns, status.st_size)
