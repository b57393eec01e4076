"""The decoded frames used last."""

from __future__ import annotations

from collections import OrderedDict

from av.video.frame import VideoFrame


class FrameCache:
    """Keeps frames by index up to a number of bytes, and drops those that were not asked for longest.

    Frames are kept in the decoder's own format, which for most videos takes half the memory of RGB. Not thread-safe.

    Attributes:
        size: bytes kept; above ``capacity`` only where a single frame is.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._frames: OrderedDict[int, VideoFrame] = OrderedDict()

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, index: int) -> VideoFrame | None:
        """The frame, or None where it is not kept."""
        frame = self._frames.get(index)
        if frame is not None:
            self._frames.move_to_end(index)
        return frame

    def put(self, index: int, frame: VideoFrame) -> None:
        """Keep a frame; one that is kept already stays."""
        if index in self._frames:
            return
        self._frames[index] = frame
        self.size += _bytes(frame)
        while self.size > self.capacity and len(self._frames) > 1:
            self.size -= _bytes(self._frames.popitem(last=False)[1])

    def clear(self) -> None:
        """Drop all frames."""
        self._frames.clear()
        self.size = 0


def _bytes(frame: VideoFrame) -> int:
    return sum(plane.buffer_size for plane in frame.planes)
