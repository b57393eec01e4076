"""Frames of a video file by index or by time, exactly, in bounded memory, in any order."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator
from pathlib import Path
from threading import RLock
from types import TracebackType

import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import VideoError
from backend.tracks import ImageArray
from backend.video.cache import FrameCache
from backend.video.cursor import Cursor
from backend.video.frames import check_index, file_state, in_order
from backend.video.packets import (
    PacketIndex,
    PacketTable,
    SecondsArray,
    index_by_decoding,
    index_by_timestamps,
    read_table,
)
from backend.video.picture import PictureConverter
from backend.video.source import extension_warning, open_video

logger = logging.getLogger(__name__)

# One for each direction of a track that grows both ways from its prompt.
_CURSORS = 2
# The frames that are decoded on opening: enough to see that the packets' order is the decoder's.
_CHECKED = 12
# Up to this many frames ahead, decoding on is cheaper than seeking.
_NEAR = 8
_DEFAULT_RATE = 25.0


class VideoReader:
    """Random access to the frames of a video file; a context manager, safe to share between threads.

    Opening reads the file's packets once, without decoding them. After that a frame costs at most the decoding of
    its group of pictures from the last keyframe; reading on in order costs what plain decoding costs, and reading
    backwards decodes a group once for as many frames as the cache holds.

    Attributes:
        path: the file.
        width, height: pixels of the displayed frame, the rotation applied. A sample aspect ratio is not applied.
        timestamps: ``float64 (N,)`` ascending presentation seconds on the container's clock, which is a browser's
            too; the first may be above 0.
        duration: seconds, as a browser reports it.
        fps: average frames per second.
    """

    def __init__(self, path: str | Path, *, cache_bytes: int = 256 << 20) -> None:
        """
        Args:
            path: a file in a container and codec that FFmpeg reads.
            cache_bytes: how much memory decoded frames may take; at least one is kept.

        Raises:
            VideoError: missing, empty, not a video, no frame that can be decoded, or absurdly large.
        """
        self.path = Path(path)
        self._lock = RLock()
        self._closed = False
        self._cache = FrameCache(cache_bytes)
        self._warnings: list[str] = []
        self._damaged: set[int] = set()
        self._bad_starts: set[int] = set()
        self._cursors: list[_Positioned] = []

        container, stream = open_video(self.path)
        try:
            table = _read_packets(container, stream, self.path)
            announced = _Announced.of(container, stream)
            self._warn(extension_warning(container, self.path))
        finally:
            container.close()
        try:
            self._index = self._choose_index(table, announced.rate)
            self.timestamps: SecondsArray = _from_zero(self._index.seconds)
            self.timestamps.setflags(write=False)
            self._picture = PictureConverter(self._decoded(0))
        except BaseException:
            self.close()
            raise
        self.width, self.height = self._picture.size
        self.fps = _average_rate(self.timestamps, announced.rate)
        end = float(self.timestamps[-1]) + 1 / self.fps
        self.duration = announced.duration or end
        self._warn(_shortfall(self.path, table, announced, end))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the file without making it unreadable, in sentences for the user."""
        with self._lock:
            return tuple(self._warnings)

    def __len__(self) -> int:
        """Frames that the file holds; what is missing at the end of a truncated file does not count."""
        return len(self._index)

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the decoders and the cache; idempotent."""
        with self._lock:
            self._closed = True
            self._cache.clear()
            for cursor in self._cursors:
                cursor.close()
            self._cursors.clear()

    def frame(self, index: int) -> ImageArray:
        """The RGB image ``uint8 (H, W, 3)`` of a frame, an array of the caller's own.

        A damaged frame shows the one before it, as in a player, and adds a warning.

        Raises:
            FrameOutOfRange: there is no such frame.
            VideoError: the file can no longer be read, or the reader is closed.
        """
        check_index(index, len(self), self.path.name)
        with self._lock:
            if self._closed:
                raise VideoError(f"{self.path.name} was closed")
            frame = self._decoded(index)
            if not self._picture.same_size(frame):
                self._warn(
                    f"{self.path.name} changes its picture size on the way; all frames are scaled to the first's."
                )
            try:
                return self._picture.image(frame)
            except FFmpegError as error:
                raise VideoError(
                    f"{self.path.name}: frame {index} cannot be made an RGB image ({error.strerror}); write the video "
                    "anew, as H.264 for instance"
                ) from error

    def frames(self, start: int, stop: int, step: int = 1) -> Iterator[tuple[int, ImageArray]]:
        """See :meth:`~backend.video.frames.Frames.frames`."""
        return in_order(self, range(start, stop, step), self.path.name)

    def identity(self) -> Hashable:
        """The file, its size and its time of change.

        Raises:
            VideoError: it is gone.
        """
        try:
            return file_state(self.path)
        except OSError as error:
            raise VideoError(f"{self.path} is gone: {error.strerror}; put it back and track again") from error

    def index_at(self, seconds: float) -> int:
        """The frame on screen at a time: the last whose timestamp is not later; 0 before the first."""
        # Half a microsecond, since browsers count in microseconds.
        found = int(np.searchsorted(self.timestamps, seconds + 0.5e-6, side="right")) - 1
        return min(max(found, 0), len(self) - 1)

    def _warn(self, sentence: str | None) -> None:
        if sentence is not None and sentence not in self._warnings:
            logger.warning("%s", sentence)
            self._warnings.append(sentence)

    def _choose_index(self, table: PacketTable, rate: float) -> PacketIndex:
        index = index_by_timestamps(table)
        if index is not None and self._agrees(index):
            return index
        logger.info("%s: its timestamps do not tell the order of its frames; decoding it once", self.path.name)
        cursor = Cursor(self.path, table, None)
        try:
            cursor.restart(0)
            decoded = [ordinal for ordinal, _ in iter(cursor.read, None)]
        finally:
            cursor.close()
        try:
            return index_by_decoding(table, decoded, rate)
        except VideoError as error:
            raise VideoError(f"{self.path.name}: {error}") from error

    def _agrees(self, index: PacketIndex) -> bool:
        """Whether a decoder hands out the first frames as the index has it; keeps them."""
        cursor = _Positioned(Cursor(self.path, index.table, index.marks), index)
        cursor.restart(0)
        for expected in range(min(_CHECKED, len(index))):
            found = cursor.read()
            if found is None or found[0] != expected:
                self._cache.clear()
                cursor.close()
                return False
            self._cache.put(*found)
        self._cursors.append(cursor)
        return True

    def _decoded(self, index: int) -> VideoFrame:
        for candidate in range(index, -1, -1):
            frame = self._cache.get(candidate)
            if frame is None and candidate not in self._damaged:
                frame = self._decode(candidate)
            if frame is not None:
                return frame
        raise VideoError(f"{self.path.name}: no frame up to {index} can be decoded: it is damaged")

    def _decode(self, index: int) -> VideoFrame | None:
        """Decode up to a frame and keep what comes on the way; None where it is damaged."""
        start = self._start_before(index)
        cursor = self._cursor_for(index, start)
        frame, gap = self._run(cursor, index)
        if frame is None and start > 0:
            # The keyframe may be one in name only: decoders wait for a while after a recovery point.
            cursor.restart(self._start_before(int(self._index.start_frames[start]) - 1))
            frame, gap = self._run(cursor, index)
            if frame is not None:
                self._bad_starts.add(start)
        if frame is None:
            if not self._damaged:
                self._warn(
                    f"{self.path.name} is damaged, first seen at frame {index} ({self.timestamps[index]:.2f} s): "
                    "where a frame cannot be decoded, the one before it is shown."
                )
            self._damaged.update(gap)
        return frame

    def _start_before(self, index: int) -> int:
        start = self._index.start_before(index)
        while start in self._bad_starts:
            start -= 1
        return start

    def _cursor_for(self, index: int, start: int) -> _Positioned:
        first = int(self._index.start_frames[start])
        ready = [
            c for c in self._cursors if c.position <= index and (c.position >= first or index - c.position <= _NEAR)
        ]
        if ready:
            cursor = max(ready, key=lambda c: c.position)
        elif len(self._cursors) < _CURSORS:
            cursor = _Positioned(Cursor(self.path, self._index.table, self._index.marks), self._index)
            cursor.restart(start)
        else:
            cursor = self._cursors.pop(0)
            cursor.restart(start)
        # The list is ordered by use: the one that is used least is moved when neither stands right.
        self._cursors = [c for c in self._cursors if c is not cursor] + [cursor]
        return cursor

    def _run(self, cursor: _Positioned, index: int) -> tuple[VideoFrame | None, range]:
        """Read up to a frame; where it does not come, the range of frames that do not."""
        while True:
            expected = cursor.position
            found = cursor.read()
            if found is not None:
                self._cache.put(*found)
            reached = len(self) if found is None else found[0]
            if found is None or reached > index:
                return None, range(expected, reached)
            if reached == index:
                return found[1], range(0)


class _Positioned:
    """A cursor that counts in frames: ``position`` is the lowest frame that it can still yield."""

    def __init__(self, cursor: Cursor, index: PacketIndex) -> None:
        self._cursor = cursor
        self._index = index
        self.position = len(index)

    def restart(self, start: int) -> None:
        self._cursor.restart(int(self._index.start_packets[start]))
        self.position = int(self._index.start_frames[start])

    def read(self) -> tuple[int, VideoFrame] | None:
        """The next frame; what leads a keyframe and refers to frames before it is left out. None at the end."""
        while (decoded := self._cursor.read()) is not None:
            index = int(self._index.frame_of[decoded[0]])
            if index >= self.position:
                self.position = index + 1
                return index, decoded[1]
        self.position = len(self._index)
        return None

    def close(self) -> None:
        self._cursor.close()


class _Announced:
    """What the file's headers say, before its packets are looked at."""

    def __init__(self, rate: float, duration: float, frames: int) -> None:
        self.rate = rate
        self.duration = duration
        self.frames = frames

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> _Announced:
        rate = stream.average_rate or stream.guessed_rate or 0
        tick = float(stream.time_base or 0)
        spans = [0.0 if container.duration is None else container.duration / 1e6]
        if stream.duration is not None:
            spans.append(stream.duration * tick)
        frames = stream.frames
        if container.format.name == "avi":
            # AVI counts the ticks of its clock, on which frames may be missing.
            spans.append(frames * tick)
            frames = 0
        return cls(float(rate) or _DEFAULT_RATE, max(spans), frames)


def _read_packets(container: InputContainer, stream: VideoStream, path: Path) -> PacketTable:
    try:
        return read_table(container.demux(stream), stream)
    except VideoError as error:
        raise VideoError(f"{path.name}: {error}") from error


def _from_zero(seconds: SecondsArray) -> SecondsArray:
    """Browsers shift a clock that starts below zero; one that starts above is left."""
    return seconds - min(float(seconds[0]), 0.0)


def _average_rate(timestamps: SecondsArray, announced: float) -> float:
    span = float(timestamps[-1] - timestamps[0])
    if len(timestamps) < 2 or span <= 0:
        return announced
    measured = (len(timestamps) - 1) / span
    # Matroska rounds its timestamps to milliseconds; what it announces is then the exact value.
    return announced if abs(announced - measured) * span < 0.5 and abs(announced / measured - 1) < 0.01 else measured


def _shortfall(path: Path, table: PacketTable, announced: _Announced, end: float) -> str | None:
    # The container counts frames that its edit list cuts out, so that fewer of them alone mean nothing.
    if announced.frames > len(table) and announced.duration - end > 1 / announced.rate:
        return (
            f"{path.name} announces {announced.frames} frames, only {int(table.shown.sum())} can be read: "
            "it is cut off. Upload or copy it again."
        )
    if announced.duration - end > max(1.0, 0.02 * announced.duration):
        return (
            f"{path.name} announces {announced.duration:.1f} s, its picture ends at {end:.1f} s: it is cut off, or its "
            "sound is longer. After that Label Studio shows the last picture."
        )
    return None
