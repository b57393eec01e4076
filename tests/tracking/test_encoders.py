from __future__ import annotations

import pytest

from backend.segmentation.cache import EncodingCache
from backend.tracking.encoders import Encoders
from support.fake_rooms import FakeSegmenter, FakeVideo


@pytest.mark.parametrize(
    ("propagating", "looking", "encoded"),
    [
        (None, None, ([0], [], [])),
        (1, None, ([0], [0], [])),
        (1, 1, ([0], [0], [])),
        (None, 1, ([0], [0], [])),
        (1, 0, ([0], [0], [])),
        (1, 2, ([0], [0], [0])),
    ],
)
def test_nothing_encodes_a_frame_twice(
    propagating: int | None, looking: int | None, encoded: tuple[list[int], ...]
) -> None:
    """Not even where the cache holds nothing."""
    rooms = [FakeSegmenter() for _ in range(3)]
    video = FakeVideo(3)
    given = [None if room is None else rooms[room].as_segmenter for room in (propagating, looking)]
    encoders = Encoders.of(video.as_reader, EncodingCache(0), rooms[0].as_segmenter, *given)
    for encode in (encoders.segmenting, encoders.propagating, encoders.looking) * 2:
        encode(0, video.frame(0))
    assert tuple(room.encoded for room in rooms) == encoded
