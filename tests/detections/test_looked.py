from __future__ import annotations

from backend.detections.looked import with_empty_frames
from backend.tracks import Detection

ONE = Detection((0, 0, 4, 4), 0.9)


def looked(*frames: int) -> list[int]:
    found = with_empty_frames({frame: [ONE] for frame in frames})
    assert all(found[frame] == ([ONE] if frame in frames else []) for frame in found)
    return list(found)


def test_a_detector_that_looked_at_each_frame_found_nothing_on_those_between() -> None:
    assert looked(2, 3, 5, 6, 9) == [2, 3, 4, 5, 6, 7, 8, 9]


def test_a_detector_that_looked_at_every_third_frame() -> None:
    assert looked(1, 4, 10, 13) == [1, 4, 7, 10, 13]


def test_of_chosen_frames_the_others_say_nothing() -> None:
    assert looked(0, 7, 12, 100) == [0, 7, 12, 100]


def test_one_frame_and_none() -> None:
    assert looked(5) == [5]
    assert looked() == []
