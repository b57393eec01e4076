from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from backend.errors import VideoError
from backend.service.readers import OPENING_AT_ONCE, Readers
from backend.video.reader import VideoReader
from support.fake_tracker import PATIENCE
from support.service import clip


class Opened:
    """Opens videos and remembers them."""

    def __init__(self) -> None:
        self.readers: list[VideoReader] = []

    def __call__(self, path: Path) -> VideoReader:
        self.readers.append(VideoReader(path))
        return self.readers[-1]

    def are_closed(self) -> list[bool]:
        """Which of them were closed, in the order of their opening."""
        closed = []
        for reader in self.readers:
            try:
                reader.frame(0)
                closed.append(False)
            except VideoError:
                closed.append(True)
        return closed


def test_a_reader_that_came_back_is_lent_again(tmp_path: Path) -> None:
    path, opened = clip(tmp_path, frames=3), Opened()
    readers = Readers(opened)
    with readers.lease(path) as first:
        pass
    with readers.lease(path) as second:
        assert second is first
    readers.close()
    assert opened.are_closed() == [True]


def test_two_borrowers_get_readers_of_their_own(tmp_path: Path) -> None:
    path, opened = clip(tmp_path, frames=3), Opened()
    readers = Readers(opened)
    with readers.lease(path) as first, readers.lease(path) as second:
        assert second is not first
    readers.close()
    assert opened.are_closed() == [True, True]


def test_the_longest_unused_is_closed_first(tmp_path: Path) -> None:
    paths = [clip(tmp_path, f"{name}.mp4", frames=3) for name in "abc"]
    opened = Opened()
    readers = Readers(opened, idle=2)
    for path in paths:
        with readers.lease(path):
            pass
    assert opened.are_closed() == [True, False, False]
    readers.close()


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    path, opened = clip(tmp_path, frames=3), Opened()
    readers = Readers(opened)
    with readers.lease(path) as reader:
        assert len(reader) == 3
    clip(tmp_path, frames=5)
    os.utime(path, (1, 1))
    with readers.lease(path) as reader:
        assert len(reader) == 5
    readers.close()


def test_a_reader_on_loan_is_closed_as_it_comes_back(tmp_path: Path) -> None:
    path, opened = clip(tmp_path, frames=3), Opened()
    readers = Readers(opened)
    with readers.lease(path) as reader:
        readers.close()
        assert reader.frame(0).shape == (120, 160, 3)
    assert opened.are_closed() == [True]


def test_the_idle_readers_of_a_file_are_dropped(tmp_path: Path) -> None:
    path, other, opened = clip(tmp_path, frames=3), clip(tmp_path, "other.mp4", frames=3), Opened()
    readers = Readers(opened)
    with readers.lease(path), readers.lease(other):
        with readers.lease(path):
            pass
        readers.drop(path)
    assert opened.are_closed() == [False, False, True]
    with readers.lease(other) as again:
        assert again is opened.readers[1]
    readers.close()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(VideoError), Readers().lease(tmp_path / "none.mp4"):
        pass


def test_few_videos_are_opened_at_once(tmp_path: Path) -> None:
    """Reading an index takes a processor."""
    path, go = clip(tmp_path, frames=3), threading.Event()
    opening: list[Path] = []

    def open_video(path: Path) -> VideoReader:
        opening.append(path)
        assert go.wait(PATIENCE)
        return VideoReader(path)

    readers = Readers(open_video)

    def borrow() -> None:
        with readers.lease(path):
            pass

    threads = [threading.Thread(target=borrow) for _ in range(OPENING_AT_ONCE + 2)]
    for thread in threads:
        thread.start()
    while len(opening) < OPENING_AT_ONCE:
        time.sleep(0.002)
    time.sleep(0.05)  # the others reach the door; were it open, they would come in
    assert len(opening) == OPENING_AT_ONCE
    go.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert OPENING_AT_ONCE <= len(opening) <= len(threads)
    readers.close()
