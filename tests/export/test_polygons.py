from __future__ import annotations

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from backend.export.polygons import MOST_RINGS, MOST_VERTICES, outline
from support.labelled import truck_mask


def filled(polygon, shape):
    """As Ultralytics fills a polygon: decimals cut off."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [polygon.astype(np.int32)], 1)
    return mask > 0


def covered(polygon, shape):
    """The pixels whose middle is inside of a polygon, as COCO's tools see it."""
    height, width = shape
    return coco.decode(coco.merge(coco.frPyObjects([polygon.ravel().tolist()], height, width))) > 0


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def picture(*rows):
    return np.array([[character == "#" for character in row] for row in rows])


def blob(seed, roughness):
    """One smooth shape, the bumpier the less it is blurred."""
    noise = np.random.default_rng(seed).normal(size=(90, 110))
    smooth = cv2.GaussianBlur(noise, (0, 0), roughness)
    _, parts, stats, _ = cv2.connectedComponentsWithStats((smooth > 0).astype(np.uint8), connectivity=4)
    return parts == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()


@pytest.mark.parametrize(
    "mask",
    [
        pytest.param(picture("#"), id="pixel"),
        pytest.param(picture(".....", "..#..", "....."), id="pixel-inside"),
        pytest.param(picture("####"), id="line"),
        pytest.param(picture("#..", ".#.", "..#"), id="diagonal"),
        pytest.param(picture("##.", "###", "..#", "#.#", "###"), id="concave"),
        pytest.param(picture("#####", "#...#", "#...#", "#####"), id="hole"),
        pytest.param(picture("######", "#.##.#", "#.####", "######"), id="two-holes"),
        pytest.param(np.ones((9, 7), bool), id="all"),
    ],
)
def test_a_small_mask_comes_back_pixel_by_pixel(mask):
    polygon = outline(mask)
    assert polygon.shape[1] == 2
    assert len(polygon) >= 3
    np.testing.assert_array_equal(filled(polygon, mask.shape), mask)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("roughness", [4, 6, 12])
def test_an_outline_of_few_vertices_is_exact(seed, roughness):
    mask = blob(seed, roughness)
    polygon = outline(mask)
    assert len(polygon) <= MOST_VERTICES
    # What joins the outline to its holes passes through the mask, and adds nothing.
    np.testing.assert_array_equal(filled(polygon, mask.shape), mask)
    np.testing.assert_array_equal(covered(polygon, mask.shape), mask)


def test_the_box_is_the_mask_s():
    mask = truck_mask(3)
    polygon = outline(mask)
    np.testing.assert_allclose(polygon.min(axis=0), (13, 30), atol=0.03)
    np.testing.assert_allclose(polygon.max(axis=0), (64, 91), atol=0.03)


def test_parts_are_joined_to_the_nearest_and_holes_stay_open():
    mask = truck_mask(3)
    found = filled(outline(mask), mask.shape)
    assert not found[46:51, 35:42].any()
    assert (found & mask).sum() == mask.sum()
    # Between the parts there is one line, as long as they are apart, and nothing else.
    extra = np.argwhere(found & ~mask)
    assert len(extra) == 9
    assert sorted(extra[:, 0].tolist()) == list(range(71, 80))


def test_a_part_between_two_others_is_the_bridge():
    mask = picture("#..#..#")
    assert filled(outline(mask), mask.shape).all()
    assert len(outline(mask)) == 3 * 4 + 2 * 2


def test_what_would_take_too_many_vertices_is_simplified():
    rows, columns = np.mgrid[:700, :700]
    angle = np.arctan2(rows - 350, columns - 350)
    mask = np.hypot(rows - 350, columns - 350) < 280 + 25 * np.sin(25 * angle)
    polygon = outline(mask)
    assert MOST_VERTICES / 2 < len(polygon) <= MOST_VERTICES
    assert iou(filled(polygon, mask.shape), mask) > 0.98
    assert iou(covered(polygon, mask.shape), mask) > 0.98


def test_of_more_parts_than_fit_the_largest_are_kept():
    mask = np.zeros((150, 150), bool)
    mask[::5, ::5] = True
    mask[1:150:15, ::5] = True  # every third row of specks has twice the size
    polygon = outline(mask)
    assert len(polygon) <= MOST_VERTICES
    found, large = filled(polygon, mask.shape), mask.copy()
    large[::5], large[1:150:15] = False, mask[1:150:15]
    assert (found & large).sum() == MOST_RINGS


@pytest.mark.parametrize("side", [30, 500])
def test_a_mask_of_nothing_but_noise_becomes_a_polygon_like_any(side):
    """Far from exact, but without hours of joining thousands of specks."""
    mask = np.random.default_rng(0).random((side, side)) < 0.5
    polygon = outline(mask)
    assert 100 < len(polygon) <= MOST_VERTICES
    assert np.isfinite(polygon).all()
    assert iou(filled(polygon, mask.shape), mask) > 0.4
