"""The seam: a video, whatever its frames come from."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backend.errors import FrameOutOfRange
from backend.tracks import ImageArray

FileState = tuple[str, int, int]  # place, time of change, size


class FrameSource(Protocol):
    """Random access to frames, and no more."""

    def __len__(self) -> int: ...

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame, an array of the caller's own.

        Raises:
            FrameOutOfRange: there is no such frame.
            VideoError: it can no longer be read.
        """


class SizedSource(FrameSource, Protocol):
    """Random access to upright RGB frames of one size, whose times nobody asks for."""

    @property
    def path(self) -> Path:
        """The file, or the directory of the images."""

    @property
    def width(self) -> int:
        """Pixels of the displayed frame."""

    @property
    def height(self) -> int:
        """Pixels of the displayed frame."""


class Frames(SizedSource, Protocol):
    """Random access to upright RGB frames of one size, in bounded memory, safe to share between threads."""

    @property
    def fps(self) -> float:
        """Average frames per second."""

    @property
    def duration(self) -> float:
        """Seconds."""

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        """``(N,)`` ascending presentation seconds."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong without making the frames unreadable, in sentences for the user."""

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """``(index, image)`` of ``range(start, stop, step)``, whose step may be negative.

        Raises:
            FrameOutOfRange: at once, where the range leaves the video.
        """

    def identity(self) -> Hashable:
        """What tells these frames from any others, and from earlier ones in the same place.

        Raises:
            VideoError: they are gone.
        """


def check_index(index: int, count: int, name: str) -> None:
    """Refuse a frame that a video of ``count`` frames does not have.

    Raises:
        FrameOutOfRange: the message says which frames ``name`` has.
    """
    if not 0 <= index < count:
        raise FrameOutOfRange(f"{name} has no frame {index}: it has {count}, the first is 0")


def in_order(source: FrameSource, indices: range, name: str) -> Iterator[tuple[int, ImageArray]]:
    """``(index, image)`` of a range of frames.

    Raises:
        FrameOutOfRange: at once, where the range leaves the source; see :func:`check_index`.
    """
    for end in (*indices[:1], *indices[-1:]):
        check_index(end, len(source), name)
    return ((index, source.frame(index)) for index in indices)


def file_state(path: Path) -> FileState:
    """A file's place, time of change and size. Raises OSError where there is none."""
    state = path.stat()
    return (str(path.resolve()), state.st_mtime_ns, state.st_size)
