"""One decoder over a file, which can be set down on any packet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from backend.errors import VideoError
from backend.video.packets import NO_TIME, Marks, PacketTable, video_packets
from backend.video.source import open_video


class Cursor:
    """Decodes forward from a chosen packet and says of each frame which packet it came from.

    A packet that cannot be decoded is passed over, as players do. Not thread-safe.
    """

    def __init__(self, path: Path, table: PacketTable, marks: Marks | None) -> None:
        """
        Args:
            path: the file.
            table: all its packets.
            marks: how a packet is recognised after a seek; without them every restart reads the packets (it does
                not decode them) from the file's start.
        """
        self._path = path
        self._table = table
        self._marks = marks
        self._container: InputContainer | None = None
        self._stream: VideoStream | None = None
        self._packets: Iterator[tuple[int, Packet[VideoStream]]] = iter(())
        self._decoded: deque[tuple[int, VideoFrame]] = deque()
        self._flushed = True
        self._start = 0

    def restart(self, ordinal: int) -> None:
        """Set the decoder down on a packet; the next frame read is the first that it yields from there.

        Raises:
            VideoError: the file can no longer be opened.
        """
        self._decoded.clear()
        self._start = ordinal
        self._packets = self._packets_from(ordinal)
        self._flushed = False

    def read(self) -> tuple[int, VideoFrame] | None:
        """The next frame in display order and the ordinal of its packet; None after the last.

        Raises:
            VideoError: the file is no longer the same.
        """
        while not self._decoded:
            if self._flushed:
                return None
            try:
                self._decode_next()
            except FFmpegError:
                continue
        return self._decoded.popleft()

    def close(self) -> None:
        """Free the decoder and the file; the cursor may be restarted afterwards."""
        self._packets = iter(())
        self._decoded.clear()
        self._flushed = True
        if self._container is not None:
            self._container.close()
        self._container = self._stream = None

    def _decode_next(self) -> None:
        following = next(self._packets, None)
        if following is None or following[0] >= len(self._table):
            self._flushed = True
            frames = self._stream.codec_context.decode(None) if self._stream is not None else []
        else:
            ordinal, packet = following
            if packet.size != self._table.size[ordinal]:
                self._lose_marks()
                return
            # The decoder hands a packet's timestamp on to its frame. Putting the ordinal in its place tells which
            # packet a frame came from, even in files whose timestamps are missing or repeated.
            packet.pts = ordinal
            frames = packet.decode()
        self._decoded.extend((frame.pts, frame) for frame in frames if frame.pts is not None)

    def _lose_marks(self) -> None:
        """Start again without seeking: some containers (MPEG program streams) time packets otherwise after a seek."""
        if self._marks is None:
            raise VideoError(f"{self._path.name} has changed while it was open; open it again")
        self._marks = None
        self.restart(self._start)

    def _packets_from(self, ordinal: int) -> Iterator[tuple[int, Packet[VideoStream]]]:
        container, stream = self._opened()
        for time in self._seek_times(ordinal):
            try:
                container.seek(time, stream=stream)
            except FFmpegError:
                continue
            packets = video_packets(container.demux(stream))
            for packet in packets:
                landed = self._marks.keyframe(packet, self._table) if self._marks is not None else None
                if landed is None:
                    continue
                if landed > ordinal:
                    break
                return _skip(_number(packet, packets, landed), ordinal)
        self.close()
        container, stream = self._opened()
        return _skip(enumerate(video_packets(container.demux(stream))), ordinal)

    def _seek_times(self, ordinal: int) -> list[int]:
        """Where to seek for a packet, in the order of the attempts: containers index their keyframes by PTS or DTS."""
        if self._marks is None:
            return []
        times = (int(self._table.pts[ordinal]), int(self._table.dts[ordinal]))
        return list(dict.fromkeys(time for time in times if time != NO_TIME))

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        if self._container is None or self._stream is None:
            self._container, self._stream = open_video(self._path)
        return self._container, self._stream


def _number(
    first: Packet[VideoStream], rest: Iterator[Packet[VideoStream]], ordinal: int
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    yield ordinal, first
    yield from enumerate(rest, ordinal + 1)


def _skip(
    packets: Iterator[tuple[int, Packet[VideoStream]]], ordinal: int
) -> Iterator[tuple[int, Packet[VideoStream]]]:
    return (numbered for numbered in packets if numbered[0] >= ordinal)
