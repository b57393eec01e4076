from __future__ import annotations

import numpy as np
import pytest

from backend.errors import FrameOutOfRange
from backend.video.reader import VideoReader
from backend.video.span import FrameSpan
from support.clips import make_clip, moving_boxes_scene


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoReader:
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return VideoReader(make_clip(path, moving_boxes_scene(12).frames))


def test_its_frames_are_those_of_the_whole_counted_from_0(video: VideoReader) -> None:
    part = FrameSpan(video, range(4, 9))
    assert len(part) == 5
    assert np.array_equal(part.frame(0), video.frame(4))
    assert [index for index, _ in part.frames(4, -1, -2)] == [4, 2, 0]
    assert all(np.array_equal(image, video.frame(4 + index)) for index, image in part.frames(0, 5))
    assert (part.width, part.height, part.fps, part.path) == (video.width, video.height, video.fps, video.path)
    assert part.timestamps.tolist() == video.timestamps[4:9].tolist()
    assert part.duration == pytest.approx(5 / video.fps)
    assert part.warnings == video.warnings


def test_parts_are_told_apart(video: VideoReader) -> None:
    spans = [range(5), range(4, 9), range(9)]
    assert len({FrameSpan(video, span).identity() for span in spans} | {video.identity()}) == 4
    assert FrameSpan(video, range(4, 9)).identity() == FrameSpan(video, range(4, 9)).identity()


@pytest.mark.parametrize("index", [-1, 5])
def test_it_has_no_other_frames(video: VideoReader, index: int) -> None:
    part = FrameSpan(video, range(4, 9))
    with pytest.raises(FrameOutOfRange, match="it has 5"):
        part.frame(index)
    with pytest.raises(FrameOutOfRange, match="it has 5"):
        part.frames(index, index + 1)


@pytest.mark.parametrize("frames", [range(0), range(4, 13), range(-1, 4), range(0, 8, 2)])
def test_the_whole_must_have_it(video: VideoReader, frames: range) -> None:
    with pytest.raises(FrameOutOfRange, match="12 frames"):
        FrameSpan(video, frames)
