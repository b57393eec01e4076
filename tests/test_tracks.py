"""The values that all rooms speak in."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import PromptError
from backend.tracks import Mask, Observation, Point, Prompt, box_iou


def mask_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((60, 80), bool)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = True
    return mask


@pytest.mark.parametrize(
    ("boxes", "tight", "solid"),
    [
        ([(10, 20, 40, 50)], (10, 20, 40, 50), (10, 20, 40, 50)),
        ([(10, 20, 40, 50), (70, 5, 72, 7)], (10, 5, 72, 50), (10, 20, 40, 50)),  # 4 of 904 pixels: a speck
        ([(10, 20, 40, 50), (70, 5, 74, 9)], (10, 5, 74, 50), (10, 20, 40, 50)),  # 16 of 916, as far as it is large
        ([(10, 20, 40, 50), (70, 5, 76, 11)], (10, 5, 76, 50), (10, 5, 76, 50)),  # 36 of 936: a part
        ([(10, 20, 40, 50), (44, 48, 46, 50)], (10, 20, 46, 50), (10, 20, 46, 50)),  # 4 of 904, but near: a hoof
        ([(10, 20, 40, 50), (64, 30, 68, 34), (70, 30, 74, 34)], (10, 20, 74, 50), (10, 20, 40, 50)),
        # The same one is near to what is large enough for its distance.
        ([(10, 20, 40, 50), (58, 30, 64, 34), (70, 30, 74, 34)], (10, 20, 74, 50), (10, 20, 74, 50)),
        ([(10, 20, 70, 50), (72, 30, 73, 31)], (10, 20, 73, 50), (10, 20, 70, 50)),  # 1 of 1801: near, but dust
        ([(3, 4, 4, 5)], (3, 4, 4, 5), (3, 4, 4, 5)),
        ([(x, 0, x + 1, 1) for x in range(0, 80, 2)], (0, 0, 79, 1), (0, 0, 79, 1)),
        ([], None, None),
    ],
)
def test_boxes_of_a_mask(boxes, tight, solid) -> None:
    array = mask_of(*boxes)
    mask = Mask.from_array(array)
    assert np.array_equal(mask.array(), array)
    assert mask.area == array.sum()
    assert mask.box == tight
    assert mask.solid_box == solid
    assert Observation("a", 0, mask, 0.5).box == solid


def test_specks_alone_are_all_there_is() -> None:
    dust = [(x, y, x + 1, y + 1) for x in range(0, 80, 2) for y in range(0, 60, 2)]
    assert Mask.from_array(mask_of(*dust)).solid_box == (0, 0, 79, 59)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (20, 0, 30, 10), 0.0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ],
)
def test_box_iou(a, b, iou) -> None:
    assert box_iou(a, b) == pytest.approx(iou)


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ({}, "nothing is marked"),
        ({"points": (Point(3, 3, False),)}, "nothing is marked"),
        ({"box": (5, 5, 5, 20)}, "no size"),
        ({"box": (90, 5, 120, 20)}, "outside"),
        ({"box": (0, 0, float("nan"), 20)}, "not finite"),
        ({"points": (Point(-1, 3),)}, "outside"),
        ({"mask": np.zeros((60, 80), bool)}, "empty"),
        ({"mask": np.ones((10, 10), bool)}, "the mask is"),
    ],
)
def test_prompts_that_cannot_be_used(prompt, says) -> None:
    with pytest.raises(PromptError, match=says):
        Prompt("a", 3, **prompt).validate(80, 60)


def test_a_box_may_reach_beyond_the_frame() -> None:
    Prompt("a", 0, box=(-5, -5, 20, 20)).validate(80, 60)
