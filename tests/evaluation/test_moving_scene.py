from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from backend.evaluation.benchmark_cases import MOST_OBJECTS
from backend.evaluation.moving_scene import MOST, MovingScene
from backend.tracks import box_iou
from backend.video.reader import VideoReader


def test_nothing_leaves_and_nothing_is_covered() -> None:
    scene = MovingScene(MOST, 320, 180, 160)
    for frame in range(scene.frames):
        boxes = [scene.box(number, frame) for number in range(MOST)]
        assert all(0 <= x0 < x1 <= 320 and 0 <= y0 < y1 <= 180 for x0, y0, x1, y1 in boxes)
        assert not any(box_iou(a, b) for a, b in combinations(boxes, 2))


def test_objects_move_but_not_far_at_once() -> None:
    scene = MovingScene(5, 320, 180, 60)
    for number in range(5):
        lefts = np.array([scene.box(number, frame)[0] for frame in range(60)])
        assert np.ptp(lefts) > 15
        assert np.abs(np.diff(lefts)).max() < 3


def test_an_object_is_the_same_however_many_there_are() -> None:
    few, many = MovingScene(2, 320, 180, 9), MovingScene(20, 320, 180, 9)
    assert few.names() == many.names()[:2]
    assert [few.box(1, frame) for frame in range(9)] == [many.box(1, frame) for frame in range(9)]


def test_the_picture_shows_the_objects_in_their_boxes() -> None:
    count, frame = 12, 3
    with_objects = list(MovingScene(count, 320, 180, 4).render())[frame].astype(int)
    # One object alone is drawn before the same background.
    alone = list(MovingScene(1, 320, 180, 4).render())[frame].astype(int)
    scene = MovingScene(count, 320, 180, 4)
    differs = np.abs(with_objects - alone).max(axis=2) > 40
    for number in range(1, count):
        x0, y0, x1, y1 = (round(side) for side in scene.box(number, frame))
        inside = differs[y0:y1, x0:x1]
        assert inside.mean() > 0.6  # an ellipse fills 79 % of its box
        differs[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = False
    assert differs.mean() < 0.01


def test_a_scene_is_the_same_each_time() -> None:
    scene = MovingScene(3, 160, 90, 3)
    for first, second in zip(scene.render(), scene.render(), strict=True):
        assert np.array_equal(first, second)


def test_a_file_has_its_frames(tmp_path: Path) -> None:
    scene = MovingScene(2, 320, 180, 7)
    scene.write(tmp_path / "clip.mp4")
    with VideoReader(tmp_path / "clip.mp4") as video:
        assert (len(video), video.width, video.height, video.fps) == (7, 320, 180, 30)
        shown = video.frame(6).astype(int)
    assert np.abs(shown - list(scene.render())[6]).mean() < 6


@pytest.mark.parametrize("objects", [0, MOST + 1])
def test_more_objects_than_there_is_room_for(objects: int) -> None:
    with pytest.raises(ValueError, match=f"1 to {MOST}"):
        MovingScene(objects, 320, 180, 3)


def test_the_command_offers_as_many_as_there_is_room_for() -> None:
    assert MOST_OBJECTS == MOST
