from __future__ import annotations

import math

import numpy as np
import pytest

from backend.evaluation.masks import contour, contour_accuracy, region_similarity
from backend.tracks import BoolArray


def mask(*boxes: tuple[int, int, int, int], width: int = 60, height: int = 40) -> BoolArray:
    """True inside boxes of pixels (x0, y0, x1, y1), the last ones exclusive."""
    drawn = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        drawn[y0:y1, x0:x1] = True
    return drawn


EMPTY, FULL = mask(), mask((0, 0, 60, 40))
SQUARE = mask((10, 10, 20, 20))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (SQUARE, 1),
        (EMPTY, 0),
        (mask((30, 10, 40, 20)), 0),
        *[(mask((10 + k, 10, 20 + k, 20)), (10 - k) / (10 + k)) for k in range(1, 10)],
        (mask((10, 10, 15, 20)), 1 / 2),
        (mask((5, 5, 25, 25)), 1 / 4),
        (FULL, 100 / 2400),
    ],
)
def test_j_of_a_square(found: BoolArray, expected: float) -> None:
    assert region_similarity(SQUARE, found) == pytest.approx(expected)
    assert region_similarity(found, SQUARE) == pytest.approx(expected)


def test_nothing_and_everything() -> None:
    assert region_similarity(EMPTY, EMPTY) == 1
    assert region_similarity(FULL, FULL) == 1
    assert region_similarity(FULL, EMPTY) == 0
    assert contour_accuracy(EMPTY, EMPTY) == 1
    assert contour_accuracy(EMPTY, SQUARE) == 0
    assert contour_accuracy(SQUARE, EMPTY) == 0
    # Neither has a contour: the picture's own edge is none.
    assert contour_accuracy(FULL, FULL) == 1
    assert contour_accuracy(FULL, EMPTY) == 1
    assert contour_accuracy(FULL, SQUARE) == 0


def test_a_contour_is_half_outside() -> None:
    ring = mask((2, 2, 7, 7), width=12, height=12) & ~mask((3, 3, 6, 6), width=12, height=12)
    assert np.array_equal(contour(mask((3, 3, 7, 7), width=12, height=12)), ring)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 4, 3), [(3, 0), (3, 1), (0, 2), (1, 2), (2, 2), (3, 2)]),
        ((5, 5, 8, 6), [(4, 4), (5, 4), (6, 4), (7, 4), (4, 5)]),  # the picture ends at 8 x 6
        ((0, 2, 8, 6), [(x, 1) for x in range(8)]),
        ((7, 0, 8, 6), [(6, y) for y in range(6)]),
        ((0, 0, 8, 6), []),
    ],
)
def test_the_pictures_edge_is_no_contour(box: tuple[int, int, int, int], expected: list[tuple[int, int]]) -> None:
    rows, columns = np.nonzero(contour(mask(box, width=8, height=6)))
    assert sorted(zip(columns.tolist(), rows.tolist(), strict=True)) == sorted(expected)


def shifted_square(k: int, r: int, side: int = 20) -> float:
    """F of a square shifted by ``k`` > ``r`` pixels along a row, counted by hand.

    The contours are rings of ``4 * side`` pixels. Of either one the upper and the lower edge have
    ``side - k + r + 1`` pixels near the other ring each, and the side between them ``r`` at both ends.
    """
    return (2 * (side - k + r + 1) + 2 * r) / (4 * side)


@pytest.mark.parametrize("k", range(8))
@pytest.mark.parametrize("r", [1, 2, 3])
def test_f_of_a_shifted_square(k: int, r: int) -> None:
    truth, found = mask((5, 5, 25, 25)), mask((5 + k, 5, 25 + k, 25))
    expected = 1 if k <= r else shifted_square(k, r)
    assert contour_accuracy(truth, found, r) == pytest.approx(expected)
    assert contour_accuracy(truth.T, found.T, r) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("size", "radius"),
    [((854, 480), 8), ((480, 854), 8), ((1920, 1080), 18), ((100, 75), 1), ((101, 75), 2), ((40, 30), 1)],
)
def test_the_tolerance_is_0_008_of_the_diagonal_rounded_up(size: tuple[int, int], radius: int) -> None:
    width, height = size
    truth = mask((5, 5, 6, height), width=width, height=height)
    for shift, expected in ((radius, 1), (radius + 1, 1 / 2), (radius + 2, 0)):
        # A line has a contour two pixels wide.
        found = mask((5 + shift, 5, 6 + shift, height), width=width, height=height)
        assert contour_accuracy(truth, found) == pytest.approx(expected), shift
        assert contour_accuracy(truth, found, radius) == pytest.approx(expected), shift


def test_thin_lines() -> None:
    line = mask((10, 0, 11, 40))
    assert contour_accuracy(line, line, 1) == 1
    next_to_it = mask((11, 0, 12, 40))
    assert region_similarity(line, next_to_it) == 0
    assert contour_accuracy(line, next_to_it, 1) == 1
    assert contour_accuracy(line, EMPTY, 1) == 0
    # Half of it: precision 1; of 40 rows the 20 that are there are recalled, and one within the tolerance.
    recall = 21 / 40
    assert contour_accuracy(line, mask((10, 0, 11, 20)), 1) == pytest.approx(2 * recall / (1 + recall))


def test_nearness_is_a_disk() -> None:
    a, b = mask((5, 5, 6, 6)), mask((7, 7, 8, 8))  # contours of 2 x 2 pixels, corner to corner
    assert contour_accuracy(a, b, 1) == 0
    assert contour_accuracy(a, b, 2) == pytest.approx(1 / 4)
    assert contour_accuracy(a, b, 3) == 1


def test_precision_and_recall() -> None:
    twice = mask((10, 10, 20, 20), (40, 10, 50, 20))
    assert contour_accuracy(SQUARE, twice, 1) == pytest.approx(2 / 3)
    assert contour_accuracy(twice, SQUARE, 1) == pytest.approx(2 / 3)
    hollow = mask((5, 5, 35, 35)) & ~mask((15, 15, 25, 25))
    # The hole's contour of 4 x 10 pixels is what is missing beside the outer one of 4 x 30.
    assert contour_accuracy(hollow, mask((5, 5, 35, 35)), 1) == pytest.approx(2 * 0.75 / 1.75)


def by_definition(truth: BoolArray, found: BoolArray, radius: float) -> float:
    """F pixel by pixel, as the paper words it."""

    def pixels(drawn: BoolArray) -> list[tuple[int, int]]:
        height, width = drawn.shape
        return [
            (y, x)
            for y in range(height)
            for x in range(width)
            if any(
                drawn[y, x] != drawn[min(y + dy, height - 1), min(x + dx, width - 1)]
                for dy, dx in ((0, 1), (1, 0), (1, 1))
            )
        ]

    def share(these: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        return sum(any(math.dist(a, b) <= radius for b in others) for a in these) / len(these)

    drawn, true = pixels(found), pixels(truth)
    precision, recall = share(drawn, true), share(true, drawn)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@pytest.mark.parametrize("seed", range(6))
def test_f_pixel_by_pixel(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:30, :36]
    truth, found = np.zeros((30, 36), bool), np.zeros((30, 36), bool)
    for drawn in (truth, found, found):
        for _ in range(3):
            y, x, radius = random.uniform(-2, 32), random.uniform(-2, 38), random.uniform(1, 7)
            drawn |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    for radius in (1, 2.5, 4):
        assert contour_accuracy(truth, found, radius) == pytest.approx(by_definition(truth, found, radius))
