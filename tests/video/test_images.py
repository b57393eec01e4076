from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import FrameOutOfRange, VideoError
from backend.video.images import ImageSequence, SparseImages
from support.clips import code_frame, read_code


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number:05d}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(code_frame(number)).save(path)
    return paths


def test_frames_come_in_the_order_of_the_files(images: list[Path]) -> None:
    sequence = ImageSequence(images[::-1], fps=10)
    assert (len(sequence), sequence.width, sequence.height) == (4, 160, 120)
    assert [(index, read_code(image)) for index, image in sequence.frames(3, -1, -2)] == [(3, 0), (1, 2)]
    assert sequence.timestamps.tolist() == [0.0, 0.1, 0.2, 0.3]
    assert sequence.duration == 0.4


def test_a_frame_is_the_callers_own(images: list[Path]) -> None:
    sequence = ImageSequence(images)
    sequence.frame(1)[:] = 0
    assert read_code(sequence.frame(1)) == 1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.tiff"
    Image.new("RGB", (8, 6), (204, 204, 204)).convert(mode).save(path)
    image = ImageSequence([path]).frame(0)
    assert image.shape == (6, 8, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - 204).max() <= 8


def test_a_cameras_rotation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    picture = Image.new("RGB", (40, 20))
    picture.paste((255, 255, 255), (0, 0, 20, 20))
    picture.save(path, exif=exif, quality=95)
    sequence = ImageSequence([path])
    assert (sequence.width, sequence.height) == (20, 40)
    assert sequence.frame(0)[:16].min() > 200
    assert sequence.frame(0)[24:].max() < 50


def test_no_images_are_no_video() -> None:
    with pytest.raises(VideoError, match="no images"):
        ImageSequence([])


@pytest.mark.parametrize("index", [-1, 4])
def test_a_frame_beyond_the_images_is_refused(images: list[Path], index: int) -> None:
    sequence = ImageSequence(images)
    with pytest.raises(FrameOutOfRange, match=f"no frame {index}"):
        sequence.frame(index)
    with pytest.raises(FrameOutOfRange, match=f"no frame {index}"):
        sequence.frames(min(index, 0), max(index + 1, 1))


def test_another_size_is_refused_by_name(images: list[Path]) -> None:
    Image.fromarray(code_frame(2, 100, 80)).save(images[2])
    sequence = ImageSequence(images)
    with pytest.raises(VideoError, match=r"00002.png is 100 x 80 pixels, the first image 160 x 120"):
        sequence.frame(2)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_image_is_refused_by_name(images: list[Path], content: bytes) -> None:
    sequence = ImageSequence(images)
    images[1].write_bytes(content)
    with pytest.raises(VideoError, match=r"00001.png cannot be read"):
        sequence.frame(1)


def test_a_damaged_chunk_is_refused_by_name(images: list[Path]) -> None:
    sequence = ImageSequence(images)
    content = images[1].read_bytes()
    data = content.index(b"IDAT") - 4
    images[1].write_bytes(content[:data] + b"\0\0\0\5IDAT" + content[data + 8 :])
    with pytest.raises(VideoError, match=r"00001.png cannot be read"):
        sequence.frame(1)


def test_an_absurd_size_is_refused_before_it_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 20)).save(path)
    with pytest.raises(VideoError, match="too large"):
        ImageSequence([path])


def test_identity_changes_with_a_file_and_asks_for_all(images: list[Path]) -> None:
    sequence = ImageSequence(images)
    before = sequence.identity()
    assert ImageSequence(images).identity() == before
    assert ImageSequence(images[:3]).identity() != before
    os.utime(images[3], ns=(1, 1))
    assert sequence.identity() != before
    images[3].unlink()
    with pytest.raises(VideoError, match=r"00003.png is gone"):
        sequence.identity()


def test_some_images_of_a_video_are_known_by_its_frames(images: list[Path]) -> None:
    sparse = SparseImages(ImageSequence(images[:3]), [4, 7, 20])
    assert (len(sparse), sparse.width, sparse.height, sparse.path) == (21, 160, 120, images[0].parent)
    assert [read_code(sparse.frame(index)) for index in (20, 4, 7)] == [2, 0, 1]
    with pytest.raises(FrameOutOfRange, match="has no image of frame 5"):
        sparse.frame(5)
