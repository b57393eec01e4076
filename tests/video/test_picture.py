from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from av.error import FFmpegError
from av.video.frame import VideoFrame

from backend.errors import VideoError
from backend.video.picture import PictureConverter
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip

RESERVED, YCGCO, NONE = 3, 8, 128


def stored(colorspace: int | None = None) -> VideoFrame:
    planes = np.full((72, 64), 90, np.uint8)
    planes[48:] = 140
    frame = VideoFrame.from_ndarray(planes, format="yuv420p")
    if colorspace is not None:
        frame.colorspace = colorspace
    return frame


@pytest.mark.parametrize("colorspace", [RESERVED, YCGCO, NONE])
def test_colours_that_cannot_be_are_taken_as_if_nothing_was_said_of_them(colorspace: int) -> None:
    found = PictureConverter(stored()).image(stored(colorspace))
    np.testing.assert_array_equal(found, PictureConverter(stored()).image(stored()))


def test_a_frame_that_cannot_be_converted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise FFmpegError(95, "Operation not supported")

    with VideoReader(make_clip(tmp_path / "a.mp4", coded_frames(3))) as reader:
        monkeypatch.setattr(PictureConverter, "_convert", refuse)
        with pytest.raises(VideoError, match=r"a\.mp4: frame 2 cannot be made an RGB image \(Operation not supported"):
            reader.frame(2)
