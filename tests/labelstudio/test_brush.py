"""Brush masks, against the SDK's own functions in both directions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter import brush as sdk

from backend.errors import PayloadError
from backend.labelstudio.brush import decode_mask, encode_mask
from backend.tracks import BoolArray

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=24)
MASKS = arrays(bool, SHAPES)


def size_of(mask: BoolArray) -> tuple[int, int]:
    return mask.shape[1], mask.shape[0]


@given(MASKS)
def test_what_is_encoded_is_decoded(mask):
    assert np.array_equal(decode_mask(encode_mask(mask), size_of(mask)), mask)


@given(MASKS)
def test_the_sdk_reads_what_is_encoded(mask):
    picture = sdk.decode_rle(encode_mask(mask)).reshape(*mask.shape, 4)
    assert np.array_equal(picture, np.repeat(255 * mask[:, :, None], 4, axis=2))


@given(MASKS)
def test_what_the_sdk_writes_is_read_and_written_alike(mask):
    written = sdk.mask2rle((255 * mask).astype(np.uint8))
    assert np.array_equal(decode_mask(written, size_of(mask)), mask)
    ours = encode_mask(mask)
    assert written[: len(ours)] == ours
    assert set(written[len(ours) :]) <= {0}


@given(arrays(np.uint8, SHAPES.map(lambda shape: (*shape, 4)), elements=st.sampled_from([0, 0, 1, 128, 255])))
def test_of_a_coloured_picture_the_alpha_channel_counts(picture):
    height, width = picture.shape[:2]
    assert np.array_equal(decode_mask(sdk.encode_rle(picture.ravel()), (width, height)), picture[:, :, 3] > 0)


def test_runs_longer_than_a_length_field():
    mask = np.zeros((300, 400), bool)
    mask[:100] = True
    encoded = encode_mask(mask)
    assert np.array_equal(decode_mask(encoded, (400, 300)), mask)
    assert np.array_equal(sdk.decode_rle(encoded).reshape(300, 400, 4)[:, :, 3] > 0, mask)


def stream(*fields: tuple[int, int]) -> list[int]:
    """Bytes of numbers, each with its size in bits."""
    bits = "".join(f"{number:0{size}b}" for number, size in fields)
    return [int(bits[start : start + 8].ljust(8, "0"), 2) for start in range(0, len(bits), 8)]


HEADER = ((8, 32), (7, 5), (2, 4), (3, 4), (7, 4), (15, 4))


def test_lists_of_values_are_read():
    """As the browser writes them: blocks with several values that differ."""
    values = [9, 9, 9, 1, 9, 9, 9, 0]
    found = decode_mask(stream(*HEADER, (0, 1), (0, 2), (7, 3), *((value, 8) for value in values)), (2, 1))
    assert found.tolist() == [[True, False]]
    split = [
        (0, 1),
        (0, 2),
        (4, 3),
        *((v, 8) for v in values[:5]),
        (0, 1),
        (0, 2),
        (2, 3),
        *((v, 8) for v in values[5:]),
    ]
    assert decode_mask(stream(*HEADER, *split), (2, 1)).tolist() == [[True, False]]


def test_values_of_another_size_are_read():
    header = ((8, 32), (0, 5), *HEADER[2:])
    found = decode_mask(
        stream(*header, (0, 1), (0, 2), (7, 3), *((bit, 1) for bit in (0, 0, 0, 1, 1, 1, 1, 0))), (2, 1)
    )
    assert found.tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        (None, "list of bytes"),
        ("AAAA", "list of bytes"),
        ([0, 256], "list of bytes"),
        ([0, -1], "list of bytes"),
        ([0, 1.5], "list of bytes"),
        ([True, False], "list of bytes"),
        ([], "ends within 0 bytes"),
        ([0, 0, 0, 8], "ends within 4 bytes"),
        (stream((4, 32), *HEADER[1:]), "holds 4 values, but a picture of 2 x 1 pixels has 8"),
        (stream((0xFFFFFFFF, 32), *HEADER[1:]), "holds 4294967295 values"),
        (stream(*HEADER, (1, 1), (0, 2), (3, 3), (255, 8)), "ends within"),
        (stream(*HEADER, (0, 1), (0, 2), (7, 3), (255, 8)), "ends within"),
        (stream(*HEADER, (1, 1), (2, 2), (255, 8), (255, 8)), "a run leaves its 8 values"),
    ],
)
def test_what_is_no_mask_is_refused(rle, message):
    with pytest.raises(PayloadError, match=message) as caught:
        decode_mask(rle, (2, 1), "result[3].value.rle")
    assert caught.value.path == "result[3].value.rle"
    assert str(caught.value).startswith("result[3].value.rle: ")


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (20_000, 1), (16_000, 16_000)])
def test_absurd_sizes_are_refused_before_anything_is_read(size):
    with pytest.raises(PayloadError, match="a picture of"):
        decode_mask([0] * 10, size)
