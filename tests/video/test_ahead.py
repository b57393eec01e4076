from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.errors import FrameOutOfRange
from backend.tracks import ImageArray
from backend.video.ahead import read_ahead
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip, read_code
from support.fake_tracker import PATIENCE


class Source:
    """Frames out of nothing, which counts what is asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.reached = threading.Event()
        self.wait_for = -1

    def frame(self, index: int) -> ImageArray:
        self.asked.append(index)
        if index == self.wait_for:
            self.reached.set()
        if index == 99:
            raise FrameOutOfRange("no frame 99")
        return np.full((2, 2, 3), index, np.uint8)


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("indices", [range(30), range(29, -1, -1), range(0, 30, 7), [5, 3, 3, 20], []])
@pytest.mark.parametrize("depth", [1, 4, 100])
def test_in_the_order_asked_for(tmp_path: Path, indices: list[int], depth: int) -> None:
    with VideoReader(make_clip(tmp_path / "clip.mp4", coded_frames(30), bframes=2)) as reader:
        found = [(index, read_code(image)) for index, image in read_ahead(reader, indices, depth)]
    assert found == [(index, index) for index in indices]


def test_it_decodes_ahead_but_not_far() -> None:
    source = Source()
    source.wait_for = 3
    frames = read_ahead(source, range(50), depth=2)
    assert source.asked == []
    assert next(frames)[0] == 0
    # One consumed, two in the queue, one in the thread's hand.
    assert source.reached.wait(PATIENCE)
    assert source.asked == [0, 1, 2, 3]
    frames.close()
    assert source.asked == [0, 1, 2, 3]


def test_a_consumer_that_stops_early_ends_the_thread() -> None:
    for index, _ in read_ahead(Source(), range(50)):
        if index == 3:
            break


def test_an_error_comes_in_its_place() -> None:
    seen = []
    with pytest.raises(FrameOutOfRange, match="no frame 99"):
        for index, _ in read_ahead(Source(), [1, 2, 99, 3]):
            seen.append(index)
    assert seen == [1, 2]


def test_depth_is_checked_at_once() -> None:
    with pytest.raises(ValueError, match="depth"):
        read_ahead(Source(), [1], depth=0)
