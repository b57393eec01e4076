"""The street scene: its boxes are where its pixels are."""

import itertools

import numpy as np
import pytest

from backend.demo.clip import STREET, Actor, Scene
from backend.tracks import box_iou
from backend.video.reader import VideoReader

SMALL = Scene(STREET.actors, frames=6)


@pytest.fixture(scope="module")
def frames():
    return list(SMALL.render())


def test_boxes_hold_what_differs_from_the_empty_street(frames):
    empty = next(Scene((), frames=1).render())[0].astype(int)
    for image, boxes in frames:
        differs = np.abs(image.astype(int) - empty).max(axis=2) > 60
        covered = np.zeros(differs.shape, bool)
        for x0, y0, x1, y1 in boxes.values():
            box = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
            assert differs[box].mean() > 0.3
            covered[box] = True
        assert (differs & ~covered).mean() < 0.001  # a little shadow


@pytest.fixture(scope="module")
def boxes():
    return STREET.true_boxes()


def test_everything_moves_and_stays_in_the_frame(boxes):
    assert set(boxes) == {"car", "person"}
    for track in boxes.values():
        assert len(track) == STREET.frames
        assert box_iou(track[0], track[-1]) == 0
        for (x0, y0, x1, y1), after in itertools.pairwise(track):
            assert 0 <= x0 < x1 <= STREET.width and 0 <= y0 < y1 <= STREET.height
            assert box_iou((x0, y0, x1, y1), after) > 0.6


def test_actors_never_hide_one_another(boxes):
    assert max(box_iou(a, b) for a, b in zip(boxes["car"], boxes["person"], strict=True)) == 0


def test_rendering_is_repeatable(frames):
    again = list(SMALL.render())
    assert all(np.array_equal(a[0], b[0]) and a[1] == b[1] for a, b in zip(frames, again, strict=True))


@pytest.mark.parametrize(("pace", "middle"), [(1.0, 50.0), (2.0, 25.0), (0.5, 70.7)])
def test_pace_bends_the_motion(pace, middle):
    actor = Actor("a", "car", (1, 2, 3), (0, 10), (100, 20), scale=(1, 2), pace=pace)
    assert actor.at(0) == (0, 10, 1)
    assert actor.at(1) == (100, 20, 2)
    assert actor.at(0.5)[0] == pytest.approx(middle, abs=0.1)


def test_the_file_is_what_was_rendered(tmp_path, frames):
    SMALL.write(tmp_path / "clip.mp4")
    with VideoReader(tmp_path / "clip.mp4") as video:
        assert (len(video), video.width, video.height) == (6, 640, 360)
        assert video.fps == pytest.approx(15)
        for index, (image, _) in enumerate(frames):
            assert np.abs(video.frame(index).astype(int) - image).mean() < 6
