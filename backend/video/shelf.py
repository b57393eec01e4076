"""Many videos at hand, few of them open."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from threading import RLock
from types import TracebackType

import numpy as np
import numpy.typing as npt

from backend.errors import VideoError
from backend.tracks import ImageArray
from backend.video.frames import in_order
from backend.video.reader import VideoReader


class VideoShelf:
    """Holds video files of which one is open at a time: the one that was read last. A context manager."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._open: VideoReader | None = None

    def __enter__(self) -> VideoShelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, path: Path) -> ShelvedVideo:
        """A video that can be read for as long as the shelf is not closed.

        Raises:
            VideoError: it cannot be read.
        """
        with self._lock:
            return ShelvedVideo(self, self._reader(path))

    def read(self, video: ShelvedVideo, index: int) -> ImageArray:
        """A frame of one of the videos; see :meth:`ShelvedVideo.frame`."""
        with self._lock:
            reader = self._open
            if reader is None or reader.path != video.path:
                reader = self._reader(video.path)
                if reader.identity() != video.identity():
                    raise VideoError(f"{video.path} has changed since it was read first; start again")
            return reader.frame(index)

    def close(self) -> None:
        """Close the one that is open; it opens again when it is read."""
        with self._lock:
            if self._open is not None:
                self._open.close()
                self._open = None

    def _reader(self, path: Path) -> VideoReader:
        self.close()
        self._open = VideoReader(path)
        return self._open


class ShelvedVideo:
    """A video on a shelf; see :class:`backend.video.frames.Frames`."""

    def __init__(self, shelf: VideoShelf, reader: VideoReader) -> None:
        self._shelf = shelf
        self._length = len(reader)
        self._identity = reader.identity()
        self.path = reader.path
        self.width, self.height = reader.width, reader.height
        self.fps, self.duration = reader.fps, reader.duration
        self.timestamps: npt.NDArray[np.float64] = reader.timestamps
        self.warnings = reader.warnings

    def __len__(self) -> int:
        return self._length

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame.

        Raises:
            FrameOutOfRange: there is no such frame.
            VideoError: it can no longer be read.
        """
        return self._shelf.read(self, index)

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """See :meth:`~backend.video.frames.Frames.frames`."""
        return in_order(self, range(start, stop, step), self.path.name)

    def identity(self) -> Hashable:
        """The file, its size and its time of change, when it was first read."""
        return self._identity
