"""A decoded frame -> an upright RGB image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.buffer import Buffer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter

from backend.tracks import ImageArray

_UNSPECIFIED_COLORSPACE = 2
_HD_HEIGHT = 720


@dataclass(frozen=True)
class Orientation:
    """How a player turns the stored picture: first swap rows and columns, then mirror.

    A display matrix that is not made of right angles and mirrors is ignored, as browsers do.
    """

    transposed: bool = False
    mirrored_rows: bool = False
    mirrored_columns: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read the container's display matrix, which FFmpeg attaches to the frames."""
        side_data = cast(Mapping[str, Buffer], frame.side_data)
        if "DISPLAYMATRIX" not in side_data:
            return cls()
        # 16.16 fixed point, (x', y') = (a x + c y, b x + d y), the y axis pointing down.
        a, b, _, c, d = (np.frombuffer(bytes(side_data["DISPLAYMATRIX"]), np.int32)[:5] / 65536).tolist()
        if {abs(round(a, 2)), abs(round(d, 2))} == {1.0} and {abs(round(b, 2)), abs(round(c, 2))} == {0.0}:
            return cls(False, d < 0, a < 0)
        if {abs(round(a, 2)), abs(round(d, 2))} == {0.0} and {abs(round(b, 2)), abs(round(c, 2))} == {1.0}:
            return cls(True, b < 0, c < 0)
        return cls()

    def apply(self, image: ImageArray) -> ImageArray:
        """Turn a ``(H, W, 3)`` image; returns a contiguous array, the same one where there is nothing to do."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.mirrored_rows:
            image = image[::-1]
        if self.mirrored_columns:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)


class PictureConverter:
    """Converts all frames of a video to the size and orientation of its first. Not thread-safe."""

    def __init__(self, first: VideoFrame) -> None:
        self._orientation = Orientation.of(first)
        self._stored_size = (first.width, first.height)
        self._reformatter = VideoReformatter()

    @property
    def size(self) -> tuple[int, int]:
        """Displayed ``(width, height)``."""
        width, height = self._stored_size
        return (height, width) if self._orientation.transposed else (width, height)

    def same_size(self, frame: VideoFrame) -> bool:
        """Whether a frame is stored in the first one's size; another is scaled to it."""
        return (frame.width, frame.height) == self._stored_size

    def image(self, frame: VideoFrame) -> ImageArray:
        """RGB ``uint8 (H, W, 3)``, an array of its own.

        Raises:
            FFmpegError: it cannot be converted.
        """
        try:
            converted = self._convert(frame)
        except FFmpegError:  # what it says of its colours is reserved, or damaged: as if it said nothing
            frame.colorspace = _UNSPECIFIED_COLORSPACE
            converted = self._convert(frame)
        # A frame that is RGB already comes back as it is, and its memory is the cache's.
        image = converted.to_ndarray().astype(np.uint8, copy=converted is frame)
        return self._orientation.apply(image)

    def _convert(self, frame: VideoFrame) -> VideoFrame:
        width, height = self._stored_size
        # Where a file does not say, browsers take HD for BT.709; FFmpeg would take everything for BT.601.
        unsaid = frame.colorspace == _UNSPECIFIED_COLORSPACE
        colorspace = Colorspace.ITU709 if unsaid and frame.height >= _HD_HEIGHT else None
        return self._reformatter.reformat(frame, width=width, height=height, format="rgb24", src_colorspace=colorspace)
