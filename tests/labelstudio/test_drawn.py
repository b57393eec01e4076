"""On which decoded frames a region's boxes are, and which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk._extensions.label_studio_tools.postprocessing.video import extract_key_frames

from backend.labelstudio.drawn import clip, draw
from backend.video.clock import FrameClock
from support.exports import keyframe, video_region

SIZE = (200, 100)
TEN = FrameClock(np.arange(20) / 10, 2.0, 10)


def lefts(items: list[dict], clock: FrameClock = TEN) -> dict[int, float]:
    """The left edges in percent, by decode index."""
    return {index: round(box[0] / SIZE[0] * 100, 6) for index, box in draw(items, clock, SIZE).boxes.items()}


def test_straight_lines_between_keyframes_and_the_last_one_to_the_end():
    assert lefts([keyframe(3, x=10), keyframe(7, x=18), keyframe(18, x=40)]) == {
        2: 10, 3: 12, 4: 14, 5: 16, **{index: 18 + 2 * (index - 6) for index in range(6, 17)}, 17: 40, 18: 40, 19: 40
    }  # fmt: skip


def test_a_disabled_keyframe_shows_and_hides_what_follows():
    items = [keyframe(1, x=10), keyframe(4, x=13, enabled=False), keyframe(8, x=50), keyframe(10, enabled=False)]
    assert lefts(items) == {0: 10, 1: 11, 2: 12, 3: 13, 7: 50, 8: 30, 9: 10}


def test_a_region_without_keyframes_is_nowhere():
    assert draw([], TEN, SIZE).boxes == {}


def test_keyframes_before_and_after_the_timeline_pull_at_what_is_between():
    drawn = draw([keyframe(-1, x=8), keyframe(31, x=40)], TEN, SIZE)
    assert drawn.boxes[0] == pytest.approx((20, 10, 60, 30))
    assert sorted(drawn.boxes) == list(range(20))
    assert drawn.beyond == 31


def test_the_one_frame_too_many_that_label_studio_makes_counts_as_the_last():
    drawn = draw([keyframe(21, x=30)], TEN, SIZE)
    assert list(drawn.boxes) == [19]
    assert drawn.beyond is None


def test_boxes_reach_beyond_the_frame_and_those_outside_are_absent():
    items = [keyframe(1, x=-30, y=-10, width=20, height=50), keyframe(11, x=20, y=-10, width=20, height=50)]
    boxes = draw(items, TEN, SIZE).boxes
    assert sorted(boxes) == list(range(3, 20))  # it ends at -10 + 5 * index percent
    assert boxes[3] == pytest.approx((-30, -10, 10, 40))
    assert boxes[10] == pytest.approx((40, -10, 80, 40))


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((-5, -5, 20, 20), (0, 0, 20, 20)),
        ((150, 80, 210, 130), (150, 80, 200, 100)),
        ((10, 10, 10, 20), None),
        ((10, 20, 20, 20), None),
        ((20, 20, 10, 10), None),
        ((200, 0, 210, 10), None),
        ((-5, 0, 0, 10), None),
        ((10, 10, 10.004, 20), None),
    ],
)
def test_what_of_a_box_is_inside(box, inside):
    assert clip(box, SIZE) == inside


def test_a_rotated_box_is_the_upright_one_around_it():
    """A quarter turn clockwise about (100, 20) of 40 x 10 pixels; then the shortest arc, from 350 over 0 degrees."""
    box = {"x": 50, "y": 20, "width": 20, "height": 10}
    drawn = draw([keyframe(1, rotation=90, **box)], TEN, SIZE)
    assert drawn.rotated
    assert drawn.boxes[5] == pytest.approx((90, 20, 100, 60))
    turning = draw([keyframe(1, rotation=350, **box), keyframe(3, rotation=10, **box, enabled=False)], TEN, SIZE)
    assert turning.boxes[1] == pytest.approx((100, 20, 140, 30))
    assert not draw([keyframe(1, rotation=360, **box)], TEN, SIZE).rotated


def test_at_a_rate_above_the_files_the_first_of_several_frames_counts_but_a_keyframe_before_it():
    """Ten frames a second, counted as 30: each is shown three times, as Label Studio's frames 1, 2, 3; 4, 5, 6; ..."""
    clock = FrameClock(np.arange(20) / 10, 2.0, 30)
    assert clock.shown()[:7].tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert lefts([keyframe(1, x=10), keyframe(11, x=20, enabled=False)], clock) == {0: 10, 1: 13, 2: 16, 3: 20}
    # It begins on the third showing of frame 1, and ends on the second of frame 2.
    assert lefts([keyframe(6, x=10), keyframe(8, x=20, enabled=False)], clock) == {1: 10, 2: 20}


def test_at_a_rate_below_the_files_frames_that_are_never_shown_have_no_box():
    clock = FrameClock(np.arange(20) / 20, 1.0, 10)
    assert lefts([keyframe(2, x=10), keyframe(4, x=20, enabled=False)], clock) == {2: 10, 4: 15, 6: 20}


def test_at_a_variable_rate_boxes_are_placed_by_time():
    """Frames at 0, 0.1, 0.2, 0.6, 0.7 s: Label Studio's frames 3 to 6, at 0.2 to 0.5 s, show the third one."""
    clock = FrameClock([0, 0.1, 0.2, 0.6, 0.7], 0.8, 10)
    assert lefts([keyframe(1, x=10), keyframe(8, x=17)], clock) == {0: 10, 1: 11, 2: 12, 3: 16, 4: 17}


@st.composite
def sequences(draw):
    frames = sorted(draw(st.sets(st.integers(1, 20), min_size=1, max_size=6)))
    numbers = st.integers(0, 40)
    return [
        keyframe(frame, x=draw(numbers), y=draw(numbers), width=20, height=20, enabled=draw(st.booleans()))
        for frame in frames
    ]


@given(sequences())
def test_the_same_boxes_as_the_sdk_interpolates(items):
    """Label Studio's own export of interpolated keyframes: every frame a keyframe, and read the same."""
    (region,) = extract_key_frames([video_region("a", items, framesCount=20, duration=2.0)])
    dense = region["value"]["sequence"]
    assert lefts(dense) == pytest.approx(lefts(items))
