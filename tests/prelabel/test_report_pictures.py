from __future__ import annotations

import io
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from backend.errors import VideoError
from backend.prelabel.report_pictures import HEIGHT, MOST, WIDTH, chosen, contact_sheet
from support.tracked import square, tracked

SIZE = (800, 400)
TIMELINE = SimpleNamespace(shown=tuple(range(100)))


class Video:
    """Grey frames; one of them cannot be read."""

    width, height = SIZE

    def __init__(self, broken: int | None = None) -> None:
        self.broken = broken
        self.read: list[int] = []

    def frame(self, index: int):
        self.read.append(index)
        if index == self.broken:
            raise VideoError("it is damaged")
        return np.full((SIZE[1], SIZE[0], 3), 128, np.uint8)


def item(frames, name="a", **further):
    return tracked(name, {frame: square(SIZE, 100, 100, 200) for frame in frames}, **further)


def absent(frames):
    return tracked("b", dict.fromkeys(frames))


def colours(jpeg: bytes):
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def test_the_first_the_last_the_doubtful_and_others_between():
    found = chosen([item(range(10, 60), doubtful=range(30, 34))], TIMELINE)
    assert len(found) == MOST
    assert found[0] == 11 and found[-1] == 60  # Label Studio counts from 1
    assert {31, 32, 33, 34} & set(found)
    assert max(b - a for a, b in pairwise(found)) < 20


def test_of_few_frames_all_and_of_none_none():
    assert chosen([item([4, 5, 9])], TIMELINE) == [5, 6, 10]
    assert chosen([absent(range(5))], TIMELINE) == []
    assert chosen([], TIMELINE) == []
    assert contact_sheet(Video(), [absent(range(5))], TIMELINE) == ()


def test_the_most_doubtful_objects_have_their_frames_shown():
    sure = [item(range(100), name=f"sure{number}", score=0.9) for number in range(9)]
    poor = item(range(100), name="poor", doubtful=range(70, 90))
    bad = item(range(100), name="bad", doubtful=range(10, 40))
    fair = item(range(100), name="fair", doubtful=[50])
    found = chosen([*sure, fair, poor, bad], TIMELINE)
    assert any(70 <= position - 1 < 90 for position in found)
    assert any(10 <= position - 1 < 40 for position in found)


def test_frames_are_those_that_label_studio_shows():
    """At half the video's rate every other frame is shown, and position 3 is frame 4."""
    every_other = SimpleNamespace(shown=tuple(range(0, 100, 2)))
    video = Video()
    sheet = contact_sheet(video, [item([3, 4, 5, 6])], every_other)
    assert [one.frame for one in sheet] == [3, 4]
    assert video.read == [4, 6]


def test_pictures_are_small_and_have_the_object_drawn_in():
    (picture,) = contact_sheet(Video(), [item([7])], TIMELINE)
    image = Image.open(io.BytesIO(picture.jpeg))
    assert image.format == "JPEG" and image.size == (320, 160)
    assert image.width <= WIDTH and image.height <= HEIGHT
    pixels = colours(picture.jpeg)
    inside, outside = pixels[80, 80], pixels[150, 300]
    assert np.ptp(inside) > 40
    assert np.ptp(outside) < 15
    assert len(picture.jpeg) < 30_000


def test_doubt_is_that_of_the_most_doubtful_object():
    objects = [item([7, 8], score=0.9), item([7, 8], name="b", doubtful=[8])]
    assert [one.doubt for one in contact_sheet(Video(), objects, TIMELINE)] == pytest.approx([0.25, 0.75])


def test_what_is_smaller_than_a_pixel_of_the_picture_is_drawn():
    speck = tracked("a", {0: square((800, 400), 400, 200, 1)})
    (picture,) = contact_sheet(Video(), [speck], TIMELINE)
    assert np.ptp(colours(picture.jpeg)[78:83, 158:163], axis=2).max() > 40


def test_a_frame_that_cannot_be_read_is_left_out():
    sheet = contact_sheet(Video(broken=5), [item([4, 5, 9])], TIMELINE)
    assert [one.frame for one in sheet] == [5, 10]


def test_many_objects_and_long_labels():
    many = [item([7], name=str(number), label="a label\nof " + "very " * 50 + "many words") for number in range(20)]
    for objects in (many[:2], many):
        (picture,) = contact_sheet(Video(), objects, TIMELINE)
        assert Image.open(io.BytesIO(picture.jpeg)).size == (320, 160)
