"""Writing an H.264 clip that every browser plays."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from av.error import FFmpegError
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from backend.errors import VideoError
from backend.tracks import ImageArray

_QUALITY = "20"
_BT709 = 1


class VideoWriter:
    """Writes RGB images as MP4: H.264, yuv420p, constant frame rate, from time 0.

    A context manager. The file appears under its name when it is complete: an error inside the ``with`` block, or
    a process that is killed, leaves what was there before. Odd sizes, which yuv420p does not have, are padded by
    one row or column on the right and at the bottom, so that pixel coordinates stay what they are.
    """

    def __init__(self, path: str | Path, width: int, height: int, fps: float) -> None:
        """
        Args:
            path: ends in ``.mp4``; its directory exists.
            width, height: pixels of the images to come.
            fps: frames per second.

        Raises:
            VideoError: a size or rate that no video has, or a place that cannot be written to.
        """
        self.path = Path(path)
        if width < 1 or height < 1 or not 0 < fps <= 1000:
            raise VideoError(f"cannot write a video of {width} x {height} pixels at {fps} frames per second")
        self._size = (width, height)
        self._frames = 0
        self._rate = Fraction(fps).limit_denominator(1001)
        self._reformatter = VideoReformatter()
        self._temporary = self.path.with_name(f".{self.path.stem}-{secrets.token_hex(4)}.part")
        try:
            # FFmpeg opens its file with the first frame only; a place that cannot be written to is told now.
            self._temporary.touch(exist_ok=False)
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "faststart"})
        except OSError as error:
            raise VideoError(f"cannot write {self.path}: {error.strerror}") from error
        self._open = True
        try:
            self._stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": _QUALITY})
        except (FFmpegError, ValueError) as error:
            self.abort()
            raise VideoError(f"cannot write {self.path.name}: there is no H.264 encoder here ({error})") from error
        self._stream.width, self._stream.height = width + width % 2, height + height % 2
        self._stream.pix_fmt = "yuv420p"
        # Said in the file, since players guess the colours of HD and SD differently where it is not.
        context = self._stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, image: ImageArray) -> None:
        """Append an RGB image ``uint8 (H, W, 3)``.

        Raises:
            VideoError: it has another size, the writer is closed, or the disk is full.
        """
        width, height = self._size
        if not self._open:
            raise VideoError(f"{self.path.name} is closed")
        if image.shape != (height, width, 3) or image.dtype != np.uint8:
            raise VideoError(f"{self.path.name} takes {width} x {height} RGB images, not {image.dtype} {image.shape}")
        padded = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        frame = self._reformatter.reformat(
            rgb, format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        frame.pts = self._frames
        frame.time_base = 1 / self._rate
        self._encode(frame)
        self._frames += 1

    def close(self) -> None:
        """Finish the file and put it in its place; idempotent.

        Raises:
            VideoError: no frame was written, or the disk is full.
        """
        if not self._open:
            return
        if not self._frames:
            self.abort()
            raise VideoError(f"{self.path.name}: no frame was written")
        self._encode(None)
        try:
            self._container.close()
            os.replace(self._temporary, self.path)
        except (FFmpegError, OSError) as error:
            self.abort()
            raise VideoError(f"cannot write {self.path.name}: {error}") from error
        self._open = False

    def abort(self) -> None:
        """Drop what was written; what was at ``path`` before stays."""
        if not self._open:
            return
        self._open = False
        with suppress(FFmpegError, OSError):
            self._container.close()
        self._temporary.unlink(missing_ok=True)

    def _encode(self, frame: av.VideoFrame | None) -> None:
        try:
            self._container.mux(self._stream.encode(frame))
        except (FFmpegError, OSError) as error:
            self.abort()
            raise VideoError(f"cannot write {self.path.name}: {error}") from error
