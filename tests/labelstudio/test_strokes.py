"""Brush strokes of drafts."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from backend.labelstudio.strokes import Stroke, paint

BLANK = np.zeros((100, 200), bool)


def stroke(*path: float, width: float = 5.0, kind: str = "add") -> Stroke:
    return Stroke.model_validate({"type": kind, "relativePoints": list(path), "relativeStrokeWidth": width})


def test_a_stroke_is_a_line_of_its_width_with_round_ends() -> None:
    painted = paint(BLANK, [stroke(25.0, 50.0, 75.0, 50.0)])  # 10 pixels wide, from x 50 to 150, at y 50
    assert painted[50, 50:150].all()
    assert not painted[50, :43].any() and not painted[50, 158:].any()
    rows = np.flatnonzero(painted[:, 100])
    assert 10 <= len(rows) <= 11 and abs(rows.mean() - 50) <= 1
    assert not painted[46, 45] and painted[47, 50]
    assert not BLANK.any()


@pytest.mark.parametrize("width", [0.5, 1.0, 1.5, 2.0, 4.0, 20.0])
def test_a_stroke_covers_as_much_as_it_is_wide(width: float) -> None:
    painted = paint(BLANK, [stroke(0.0, 50.0, 100.0, 50.0, width=width)])
    assert abs(painted.sum() / 200 - 2 * width) <= 1


def test_a_large_picture() -> None:
    painted = paint(np.zeros((3000, 4000), bool), [stroke(10.0, 10.0, 90.0, 90.0, width=1.0)])
    assert painted[1500, 2000] and not painted[1500, 2200]
    assert abs(painted.sum() / (40 * np.hypot(3200, 2400)) - 1) < 0.1


def test_a_tap_is_a_dot() -> None:
    painted = paint(BLANK, [stroke(50.0, 50.0, 50.0, 50.0)])
    assert painted[50, 100]
    assert 50 < painted.sum() < 120


def test_the_eraser_takes_away_what_was_there_before_it() -> None:
    full = np.ones((100, 200), bool)
    strokes = [stroke(0.0, 50.0, 100.0, 50.0, kind="eraser"), stroke(50.0, 50.0, 50.0, 50.0)]
    painted = paint(full, strokes)
    assert not painted[50, 10] and painted[50, 100] and painted[10, 10]


@pytest.mark.parametrize("size", [(10, 900), (10, 9000), (3000, 4000)])
def test_a_brush_may_be_wider_than_any_picture(size: tuple[int, int]) -> None:
    assert paint(np.zeros(size, bool), [stroke(10.0, 10.0, 50.0, 60.0, width=1000.0)]).all()


def test_what_lies_far_outside_is_harmless() -> None:
    assert paint(BLANK, [stroke(-1e6, -1e6, 1e6, 1e6, width=1000.0)]).shape == BLANK.shape


@pytest.mark.parametrize(
    "raw",
    [
        {"relativePoints": [1.0], "relativeStrokeWidth": 1.0},
        {"relativePoints": [1.0, float("nan")], "relativeStrokeWidth": 1.0},
        {"relativePoints": [1.0, 2.0], "relativeStrokeWidth": 0.0},
        {"relativePoints": [1.0, 2.0], "relativeStrokeWidth": 1.0, "type": "spray"},
        {"points": [1.0, 2.0]},
    ],
)
def test_what_is_no_stroke_is_refused(raw: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Stroke.model_validate(raw)
