"""Videos of a load test: what is drawn is where the truth has it, and nowhere else."""

from __future__ import annotations

import pytest

from backend.evaluation.load_videos import make_videos, targets
from backend.evaluation.moving_scene import FPS
from backend.video.reader import VideoReader


def test_the_file_shows_the_scene_from_its_first_frame_on(tmp_path):
    video = make_videos(3, 4, 160, 120)[1]
    assert (video.first, video.frames) == (25, 4)
    video.write(tmp_path)
    with VideoReader(tmp_path / video.name) as reader:
        assert (len(reader), reader.width, reader.height, reader.fps) == (4, 160, 120, pytest.approx(FPS))
        shown = reader.frame(2).astype(float)
    drawn = list(video.scene.render())
    assert abs(shown - drawn[27]).mean() < min(abs(shown - drawn[26]).mean(), abs(shown - drawn[2]).mean())


def test_no_object_is_where_another_is():
    found = targets(make_videos(5, 8, 854, 480))
    assert len(found) == 60
    for target in found:
        track = {frame: target.box(frame) for frame in range(8)}
        assert target.fit(track) == pytest.approx(1)
        assert max(other.fit(track) for other in found if other != target) < 0.6


def test_frames_that_a_video_does_not_have_fit_nothing():
    target = targets(make_videos(1, 4, 160, 120))[0]
    assert target.fit({0: target.box(0), 4: target.box(4)}) == pytest.approx(0.5)
    assert target.fit({}) == 0
