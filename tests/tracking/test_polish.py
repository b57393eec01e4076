from __future__ import annotations

import numpy as np
import pytest

from backend.tracking.polish import polish
from backend.tracking.refit import ious


def moving(count: int, seed: int | None = None) -> np.ndarray:
    """(count, 4) boxes of 40 x 20 that move to the right, with or without noise on every side."""
    boxes = np.array([20.0, 30.0, 60.0, 50.0]) + np.arange(count)[:, None] * np.array([1.0, 0, 1, 0])
    return boxes if seed is None else boxes + np.random.default_rng(seed).normal(0, 0.4, boxes.shape)


def drawn(knots: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    return np.stack([np.interp(np.arange(count), knots, values[:, side]) for side in range(4)], axis=1)


NOTHING = np.zeros(41, bool)


def test_knots_that_lie_aside_come_to_lie_on_the_line() -> None:
    boxes, knots = moving(41), np.array([0, 20, 40])
    aside = boxes[knots] + np.array([0.5, 0.5, 0.5, 0.5])
    assert polish(knots, aside, boxes, bound=0.9, free=NOTHING) == pytest.approx(boxes[knots])


@pytest.mark.parametrize("seed", range(5))
def test_noisy_boxes_are_met_better_and_none_worse_than_the_bound(seed) -> None:
    boxes, knots = moving(41, seed), np.array([0, 13, 31])
    start = moving(41)[knots] + 0.3
    bound = float(ious(drawn(knots, start, 41), boxes).min())
    met = ious(drawn(knots, polish(knots, start, boxes, bound=bound, free=NOTHING), 41), boxes)
    assert met.min() >= bound
    assert met.mean() > ious(drawn(knots, start, 41), boxes).mean() + 0.005


def test_a_knot_on_a_free_position_stays_and_its_frame_does_not_count() -> None:
    boxes, knots = moving(41), np.array([0, 20, 40])
    values = boxes[knots] + 0.5
    values[1] += 30
    free = NOTHING.copy()
    free[20] = True
    found = polish(knots, values, boxes, bound=0.0, free=free)
    assert np.array_equal(found[1], values[1])
    # The others draw half of each gap: the knot that is fixed draws the rest away from the dense boxes.
    assert ious(drawn(knots, found, 41), boxes).sum() > ious(drawn(knots, values, 41), boxes).sum()


def test_a_knot_goes_only_as_far_as_the_bound_lets_it() -> None:
    """Most frames want the box further to the right; the one at the end forbids it."""
    boxes = np.tile([20.0, 30.0, 60.0, 50.0], (41, 1))
    boxes[:40, [0, 2]] += 3
    knots, start = np.array([0]), boxes[40:]
    assert polish(knots, start, boxes, bound=0.0, free=NOTHING) == pytest.approx(boxes[:1])
    found = polish(knots, start, boxes, bound=0.9, free=NOTHING)
    assert 21.5 <= found[0, 0] < 23
    assert ious(found, boxes[40:]) >= 0.9


def test_no_knot_leaves_the_range_of_the_dense_boxes() -> None:
    boxes = moving(41)
    boxes[20:, 0] = boxes[20:, 2] - 10
    knots = np.array([0, 40])
    found = polish(knots, boxes[knots], boxes, bound=0.0, free=NOTHING)
    assert (found >= boxes.min(axis=0)).all()
    assert (found <= boxes.max(axis=0)).all()


def test_nothing_is_known_of_a_track_that_is_free_everywhere() -> None:
    boxes, knots = moving(41), np.array([0, 40])
    values = boxes[knots] + 1
    assert np.array_equal(polish(knots, values, boxes, bound=0.9, free=~NOTHING), values)


def test_the_boxes_that_are_given_stay_as_they_are() -> None:
    boxes, knots = moving(41), np.array([0, 40])
    values = boxes[knots] + 1
    polish(knots, values, boxes, bound=0.0, free=NOTHING)
    assert np.array_equal(values, boxes[knots] + 1)
