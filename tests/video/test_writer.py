from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from backend.errors import VideoError
from backend.video.reader import VideoReader
from backend.video.writer import VideoWriter
from support.clips import code_frame, read_code


@pytest.mark.parametrize(("width", "height"), [(160, 120), (161, 120), (160, 121), (161, 121), (1, 1)])
@pytest.mark.parametrize("fps", [12.5, 30000 / 1001])
def test_what_is_written_can_be_read(tmp_path: Path, width: int, height: int, fps: float) -> None:
    path = tmp_path / "out.mp4"
    images = [code_frame(number, width, height) for number in range(12)]
    with VideoWriter(path, width, height, fps) as writer:
        for image in images:
            writer.write(image)
        assert not path.exists()
    with VideoReader(path) as reader:
        assert len(reader) == 12
        assert reader.fps == pytest.approx(fps, rel=1e-3)
        assert reader.timestamps[0] == 0
        # Padded to even sizes on the right and below: coordinates stay.
        assert (reader.width, reader.height) == (width + width % 2, height + height % 2)
        if width > 1:
            for index, image in reader.frames(0, 12):
                assert read_code(image[:height, :width]) == index
                assert np.abs(image[:height, :width].astype(int) - images[index]).mean() < 6
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_it_is_what_browsers_play(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("color", [(200, 40, 30), (30, 180, 60), (40, 60, 210), (255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize("height", [120, 720])
def test_colours_come_back(tmp_path: Path, height: int, color: tuple[int, int, int]) -> None:
    image = np.full((height, 160, 3), color, np.uint8)
    with VideoWriter(tmp_path / "out.mp4", 160, height, 25) as writer:
        writer.write(image)
    with VideoReader(tmp_path / "out.mp4") as reader:
        assert np.abs(reader.frame(0).astype(int) - image).max() <= 5


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 64, 48, 25) as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8))
        raise ZeroDivisionError
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no frame was written"), VideoWriter(tmp_path / "out.mp4", 64, 48, 25):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "image",
    [np.zeros((48, 65, 3), np.uint8), np.zeros((64, 48, 3), np.uint8), np.zeros((48, 64), np.uint8),
     np.zeros((48, 64, 3), np.float32)],
)  # fmt: skip
def test_an_image_of_another_kind(tmp_path: Path, image: np.ndarray) -> None:
    with (
        pytest.raises(VideoError, match="takes 64 x 48 RGB images"),
        VideoWriter(tmp_path / "o.mp4", 64, 48, 25) as out,
    ):
        out.write(image)


@pytest.mark.parametrize(
    ("width", "height", "fps"), [(0, 48, 25), (64, -1, 25), (64, 48, 0), (64, 48, -1), (64, 48, float("nan"))]
)
def test_a_video_that_cannot_be(tmp_path: Path, width: int, height: int, fps: float) -> None:
    with pytest.raises(VideoError, match="cannot write a video of"):
        VideoWriter(tmp_path / "out.mp4", width, height, fps)


def test_no_such_directory(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"cannot write .*missing"):
        VideoWriter(tmp_path / "missing" / "out.mp4", 64, 48, 25)


def test_a_closed_writer_says_so(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "out.mp4", 64, 48, 25)
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.close()
    writer.close()
    with pytest.raises(VideoError, match="is closed"):
        writer.write(np.zeros((48, 64, 3), np.uint8))
