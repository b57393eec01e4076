"""A part of a video, as a video."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

import numpy as np
import numpy.typing as npt

from backend.errors import FrameOutOfRange
from backend.tracks import ImageArray
from backend.video.frames import Frames, check_index, in_order


class FrameSpan:
    """Consecutive frames of a video, counted from 0; see :class:`backend.video.frames.Frames`.

    Args:
        video: the whole.
        frames: those of its frames that there are, of step 1, one at least.

    Raises:
        FrameOutOfRange: the video does not have them all, or there is none.
    """

    def __init__(self, video: Frames, frames: range) -> None:
        if not len(frames) or frames.step != 1 or frames.start < 0 or frames.stop > len(video):
            raise FrameOutOfRange(f"{video.path.name} has {len(video)} frames, of which {frames} is no part")
        self._video = video
        self._frames = frames
        self.path = video.path
        self.width, self.height = video.width, video.height
        self.fps = video.fps
        self.duration = len(frames) / video.fps

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Of the whole video."""
        return self._video.warnings

    @property
    def timestamps(self) -> npt.NDArray[np.float64]:
        """``(N,)`` presentation seconds on the clock of the whole video."""
        return self._video.timestamps[self._frames.start : self._frames.stop]

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame.

        Raises:
            FrameOutOfRange: there is no such frame.
            VideoError: it can no longer be read.
        """
        check_index(index, len(self), self.path.name)
        return self._video.frame(self._frames[index])

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """See :meth:`~backend.video.frames.Frames.frames`."""
        return in_order(self, range(start, stop, step), self.path.name)

    def identity(self) -> Hashable:
        """The whole video's, and which part of it this is.

        Raises:
            VideoError: the video is gone.
        """
        return self._video.identity(), self._frames.start, self._frames.stop
