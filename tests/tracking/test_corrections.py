from __future__ import annotations

import pytest

from backend.tracking.corrections import ANYWHERE, REACH, carry_margins
from backend.tracks import Box

SIZE = (200, 100)


def moving(count: int, step: float = 2.0) -> dict[int, Box | None]:
    return {frame: (20 + step * frame, 30.0, 60 + step * frame, 50.0) for frame in range(count)}


def grown(box: Box, left: float, top: float, right: float, bottom: float) -> Box:
    """``box`` with each side moved outwards by so many pixels."""
    return (box[0] - left, box[1] - top, box[2] + right, box[3] + bottom)


def test_without_a_human_nothing_changes() -> None:
    boxes = moving(5)
    assert carry_margins(boxes, {}, SIZE) == boxes


def test_a_box_that_fits_changes_nothing() -> None:
    boxes = moving(5)
    assert carry_margins(boxes, {2: boxes[2]}, SIZE) == boxes


def test_a_margin_is_carried_to_every_frame() -> None:
    boxes = moving(10)
    found = carry_margins(boxes, {0: grown(boxes[0], 4, 3, 2, 1)}, SIZE)
    assert all(found[frame] == pytest.approx(grown(box, 4, 3, 2, 1)) for frame, box in boxes.items())


def test_a_shadow_that_the_human_left_out_is_left_out_everywhere() -> None:
    boxes = moving(10)
    found = carry_margins(boxes, {3: grown(boxes[3], 0, 0, 0, -6)}, SIZE)
    assert found[9] == pytest.approx(grown(boxes[9], 0, 0, 0, -6))


def test_margins_grow_with_the_object() -> None:
    boxes = {0: (80.0, 40.0, 100.0, 50.0), 1: (60.0, 30.0, 100.0, 50.0)}
    found = carry_margins(boxes, {0: (78.0, 39.0, 102.0, 51.0)}, SIZE)
    assert found[1] == pytest.approx((56.0, 28.0, 104.0, 52.0))


def test_the_nearer_keyframe_counts_for_more() -> None:
    boxes = moving(61, step=0)
    near, far = grown(boxes[0], 4, 0, 0, 0), grown(boxes[60], 0, 0, 4, 0)
    found = carry_margins(boxes, {0: near, 60: far}, SIZE)
    margins = [boxes[frame][0] - found[frame][0] for frame in range(61)]
    assert margins == sorted(margins, reverse=True)
    assert margins[30] == pytest.approx(2.0)
    assert margins[0] > 3.7
    assert margins[60] < 0.3


def test_one_odd_keyframe_is_outvoted_where_others_are_as_near() -> None:
    boxes = moving(5, step=0)
    human = {frame: grown(boxes[frame], 2, 2, 2, 2) for frame in (0, 1, 3, 4)} | {2: grown(boxes[2], 12, 2, 2, 2)}
    found = carry_margins(boxes, human, SIZE)
    assert boxes[2][0] - found[2][0] < 5


def test_a_mask_that_misses_half_of_the_object_says_little_of_margins() -> None:
    boxes = moving(21, step=0)
    human = {0: grown(boxes[0], 2, 2, 2, 2), 10: grown(boxes[10], 60, 0, 0, 0)}
    found = carry_margins(boxes, human, SIZE)
    assert boxes[10][0] - found[10][0] < 15
    assert boxes[2][0] - found[2][0] < 5


def test_an_absent_object_stays_absent_and_its_keyframe_says_nothing() -> None:
    boxes = moving(4) | {2: None}
    assert carry_margins(boxes, {2: (20.0, 30.0, 60.0, 50.0)}, SIZE) == boxes


def test_what_is_carried_stays_within_the_frame() -> None:
    boxes = {0: (50.0, 50.0, 70.0, 70.0), 1: (175.0, 75.0, 195.0, 95.0)}
    found = carry_margins(boxes, {0: grown(boxes[0], 10, 10, 10, 10)}, SIZE)
    assert found[1] == pytest.approx((165.0, 65.0, 200.0, 100.0))


def test_a_side_that_the_frame_cuts_off_says_nothing_of_it() -> None:
    """Half out of the picture, mask and box end alike at its edge; the other keyframe alone knows the margin."""
    boxes = {0: (0.0, 30.0, 20.0, 50.0), 1: (50.0, 30.0, 90.0, 50.0), 2: (52.0, 30.0, 92.0, 50.0)}
    human = {0: (0.0, 30.0, 20.0, 50.0), 1: grown(boxes[1], 4, 0, 0, 0)}
    assert carry_margins(boxes, human, SIZE)[2][0] == pytest.approx(48.0)


def test_a_side_on_the_edge_is_not_drawn_inwards() -> None:
    boxes = {0: (50.0, 30.0, 90.0, 50.0), 1: (0.0, 30.0, 40.0, 50.0)}
    found = carry_margins(boxes, {0: grown(boxes[0], -4, 0, 0, 0)}, SIZE)
    assert found[1] == pytest.approx(boxes[1])


def test_margins_that_would_leave_nothing_are_not_used() -> None:
    boxes = {0: (0.5, 0.5, 100.0, 99.0), 1: (90.0, 40.0, 92.0, 42.0)}
    found = carry_margins(boxes, {0: (49.0, 49.0, 51.0, 51.0)}, SIZE)
    assert found[1] == pytest.approx(boxes[1])


def test_weights_fall_to_a_third_over_the_reach() -> None:
    frames = round(REACH)
    boxes = moving(frames + 1, step=0)
    found = carry_margins(boxes, {0: grown(boxes[0], 0, 0, 8, 0), frames: grown(boxes[frames], 8, 0, 0, 0)}, SIZE)
    near, far = 1 + ANYWHERE, 1 / 2.71828 + ANYWHERE
    assert boxes[0][0] - found[0][0] == pytest.approx(8 * far / (near + far), rel=1e-3)


def test_far_from_all_keyframes_the_nearest_alone_does_not_decide() -> None:
    boxes = moving(201, step=0)
    human = {0: grown(boxes[0], 0, 0, 0, 0), 40: grown(boxes[40], 2, 2, 2, 2)}
    found = carry_margins(boxes, human, SIZE)
    assert boxes[200][0] - found[200][0] < 1.1
