"""Boxes, masks, motion, similarity and assignment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.association.assignment import assign
from backend.association.geometry import ious
from backend.association.mask_overlap import moved_mask_ious, shared_parts
from backend.association.motion import Motion
from backend.association.similarity import bi_softmax, cosine
from backend.tracks import Mask, box_iou


def test_overlaps_of_all_boxes_with_all() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 50, (7, 2))
    boxes = np.concatenate([corners, corners + random.uniform(1, 50, (7, 2))], 1)
    expected = [[box_iou(tuple(a), tuple(b)) for b in boxes] for a in boxes[:3]]
    assert ious(boxes[:3], boxes) == pytest.approx(np.array(expected))
    empty = np.zeros((1, 4))
    assert ious(empty, empty).tolist() == [[0.0]]
    assert ious(np.zeros((0, 4)), boxes).shape == (0, 7)


def square(x: int, y: int, side: int = 10) -> Mask:
    mask = np.zeros((60, 80), bool)
    mask[y : y + side, x : x + side] = True
    return Mask.from_array(mask)


def test_overlaps_of_masks_with_others_that_have_moved() -> None:
    still, right = np.zeros(2), np.array([5.2, -0.4])
    found = moved_mask_ious([square(5, 0), None], [square(0, 0), square(0, 0), None], [still, right, still])
    assert found[0, :2] == pytest.approx([1 / 3, 1.0])
    assert np.isnan(found[1]).all()
    assert np.isnan(found[0, 2])


def test_what_moves_out_of_the_picture_is_gone() -> None:
    away = np.array([-100.0, 0.0])
    assert moved_mask_ious([square(0, 0)], [square(0, 0)], [away]).tolist() == [[0.0]]
    assert moved_mask_ious([square(0, 0, 0)], [square(0, 0, 0)], [np.zeros(2)]).tolist() == [[0.0]]


def test_what_part_of_masks_lies_in_one_another() -> None:
    found = shared_parts([square(0, 0), square(5, 0), None, square(0, 0, 0), square(0, 0, 20)])
    expected = np.zeros((5, 5))
    expected[0, 1] = expected[1, 0] = 0.5
    expected[0, 4] = expected[1, 4] = 1.0
    expected[4, 0] = expected[4, 1] = 0.25
    assert found.tolist() == expected.tolist()
    assert shared_parts([]).shape == (0, 0)


BOX = np.array([10.0, 20.0, 30.0, 50.0])


def test_what_was_seen_once_stays() -> None:
    assert Motion(BOX, 1.0).predict(5.0).tolist() == BOX.tolist()


def test_constant_velocity() -> None:
    step = np.array([3.0, -2.0, 3.0, -2.0])
    motion = Motion(BOX, 0.0)
    for frame in range(1, 6):
        motion = motion.seen(BOX + frame * step, frame / 25)
    np.testing.assert_allclose(motion.velocity, [75, -50])
    np.testing.assert_allclose(motion.predict(6 / 25), BOX + 6 * step, atol=0.1)
    # It has slowed down, and gone no farther than a second's way.
    assert motion.shift(100.0) == pytest.approx([75, -50])


def test_a_box_that_grows_about_its_middle_does_not_move() -> None:
    grown = BOX + np.array([-4.0, -4.0, 4.0, 4.0])
    motion = Motion(BOX, 0.0).seen(grown, 0.1)
    assert motion.predict(0.3).tolist() == grown.tolist()


def test_bi_softmax_is_sure_only_of_mutual_choices() -> None:
    found = bi_softmax(torch.tensor([[9.0, 0.0], [9.0, 0.0]]))
    assert found[:, 0] == pytest.approx([0.75, 0.75], abs=1e-3)
    found = bi_softmax(torch.tensor([[9.0, 0.0], [0.0, 9.0]]))
    assert found == pytest.approx(np.eye(2), abs=1e-3)


def test_cosines_heed_no_length() -> None:
    found = cosine(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([[5.0, 0.0], [-1.0, 0.0], [3.0, 3.0]]))
    assert found == pytest.approx(np.array([[1, -1, 0.5**0.5], [0, 0, 0]]))


@pytest.mark.parametrize(
    ("agreement", "expected"),
    [
        ([[0.9, 0.8], [0.8, 0.1]], [(0, 1), (1, 0)]),
        ([[0.9, 0.3], [0.3, 0.1]], [(0, 0)]),
        ([[0.4, 0.9]], [(0, 1)]),
        ([[0.4], [0.9]], [(1, 0)]),
        ([[0.4, 0.3]], []),
    ],
    ids=["both rather than the best one", "too little is nothing", "more columns", "more rows", "nothing"],
)
def test_the_best_assignment(agreement: list[list[float]], expected: list[tuple[int, int]]) -> None:
    assert assign(np.array(agreement), 0.4) == expected
