"""Which packet holds which frame: an index made by reading a file's packets once, without decoding them.

Packets come in decoding order, frames are shown in the order of their presentation timestamps (PTS). A packet
is named here by its ordinal, its place in decoding order; a frame by its index, its place in display order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from backend.errors import VideoError

Int64Array = npt.NDArray[np.int64]
SecondsArray = npt.NDArray[np.float64]

NO_TIME = np.iinfo(np.int64).min
_NO_FRAME = -1


@dataclass(frozen=True, eq=False)
class PacketTable:
    """What the packets say of themselves: arrays ``(P,)`` by ordinal.

    Times are in ticks of ``tick`` seconds, sizes in bytes.
    """

    pts: Int64Array
    dts: Int64Array
    size: Int64Array
    keyframe: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    tick: float

    def __len__(self) -> int:
        return len(self.pts)

    def seconds(self, ticks: Int64Array) -> SecondsArray:
        """Ticks of the container's clock as seconds."""
        return np.multiply(ticks, self.tick, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Where each of the N frames is found.

    Attributes:
        seconds: ``(N,)`` presentation time of each frame, on the container's clock.
        frame_of: ``(P,)`` index of the frame that a packet shows, -1 where it shows none.
        start_frames: ``(K,)`` ascending frames at which decoding can start, of which the first is 0.
        start_packets: ``(K,)`` ordinals of the packets to start with.
        table: the packets' own timestamps.
        marks: ``(P,)`` a timestamp by which each packet is recognised after a seek, or None where they have none
            that is unique.
    """

    seconds: SecondsArray
    frame_of: Int64Array
    start_frames: Int64Array
    start_packets: Int64Array
    table: PacketTable
    marks: Marks | None

    def __len__(self) -> int:
        return len(self.seconds)

    def start_before(self, frame: int) -> int:
        """Position, among the starts, of the last one at or before ``frame``."""
        return int(np.searchsorted(self.start_frames, frame, side="right")) - 1


@dataclass(frozen=True, eq=False)
class Marks:
    """Unique timestamps of the packets: ``values (P,)`` by ordinal, PTS or (``decoding``) DTS."""

    values: Int64Array
    decoding: bool
    order: Int64Array

    @classmethod
    def choose(cls, table: PacketTable) -> Marks | None:
        """PTS where every packet has its own, else DTS, else None."""
        for values, decoding in ((table.pts, False), (table.dts, True)):
            order = np.argsort(values, kind="stable")
            ordered = values[order]
            if len(ordered) and ordered[0] != NO_TIME and (np.diff(ordered) > 0).all():
                return cls(values, decoding, order)
        return None

    def keyframe(self, packet: Packet[VideoStream], table: PacketTable) -> int | None:
        """The ordinal of a keyframe's packet read after a seek; None where it is no keyframe, or not known."""
        time = packet.dts if self.decoding else packet.pts
        if time is None or not packet.is_keyframe:
            return None
        place = int(np.searchsorted(self.values, time, sorter=self.order))
        if place == len(self.order):
            return None
        ordinal = int(self.order[place])
        same = self.values[ordinal] == time and table.keyframe[ordinal] and table.size[ordinal] == packet.size
        return ordinal if same else None


def video_packets(packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
    """The packets that carry data, up to the end of what can be read.

    Empty ones are left out: AVI repeats a frame by an empty chunk, and to a decoder an empty packet means the end.
    """
    source = iter(packets)
    while True:
        try:
            packet = next(source)
        except (StopIteration, FFmpegError):
            # A truncated file ends in an error where a whole one just ends.
            return
        if packet.size:
            yield packet


def read_table(packets: Iterable[Packet[VideoStream]], stream: VideoStream) -> PacketTable:
    """Read all packets of a stream, from the file's start.

    Raises:
        VideoError: there is none.
    """
    pts: list[int] = []
    dts: list[int] = []
    size: list[int] = []
    keyframe: list[bool] = []
    shown: list[bool] = []
    cut_off = False
    has_hidden_frames = stream.codec_context.name.startswith("vp8")
    for packet in video_packets(packets):
        pts.append(NO_TIME if packet.pts is None else packet.pts)
        dts.append(NO_TIME if packet.dts is None else packet.dts)
        size.append(packet.size)
        keyframe.append(packet.is_keyframe)
        # "Discarded" packets lie outside the container's edit list: they are decoded and not shown.
        hidden = has_hidden_frames and not memoryview(packet)[0] & 0x10
        shown.append(not (packet.is_discard or hidden))
        cut_off = packet.is_corrupt
    if cut_off:
        # What a truncated file has left of its last packet. A decoder fails on it, and threaded ones then keep
        # back the frames before it.
        for column in (pts, dts, size, keyframe, shown):
            column.pop()
    if not pts:
        raise VideoError("the file announces a video but holds no frame of it: it is cut off or damaged")
    return PacketTable(
        np.array(pts, np.int64),
        np.array(dts, np.int64),
        np.array(size, np.int64),
        np.array(keyframe, bool),
        np.array(shown, bool),
        float(stream.time_base or 1),
    )


def index_by_timestamps(table: PacketTable) -> PacketIndex | None:
    """Order the frames by PTS; None where the packets do not tell enough to be sure without decoding."""
    keys = np.flatnonzero(table.keyframe)
    if not len(keys):
        return None
    shown = table.shown.copy()
    # Nothing that comes before the first keyframe, in either order, can be decoded.
    shown[: keys[0]] = False
    first_key = keys[0]
    if table.pts[first_key] != NO_TIME and shown[first_key]:
        shown &= table.pts >= table.pts[first_key]
    ordinals = np.flatnonzero(shown)
    times = table.pts[ordinals]
    if not len(ordinals) or (times == NO_TIME).any():
        return None
    order = np.argsort(times, kind="stable")
    if (np.diff(times[order]) == 0).any():
        return None
    return _index(table, ordinals[order], table.seconds(times[order]))


def index_by_decoding(table: PacketTable, decoded: Sequence[int], rate: float) -> PacketIndex:
    """Order the frames as a decoder handed them out.

    Args:
        decoded: ordinals of the packets of the frames that came out, in that order.
        rate: frames per second, which times the frames where the packets do not.

    Raises:
        VideoError: nothing came out.
    """
    ordinals = np.array([ordinal for ordinal in dict.fromkeys(decoded) if table.shown[ordinal]], np.int64)
    if not len(ordinals):
        raise VideoError("no frame of the video can be decoded: it is damaged")
    times = table.pts[ordinals]
    if (times != NO_TIME).all():
        # Repeated, or given in decoding order (AVI): sorted they are at least the frames' times.
        seconds = table.seconds(np.sort(times))
    else:
        known = table.dts[table.dts != NO_TIME]
        begin = float(known.min() * table.tick) if len(known) else 0.0
        seconds = max(begin, 0.0) + np.arange(len(ordinals)) / rate
    return _index(table, ordinals, seconds)


def _index(table: PacketTable, ordinals: Int64Array, seconds: SecondsArray) -> PacketIndex:
    frame_of = np.full(len(table), _NO_FRAME, np.int64)
    frame_of[ordinals] = np.arange(len(ordinals))
    start_packets = np.flatnonzero(table.keyframe & (frame_of >= 0))
    start_frames = frame_of[start_packets]
    # Frames before the first keyframe shown (those an edit list cuts out included) are decoded from packet 0.
    if not len(start_frames) or start_frames[0] != 0:
        start_packets = np.concatenate([[0], start_packets])
        start_frames = np.concatenate([[0], start_frames])
    # Keyframes are shown in the order in which they are decoded; one that is not is no place to start.
    rising = start_frames == np.maximum.accumulate(start_frames)
    rising[1:] &= np.diff(np.maximum.accumulate(start_frames)) > 0
    return PacketIndex(seconds, frame_of, start_frames[rising], start_packets[rising], table, Marks.choose(table))
