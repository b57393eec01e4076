"""Streams of brush masks as they may be, and broken ones, read as if bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import PayloadError
from backend.labelstudio import brush
from backend.labelstudio.brush import decode_mask
from backend.tracks import BoolArray

SIZES = [(1, 1), (2, 1), (5, 3), (16, 9), (40, 30)]


def read_slowly(stream: bytes, width: int, height: int) -> BoolArray | str:
    """The mask, or what is wrong with the stream: the format's description word for word, and nothing else."""
    bits = "".join(f"{byte:08b}" for byte in stream)
    position = 0

    def read(size: int) -> int:
        nonlocal position
        position += size
        if position > len(bits):
            raise EOFError
        return int(bits[position - size : position], 2)

    try:
        total = read(32)
        if total != 4 * width * height:
            return f"holds {total} values"
        word = read(5) + 1
        sizes = [read(4) + 1 for _ in range(4)]
        values: list[int] = []
        while len(values) < total:
            repeated = read(1)
            count = read(sizes[read(2)]) + 1
            if len(values) + count > total:
                return f"a run leaves its {total} values"
            values += [read(word)] * count if repeated else [read(word) for _ in range(count)]
    except EOFError:
        return f"ends within {len(stream)} bytes"
    return np.array(values).reshape(height, width, 4)[:, :, 3] != 0


def read(stream: bytes, width: int, height: int) -> BoolArray | str:
    try:
        return decode_mask([*stream], (width, height))
    except PayloadError as error:
        return str(error)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, int, int]:
    """A stream of some kind of blocks, whole or damaged, and the size of its picture."""
    width, height = draw(st.sampled_from(SIZES))
    total = 4 * width * height
    word = draw(st.sampled_from([1, 2, 7, 8, 9, 16, 32]))
    sizes = draw(st.sampled_from([(3, 4, 8, 16), (1, 2, 3, 16), (16, 16, 16, 16), (5, 1, 12, 9)]))
    random = draw(st.randoms(use_true_random=False))
    bits = f"{total:032b}{word - 1:05b}" + "".join(f"{size - 1:04b}" for size in sizes)
    left = total
    while left > 0:
        field = random.randrange(4)
        count = min(random.choice([1, 2, 3, 4, 5, 8, 30, 1000]), 1 << sizes[field], left)
        repeated = random.random() < 0.5
        values = [random.choice([0, 0, 1, (1 << word) - 1]) for _ in range(1 if repeated else count)]
        bits += f"{repeated:b}{field:02b}{count - 1:0{sizes[field]}b}" + "".join(f"{one:0{word}b}" for one in values)
        left -= count
    bits += "0" * (-len(bits) % 8)
    stream = bytearray(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    damage = draw(st.sampled_from(["none", "cut", "flip", "more"]))
    if damage == "cut":
        del stream[random.randrange(len(stream)) :]
    elif damage == "flip":
        stream[random.randrange(4, len(stream))] ^= 1 << random.randrange(8)
    elif damage == "more":
        stream += random.randbytes(5)
    return bytes(stream), width, height


@given(case=streams(), bounds=st.sampled_from([(8, 16), (64, 256), (brush._BYTES, brush._VALUES)]))
@settings(max_examples=120, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_stream_is_read_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch, case: tuple[bytes, int, int], bounds: tuple[int, int]
) -> None:
    """Whatever is read or drawn together."""
    monkeypatch.setattr(brush, "_BYTES", bounds[0])
    monkeypatch.setattr(brush, "_VALUES", bounds[1])
    expected, found = read_slowly(*case), read(*case)
    if isinstance(expected, str):
        assert isinstance(found, str) and expected in found
    else:
        assert np.array_equal(found, expected)


def test_a_stream_that_draws_much_takes_memory_for_its_picture_and_little_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The most values that a byte can stand for: one bit each, listed."""
    monkeypatch.setattr(brush, "_VALUES", 1 << 18)
    drawn: list[int] = []
    is_set = brush._Stream._is_set

    def watch(stream: brush._Stream, positions: np.ndarray, size: int) -> np.ndarray:
        drawn.append(len(positions))
        return is_set(stream, positions, size)

    monkeypatch.setattr(brush._Stream, "_is_set", watch)
    width, height = 1000, 1000
    block = "0" + "11" + f"{(1 << 16) - 1:016b}" + "1" * (1 << 16)
    blocks, rest = divmod(4 * width * height, 1 << 16)
    bits = f"{4 * width * height:032b}{0:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16)) + block * blocks
    bits += "0" + "11" + f"{rest - 1:016b}" + "1" * rest if rest else ""
    bits += "0" * (-len(bits) % 8)
    stream = np.packbits(np.frombuffer(bits.encode(), np.uint8) - ord("0")).tobytes()
    assert decode_mask([*stream], (width, height)).all()
    assert max(drawn) <= brush._VALUES // 4 + (1 << 16)
