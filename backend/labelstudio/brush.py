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
    stream = _BitReader(_bytes(rle, path), path)
    total = stream.read(32)
    if total != CHANNELS * width * height:
        stream.refuse(
            f"it holds {total} values, but a picture of {width} x {height} pixels has {CHANNELS * width * height}"
        )
    word_size = stream.read(5) + 1
    length_sizes = [stream.read(4) + 1 for _ in LENGTH_SIZES]
    mask = np.zeros(width * height, bool)
    position = 0
    while position < total:
        repeated = stream.read(1)
        end = position + stream.read(length_sizes[stream.read(2)]) + 1
        if end > total:
            stream.refuse(f"a run leaves its {total} values")
        # The pixels whose alpha value is in range(position, end).
        pixels = slice(position // CHANNELS, end // CHANNELS)
        if repeated:
            mask[pixels] = stream.read(word_size) != 0
        else:
            mask[pixels] = stream.read_set(end - position, word_size)[(ALPHA - position) % CHANNELS :: CHANNELS]
        position = end
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
        if isinstance(rle, list) and not any(isinstance(value, bool) for value in rle):
            return bytes(rle)
    except (TypeError, ValueError):
        pass
    raise PayloadError(f"{path}: expected a list of bytes, numbers from 0 to 255", path)


class _BitReader:
    """Reads numbers of a few bits, the highest first."""

    def __init__(self, data: bytes, path: str) -> None:
        self._data = data
        self._position = 0
        self._path = path

    def read(self, size: int) -> int:
        """A number of ``size`` <= 32 bits."""
        position = self._take(size)
        first = position // 8
        window = int.from_bytes(self._data[first : first + 5].ljust(5, b"\0"), "big")
        return window >> (40 - position % 8 - size) & ((1 << size) - 1)

    def read_set(self, count: int, size: int) -> npt.NDArray[np.bool_]:
        """Which of the next ``count`` numbers of ``size`` bits are not 0."""
        position = self._take(count * size)
        first = position // 8
        held = np.frombuffer(self._data, np.uint8)[first : (position + count * size + 7) // 8]
        bits = np.unpackbits(held)[position % 8 :][: count * size]
        return np.asarray(bits.reshape(count, size).any(axis=1))

    def refuse(self, problem: str) -> NoReturn:
        """Raise: the stream is none of a mask."""
        raise PayloadError(f"{self._path}: no brush mask of Label Studio: {problem}", self._path)

    def _take(self, bits: int) -> int:
        position = self._position
        self._position += bits
        if self._position > 8 * len(self._data):
            self.refuse(f"it ends within {len(self._data)} bytes")
        return position
