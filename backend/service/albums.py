"""A task's pictures as a video: fetched one by one as they are asked for, kept open between presses."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.errors import VideoError
from backend.tracks import ImageArray
from backend.video.clock import DEFAULT_FRAME_RATE
from backend.video.frames import FileState, check_index, file_state, in_order
from backend.video.images import read_image

KEPT = 8

Find = Callable[[str], Path]
Use = Callable[[Path], bool]

_numbers = itertools.count(1)


class Album:
    """Pictures in their order, each found by its address when it is first asked for; see
    :class:`backend.video.frames.Frames`. All have the size of the one that it was opened at.

    Threads may share it.
    """

    warnings: tuple[str, ...] = ()

    def __init__(
        self, addresses: Sequence[str], find: Find, opened_at: int, fps: float, use: Use = lambda path: True
    ) -> None:
        """
        Args:
            addresses: of the pictures, in the order of the frames.
            find: gives the file at an address, fetched where that is needed.
            opened_at: the picture to look at first.
            fps: frames per second.
            use: told of a file that was found before and is wanted again; False where it is gone.

        Raises:
            MediaError: that picture cannot be fetched.
            VideoError: it cannot be read.
            FrameOutOfRange: there is no such picture.
        """
        check_index(opened_at, len(addresses), "the task")
        self.addresses = tuple(addresses)
        self.fps = fps
        self.timestamps: npt.NDArray[np.float64] = np.arange(len(addresses)) / fps
        self.timestamps.setflags(write=False)
        self.duration = len(addresses) / fps
        self._find = find
        self._use = use
        self._found: dict[int, tuple[Path, FileState]] = {}
        self._identity = ("album", next(_numbers))
        first = self.locate(opened_at)
        self.path = first.parent
        self.height, self.width = read_image(first).shape[:2]
        self._opened_at = opened_at

    def __len__(self) -> int:
        return len(self.addresses)

    def locate(self, index: int) -> Path:
        """The file of a picture, fetched where that is needed.

        Raises:
            MediaError: it cannot be fetched.
            VideoError: it is gone, or another one.
        """
        known = self._found.get(index)
        if known is not None and self._use(known[0]):
            return known[0]
        path = self._find(self.addresses[index])
        if known is not None and path != known[0]:
            raise VideoError(f"picture {index + 1} of the task has changed meanwhile; press again")
        try:
            self._found[index] = path, file_state(path)
        except OSError as error:
            raise VideoError(f"{path} is gone: {error.strerror}; put it back") from error
        return path

    def located(self) -> dict[int, Path]:
        """The files of the pictures that were fetched so far, by position."""
        return {index: path for index, (path, _) in list(self._found.items())}

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a picture.

        Raises:
            FrameOutOfRange: there is no such picture.
            MediaError: it cannot be fetched.
            VideoError: it cannot be read, or its size is another one than the others'.
        """
        check_index(index, len(self), "the task")
        image = read_image(self.locate(index))
        if image.shape[:2] != (self.height, self.width):
            raise VideoError(
                f"picture {index + 1} of the task is {image.shape[1]} x {image.shape[0]} pixels, picture "
                f"{self._opened_at + 1} {self.width} x {self.height}; bring them to one size"
            )
        return image

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """See :meth:`~backend.video.frames.Frames.frames`."""
        return in_order(self, range(start, stop, step), "the task")

    def identity(self) -> Hashable:
        """A number of its own: at the same addresses there may be other files later, or elsewhere."""
        return self._identity

    def unchanged(self) -> bool:
        """Whether the files that were found are still as they were."""
        try:
            return all(file_state(path) == state for path, state in list(self._found.values()))
        except OSError:
            return False


class Albums:
    """The albums last used.

    Args:
        kept: how many.
        use: see :class:`Album`.
    """

    def __init__(self, kept: int = KEPT, use: Use = lambda path: True) -> None:
        self._kept = kept
        self._use = use
        self._open: OrderedDict[tuple[str, tuple[str, ...]], Album] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, owner: str, addresses: Sequence[str], find: Find, opened_at: int, fps: float | None = None) -> Album:
        """The album of these addresses; ``owner`` says whose they are, since addresses may be relative to a server.

        Raises:
            MediaError, VideoError, FrameOutOfRange: as :class:`Album`.
        """
        key = (owner, tuple(addresses))
        with self._lock:
            known = self._open.get(key)
        if known is None or not known.unchanged():
            known = Album(addresses, find, opened_at, fps or DEFAULT_FRAME_RATE, self._use)
        with self._lock:
            self._open[key] = known
            self._open.move_to_end(key)
            while len(self._open) > self._kept:
                self._open.popitem(last=False)
        return known
