from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation.clicks import deepest_point, next_click
from backend.tracks import BoolArray, Point


def mask(*boxes: tuple[int, int, int, int], width: int = 30, height: int = 20) -> BoolArray:
    """True inside boxes of pixels (x0, y0, x1, y1), the last ones exclusive."""
    drawn = np.zeros((height, width), bool)
    for x0, y0, x1, y1 in boxes:
        drawn[y0:y1, x0:x1] = True
    return drawn


def drawing(*rows: str) -> BoolArray:
    return np.array([[letter == "#" for letter in row] for row in rows])


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (mask((4, 6, 9, 11)), (6, 8)),
        (mask((4, 6, 20, 9)), (5, 7)),  # the first of a whole middle line
        (mask((3, 3, 5, 5), (10, 4, 17, 11)), (13, 7)),  # the thicker of two parts
        (mask((17, 13, 18, 14)), (17, 13)),
        (mask((0, 0, 30, 20)), (9, 9)),  # the picture's edge is an outside as well
        (mask((0, 0, 5, 9)), (2, 2)),
        (mask((25, 15, 30, 20)), (27, 17)),
        (mask((0, 0, 1, 1), width=1, height=1), (0, 0)),
        (mask((0, 0, 7, 1), width=7, height=1), (0, 0)),
        (mask(), None),
        (drawing("#######", "#.....#", "#.....#", "#######"), (0, 0)),  # never in a hole
        (drawing(".....", "..#..", ".###.", "..#..", "....."), (2, 2)),
    ],
)  # fmt: skip
def test_the_deepest_point(region: BoolArray, expected: tuple[int, int] | None) -> None:
    assert deepest_point(region) == expected
    if expected is not None:
        assert region[expected[1], expected[0]]


def test_depth_is_euclidean() -> None:
    """By city blocks a diamond's middle would be deeper than that of a square that holds more."""
    rows, columns = np.mgrid[:41, :60]
    diamond = np.abs(rows - 20) + np.abs(columns - 45) <= 10
    square = (np.abs(rows - 20) <= 8) & (np.abs(columns - 15) <= 8)
    assert deepest_point(diamond) == (45, 20)
    assert deepest_point(diamond | square) == (15, 20)


def test_a_view_of_an_image_will_do() -> None:
    assert deepest_point(np.asfortranarray(mask((4, 6, 9, 11)))[::-1]) == (6, 11)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (mask(), Point(7.5, 9.5)),
        (mask((3, 5, 12, 14)), None),
        (mask((3, 5, 12, 9)), Point(5.5, 11.5)),  # 9 x 5 missed below
        (mask((3, 5, 12, 14), (18, 2, 25, 9)), Point(21.5, 5.5, positive=False)),
        # 9 x 2 missed against 3 x 5 too much.
        (mask((3, 5, 12, 12), (20, 2, 23, 7)), Point(3.5, 12.5)),
        # 9 x 1 missed against 3 x 5 too much.
        (mask((3, 5, 12, 13), (20, 2, 23, 7)), Point(21.5, 3.5, positive=False)),
        # Together the specks are more than the part that was missed, but not each.
        (mask((3, 5, 12, 13), (20, 2, 22, 6), (20, 8, 22, 12), (20, 14, 22, 18)), Point(3.5, 13.5)),
        # As much missed as too much: what was missed comes first.
        (mask((3, 5, 12, 13), (20, 2, 29, 3)), Point(3.5, 13.5)),
        # As much on the right as on the left: reading order.
        (mask((5, 5, 10, 14)), Point(3.5, 5.5)),
    ],
)  # fmt: skip
def test_the_next_click(found: BoolArray, expected: Point | None) -> None:
    assert next_click(mask((3, 5, 12, 14)), found) == expected


def test_corners_connect() -> None:
    truth = drawing("##....", "##....", "..##..", "..##..", "......", "...###")
    assert next_click(truth, drawing(*["......"] * 6)) == Point(0.5, 0.5)
    assert next_click(truth, drawing("......", "......", "..##..", "..##..", "......", "......")) == Point(0.5, 0.5)
    assert next_click(truth, drawing("##....", "##....", "......", "..##..", "......", "......")) == Point(3.5, 5.5)


def test_a_truth_that_is_empty() -> None:
    assert next_click(mask(), mask()) is None
    assert next_click(mask(), mask((0, 0, 3, 3))) == Point(1.5, 1.5, positive=False)


def test_clicks_lead_to_the_truth() -> None:
    """A segmenter that grants each click its own 5 x 5 pixels needs one for each of four such squares."""
    truth = mask((2, 2, 7, 7), (12, 2, 17, 7), (2, 12, 7, 17), (20, 12, 25, 17))
    found = mask()
    clicks = []
    while (click := next_click(truth, found)) is not None:
        clicks.append((click.x, click.y))
        x, y = int(click.x), int(click.y)
        found[y - 2 : y + 3, x - 2 : x + 3] = click.positive
    assert clicks == [(4.5, 4.5), (14.5, 4.5), (4.5, 14.5), (22.5, 14.5)]
