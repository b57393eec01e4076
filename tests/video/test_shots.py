from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from backend.tracks import ImageArray
from backend.video.reader import VideoReader
from backend.video.shots import ShotDetector, Shots, Sketch, difference, find_cuts
from support.clips import SceneObject, make_clip, moving_boxes_scene


class Frames:
    """A list of images in a reader's place, which notes what is asked for."""

    def __init__(self, images: Sequence[ImageArray]) -> None:
        self.images = list(images)
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.images)

    def frame(self, index: int) -> ImageArray:
        self.asked.append(index)
        return self.images[index]


@cache
def _scene(seed: int, pan: tuple[float, float]) -> list[ImageArray]:
    return moving_boxes_scene(36, seed=seed, pan=pan).frames


def shot(seed: int, count: int = 20, pan: tuple[float, float] = (1.0, 0.5)) -> list[ImageArray]:
    return _scene(seed, pan)[:count]


def mix(a: ImageArray, b: ImageArray, share: float) -> ImageArray:
    return (a * (1 - share) + b * share).astype(np.uint8)


def brighter(image: ImageArray, gain: float, offset: float) -> ImageArray:
    return np.clip(image * gain + offset, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_cut_is_found_wherever_one_asks_from(seed: int) -> None:
    images = shot(seed) + shot(seed + 10)
    assert find_cuts(Frames(images)) == [20]
    assert find_cuts(Frames(images[::-1])) == [20]
    backwards = Shots(Frames(images))
    assert [index for index in range(39, 0, -1) if backwards.between(index, index - 1)] == [20]
    assert Shots(Frames(images)).between(0, 39)
    assert not Shots(Frames(images)).between(20, 39)
    assert not Shots(Frames(images)).between(7, 7)


def test_several_cuts() -> None:
    images = shot(0, 12) + shot(1, 9) + shot(2, 15) + shot(3, 7)
    assert find_cuts(Frames(images)) == [12, 21, 36]


@pytest.mark.parametrize(("at", "count"), [(1, 20), (2, 20), (19, 20), (18, 20)])
def test_a_cut_near_the_end_of_the_video(at: int, count: int) -> None:
    assert find_cuts(Frames(shot(3, at) + shot(4, count - at))) == [at]


@pytest.mark.parametrize("share", [0.2, 0.35, 0.5, 0.65, 0.8])
@pytest.mark.parametrize("seed", [1, 3, 4])
def test_a_blended_frame_makes_no_second_cut(seed: int, share: float) -> None:
    # What is left of a cut when the frame rate was converted, as in many clips of the web.
    before, after = shot(seed, 20), shot(seed + 10, 20)
    images = [*before[:-1], mix(before[-1], after[0], share), *after[1:]]
    cuts = find_cuts(Frames(images))
    assert len(cuts) == 1
    assert cuts[0] in ({19, 20} if share == 0.5 else {19} if share > 0.5 else {20})


@pytest.mark.parametrize("length", [8, 12, 16])
@pytest.mark.parametrize("seed", [1, 3, 4])
def test_a_dissolve_counts_in_its_middle(seed: int, length: int) -> None:
    before = shot(seed, 20 + length, (0.3, 0))
    after = [brighter(image, 0.6, 0) for image in shot(seed + 10, 20 + length, (-0.3, 0))]
    faded = [mix(before[20 + k], after[k], (k + 1) / (length + 1)) for k in range(length)]
    cuts = find_cuts(Frames([*before[:20], *faded, *after[length:]]))
    assert len(cuts) == 1
    assert abs(cuts[0] - (20 + length / 2)) <= length / 4 + 1


@pytest.mark.parametrize("pan", [(2, 1), (6, 0), (12, 4), (20, 0), (-24, 8), (0, 15)])
def test_a_pan_is_no_cut(pan: tuple[float, float]) -> None:
    assert find_cuts(Frames(shot(5, 30, pan))) == []


@pytest.mark.parametrize("first", range(1, 4))
def test_a_cut_within_a_pan(first: int) -> None:
    assert find_cuts(Frames(shot(first, 20, (12, 4)) + shot(first + 10, 20, (-10, 3)))) == [20]


def test_a_large_object_that_rushes_through_is_no_cut() -> None:
    near = SceneObject("lorry", (60, 90, 60), (90, 100), (-100.0, 10.0), (25.0, 0.0), shape="box", bounce=False)
    assert find_cuts(Frames(moving_boxes_scene(24, objects=[near]).frames)) == []


@pytest.mark.parametrize(("gain", "offset"), [(1.5, 40), (1.8, 90), (1.0, 120), (0.0, 255), (0.3, 0)])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length: int, gain: float, offset: float) -> None:
    images = shot(2, 30)
    for index in range(15, 15 + length):
        images[index] = brighter(images[index], gain, offset)
    assert find_cuts(Frames(images)) == []


def test_a_cut_in_a_flash_is_one() -> None:
    images = shot(4, 20) + shot(14, 20)
    images[20] = np.full_like(images[20], 255)
    cuts = find_cuts(Frames(images))
    assert len(cuts) == 1
    assert cuts[0] in (20, 21)


def test_slow_changes_of_light_are_no_cuts() -> None:
    images = [brighter(image, 1 + 0.03 * index, 0) for index, image in enumerate(shot(1, 30))]
    assert find_cuts(Frames(images)) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_videos(count: int) -> None:
    assert find_cuts(Frames(shot(0, count))) == []


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (61, 200), (300, 40)])
def test_any_size(size: tuple[int, int]) -> None:
    before = moving_boxes_scene(10, size=size, objects=(), seed=3).frames
    after = moving_boxes_scene(10, size=size, objects=(), seed=13).frames
    assert find_cuts(Frames(before + after)) == [10]


def test_the_detector_judges_two_images() -> None:
    detector = ShotDetector()
    one, other = shot(3), shot(13)
    assert detector.is_cut(one[0], other[0])
    assert detector.is_cut(other[0], one[0])
    assert not detector.is_cut(one[0], one[1])
    assert not detector.is_cut(one[0], one[0])
    assert ShotDetector(threshold=0.9).is_cut(one[0], other[0]) is False


def test_the_difference_is_symmetric_and_none_to_oneself() -> None:
    a, b = Sketch.of(shot(3)[0]), Sketch.of(shot(13)[0])
    assert difference(a, b) == pytest.approx(difference(b, a))
    assert difference(a, a) == 0


def test_frames_that_were_seen_are_not_read_again() -> None:
    frames = Frames(shot(0, 30))
    shots = Shots(frames)
    for index in range(30):
        shots.see(index, frames.images[index])
    for index in range(29):
        shots.between(index, index + 1)
    assert frames.asked == []


def test_each_frame_is_read_once_however_long_the_video() -> None:
    frames = Frames(shot(0, 30) * 5)
    shots = Shots(frames)
    for index in range(1, 150):
        shots.between(index - 1, index)
    assert sorted(frames.asked) == sorted(set(frames.asked))
    assert len(shots._sketches) <= 64


def test_through_a_file(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", shot(1) + shot(11), bframes=2)
    with VideoReader(path) as reader:
        assert find_cuts(reader) == [20]


def _sample_clip() -> Path | None:
    spec = importlib.util.find_spec("label_studio")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "core" / "static" / "samples" / "opossum_snow.mp4"
    return path if path.is_file() else None


@pytest.mark.skipif(_sample_clip() is None, reason="Label Studio is not installed")
def test_label_studios_sample_clip() -> None:
    path = _sample_clip()
    assert path is not None
    with VideoReader(path) as reader:
        assert (len(reader), reader.width, reader.height) == (1259, 1280, 720)
        assert reader.fps == pytest.approx(29.97, abs=0.001)
        shots = Shots(reader)
        # As seen by eye. Each cut has one blended frame. Around 945 to 957 a dissolve, whose middle is found.
        assert [index for index in range(150, 350) if shots.starts(index)] == [165, 249, 329]
        assert [index for index in range(500, 700) if shots.starts(index)] == [521, 603, 681]
        assert [index for index in range(930, 970) if shots.starts(index)] == [953]
