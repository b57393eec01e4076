"""Brush masks as Label Studio keeps them: a bit stream of runs over the bytes of an RGBA picture.

The stream is that of @thi.ng/rle-pack. A header: the number of values (32 bits), the size of a value less one
(5 bits), and the sizes of four length fields, each less one (4 bits). Then blocks: whether one value is repeated or
each is listed (1 bit), which length field follows (2 bits), the length less one, and the value or the values. The mask
is the picture's alpha channel; what is not fully transparent there is inside.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt

from backend.errors import PayloadError
from backend.tracks import BoolArray
from backend.video.source import MAX_PIXELS, MAX_SIDE

CHANNELS, ALPHA = 4, 3
OPAQUE = 255
WORD_SIZE = 8
LENGTH_SIZES = (3, 4, 8, 16)
_HEADER = 32 + 5 + 4 * len(LENGTH_SIZES)
_ROOM = 5  # bytes that hold any 32 bits
_BYTES, _VALUES = 1 << 13, 1 << 22  # that are read or drawn together: in bounded memory, and with few calls


def check_size(width: int, height: int, path: str = "") -> None:
    """Refuse a picture that is larger than any that is read here.

    Raises:
        PayloadError: no size at all, or an absurd one.
    """
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise PayloadError(
            f"{path}: a picture of {width} x {height} pixels; it has 1 to {MAX_SIDE} a side, and at most "
            f"{MAX_PIXELS // 1_000_000} million",
            path,
        )


def decode_mask(rle: object, size: tuple[int, int], path: str = "rle") -> BoolArray:
    """The mask ``bool (H, W)`` of a ``brushlabels`` value's ``rle``.

    Args:
        rle: a list of bytes.
        size: the picture's width and height: ``original_width`` and ``original_height`` of the result.
        path: of the list, for messages.

    Raises:
        PayloadError: an absurd size, no list of bytes, or a stream that is not one of that many pixels.
    """
    width, height = size
    check_size(width, height, path)
    stream = _Stream(_bytes(rle, path), path)
    total = stream.number(0, 32)
    if total != CHANNELS * width * height:
        stream.refuse(
            f"it holds {total} values, but a picture of {width} x {height} pixels has {CHANNELS * width * height}"
        )
    mask = np.zeros(width * height, bool)
    stream.draw(mask)
    return mask.reshape(height, width)


def encode_mask(mask: BoolArray) -> list[int]:
    """The ``rle`` of a ``brushlabels`` value for a mask ``bool (H, W)``: opaque white inside, else transparent
    black.

    Raises:
        PayloadError: an absurd size.
    """
    height, width = mask.shape
    check_size(width, height, "the mask")
    header = f"{CHANNELS * mask.size:032b}{WORD_SIZE - 1:05b}" + "".join(f"{size - 1:04b}" for size in LENGTH_SIZES)
    bits = np.concatenate([np.array(list(header), np.uint8), _blocks(np.asarray(mask, bool).ravel())])
    encoded: list[int] = np.packbits(bits).tolist()
    return encoded


def _blocks(pixels: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The runs of a mask as the bits of blocks with a repeated value."""
    starts = np.concatenate([[0], np.flatnonzero(pixels[1:] != pixels[:-1]) + 1])
    lengths = CHANNELS * np.diff(starts, append=pixels.size)
    longest = 1 << LENGTH_SIZES[-1]
    parts = -(-lengths // longest)  # a run that is longer than the largest field holds takes several blocks
    inside = np.repeat(pixels[starts], parts)
    sizes = np.full(len(inside), longest)
    sizes[np.cumsum(parts) - 1] = lengths - (parts - 1) * longest
    choices = np.searchsorted(1 << np.array(LENGTH_SIZES), sizes)
    fields = np.array(LENGTH_SIZES)[choices]
    values = ((((1 << 2) | choices) << fields) | (sizes - 1)) << WORD_SIZE | inside * OPAQUE
    widths = 3 + fields + WORD_SIZE
    aligned = (values << (32 - widths)).astype(">u4")
    rows = np.unpackbits(aligned.view(np.uint8).reshape(-1, 4), axis=1)
    return rows[np.arange(32) < widths[:, None]]


def _bytes(rle: object, path: str) -> bytes:
    try:
        if isinstance(rle, list) and bool not in set(map(type, rle)):
            return bytes(rle)
    except (TypeError, ValueError):
        pass
    raise PayloadError(f"{path}: expected a list of bytes, numbers from 0 to 255", path)


class _Stream:
    """A stream of bits, of which the highest of a byte comes first."""

    def __init__(self, data: bytes, path: str) -> None:
        self._bits = 8 * len(data)
        self._data = data + bytes(_ROOM)
        self._array = np.frombuffer(self._data, np.uint8)
        self._path = path

    def number(self, position: int, size: int) -> int:
        """The ``size`` <= 32 bits at a position."""
        self._within(position + size)
        window = int.from_bytes(self._data[position // 8 : position // 8 + _ROOM], "big")
        return window >> (8 * _ROOM - position % 8 - size) & ((1 << size) - 1)

    def draw(self, mask: BoolArray) -> None:
        """Draw the blocks, which come after the header, on a mask ``bool (N,)`` that is empty."""
        word = self.number(32, 5) + 1
        fields = np.array([self.number(37 + 4 * field, 4) + 1 for field in range(len(LENGTH_SIZES))])
        total = CHANNELS * mask.size
        position, value = _HEADER, 0
        while value < total:
            self._within(position + 1)
            blocks, position = self._blocks(position, word, fields)
            ends = value + np.cumsum(blocks[1])
            # What follows the last value does not count, and only the last of the blocks can leave the stream.
            blocks = blocks[:, : np.searchsorted(ends, total) + 1]
            place, count, repeated = blocks[:, -1].tolist()
            self._within(place)
            if ends[blocks.shape[1] - 1] > total:
                self.refuse(f"a run leaves its {total} values")
            self._within(place + word * (1 if repeated else count))
            portions = np.flatnonzero(np.diff(ends[: blocks.shape[1]] // _VALUES)) + 1
            for some in np.split(blocks, portions, axis=1):
                self._draw(mask, value, some, word)
                value += int(some[1].sum())

    def _blocks(self, position: int, word: int, fields: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], int]:
        """The blocks that begin within some bytes from a position on, and where the next one begins. A column is a
        block: where its data are, how many values it has, and whether that is one which is repeated.

        Where a block ends is found for every bit as if one began there, and then followed from one to the next: that
        alone takes a step a block.
        """
        begin = position // 8
        held = self._array[begin : begin + _BYTES + 3].astype(np.uint32)
        window = held[:-3] << 24 | held[1:-2] << 16 | held[2:-1] << 8 | held[3:]
        bits = (window[:, None] << np.arange(8, dtype=np.uint32)).ravel()
        kinds = bits >> 29  # whether a value is repeated, and which field the length has
        repeated = kinds >= 4
        sizes = fields[kinds & 3]
        counts = (bits << 3 >> (32 - sizes).astype(np.uint32)) + 1
        places = np.arange(len(bits)) + 3 + sizes
        following = memoryview(places + word * np.where(repeated, 1, counts.astype(np.int64)))
        begins = []
        at, end = position % 8, min(len(bits), self._bits - 8 * begin)
        while at < end:
            begins.append(at)
            at = following[at]
        found = np.array(begins)
        return np.stack([8 * begin + places[found], counts[found], repeated[found]]).astype(np.int64), 8 * begin + at

    def _draw(self, mask: BoolArray, value: int, blocks: npt.NDArray[np.int64], word: int) -> None:
        """Draw blocks that follow ``value`` values."""
        places, counts, repeated = blocks
        ends = value + np.cumsum(counts)
        starts = ends - counts
        # The pixels whose alpha value is in range(start, end).
        firsts, pixels = starts // CHANNELS, ends // CHANNELS - starts // CHANNELS
        runs = (repeated == 1) & self._is_set(places, word)
        mask[firsts[0] : firsts[0] + pixels.sum()] = np.repeat(runs, pixels)
        listed = np.flatnonzero(repeated == 0)
        own = pixels[listed]
        within = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        alphas = np.repeat(places[listed] + word * (CHANNELS * firsts[listed] + ALPHA - starts[listed]), own)
        mask[np.repeat(firsts[listed], own) + within] = self._is_set(alphas + word * CHANNELS * within, word)

    def _is_set(self, positions: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.bool_]:
        """Which of the numbers of ``size`` <= 32 bits at some positions are not 0."""
        window = np.zeros(len(positions), np.int64)
        for byte in range(_ROOM):
            window = window << 8 | self._array[(positions >> 3) + byte]
        return np.asarray(window >> (8 * _ROOM - (positions & 7) - size) & ((1 << size) - 1) != 0)

    def refuse(self, problem: str) -> NoReturn:
        """Raise: the stream is none of a mask."""
        raise PayloadError(f"{self._path}: no brush mask of Label Studio: {problem}", self._path)

    def _within(self, position: int) -> None:
        if position > self._bits:
            self.refuse(f"it ends within {self._bits // 8} bytes")
