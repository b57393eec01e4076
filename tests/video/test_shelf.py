"""Many videos of which one is open."""

import os

import numpy as np
import pytest

from backend.errors import FrameOutOfRange, VideoError
from backend.video.reader import VideoReader
from backend.video.shelf import VideoShelf
from support.clips import coded_frames, make_clip, read_code


@pytest.fixture
def clips(tmp_path):
    return [make_clip(tmp_path / f"{first}.mp4", coded_frames(8, first=first)) for first in (0, 100, 200)]


def test_frames_of_several_videos_in_turn_are_those_of_their_files(clips):
    with VideoShelf() as shelf:
        videos = [shelf.add(path) for path in clips]
        for index in (3, 0, 7):
            assert [read_code(video.frame(index)) for video in videos] == [index, 100 + index, 200 + index]
        assert [(index, read_code(image)) for index, image in videos[1].frames(6, 2, -2)] == [(6, 106), (4, 104)]


def test_it_tells_what_the_reader_tells(clips):
    with VideoShelf() as shelf, VideoReader(clips[0]) as reader:
        video = shelf.add(clips[0])
        shelf.add(clips[1])
        assert len(video) == len(reader)
        for name in ("path", "width", "height", "fps", "duration", "warnings"):
            assert getattr(video, name) == getattr(reader, name)
        assert np.array_equal(video.timestamps, reader.timestamps)
        assert video.identity() == reader.identity()


def test_one_is_open_at_a_time(clips, monkeypatch):
    open_now = set()
    started, ended = VideoReader.__init__, VideoReader.close
    monkeypatch.setattr(VideoReader, "__init__", lambda self, path: (open_now.add(self), started(self, path))[1])
    monkeypatch.setattr(VideoReader, "close", lambda self: (open_now.discard(self), ended(self))[1])
    with VideoShelf() as shelf:
        videos = [shelf.add(path) for path in clips]
        assert len(open_now) == 1
        videos[0].frame(2)
        videos[0].frame(3)
        assert len(open_now) == 1
    assert not open_now


def test_a_range_that_leaves_the_video_is_refused_at_once(clips):
    with VideoShelf() as shelf:
        video = shelf.add(clips[0])
        with pytest.raises(FrameOutOfRange):
            video.frames(5, 9)
        with pytest.raises(FrameOutOfRange):
            video.frame(8)


def test_a_file_that_changed_meanwhile_is_refused(clips):
    with VideoShelf() as shelf:
        video = shelf.add(clips[0])
        shelf.add(clips[1])
        os.replace(clips[2], clips[0])
        with pytest.raises(VideoError, match="has changed since it was read first"):
            video.frame(0)


def test_what_is_no_video_is_refused(tmp_path):
    with VideoShelf() as shelf, pytest.raises(VideoError, match="no video at"):
        shelf.add(tmp_path / "nothing.mp4")
