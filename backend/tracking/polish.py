"""Knots that have met their bound, moved to where they tell the most.

A piecewise linear track within a bound may still lie on one side of the dense boxes wherever it bends. Each knot in its
turn goes to the place at which the frames up to its neighbours are drawn best, or as far towards it as the bound lets
it.
"""

from __future__ import annotations

import numpy as np

from backend.tracking.refit import Flags, FloatBoxes, Floats, Positions, ious

ROUNDS = 4
"""How often each knot is moved at most; what does not move any more is left alone."""

_STEPS = (1.0, 0.5, 0.25)
_GAIN = 1e-6  # of the sum of IoUs, below which a knot stays


def polish(knots: Positions, values: FloatBoxes, boxes: FloatBoxes, *, bound: float, free: Flags) -> FloatBoxes:
    """Move the knots' boxes so that the joined knots meet the dense boxes better on average.

    A knot's best place is taken edge by edge: the weighted median of those at which it would draw each frame's edge
    exactly, weighted by its part in that frame. That minimises the sum of the distances of an edge, with which the IoU
    falls.

    Args:
        knots: (K,) sorted positions; the first is 0. After the last knot its box stays.
        values: (K, 4) their boxes, which meet the bound.
        boxes: (N, 4) dense boxes.
        bound: the IoU which the joined knots keep with every dense box.
        free: (N,) positions where the bound does not apply; a knot on one keeps its box.

    Returns:
        (K, 4) the boxes of the knots.
    """
    values = values.copy()
    count = len(knots)
    moving = ~free[knots]
    lowest = boxes[~free].min(axis=0, initial=np.inf)
    highest = boxes[~free].max(axis=0, initial=-np.inf)
    waiting = moving.copy()
    for _ in range(ROUNDS):
        for knot in np.flatnonzero(waiting).tolist():
            waiting[knot] = False
            rows, parts, rest = _around(knot, knots, values, boxes, free)
            better = _better(values[knot], rows, parts, rest, bound, (lowest, highest))
            if better is not None:
                values[knot] = better
                around = slice(max(knot - 1, 0), min(knot + 2, count))
                waiting[around] = moving[around]
    return values


def _around(
    knot: int, knots: Positions, values: FloatBoxes, boxes: FloatBoxes, free: Flags
) -> tuple[FloatBoxes, Floats, FloatBoxes]:
    """The frames that a knot has a part in: their dense boxes (R, 4), its part (R, 1), and what the others draw."""
    here, last = knots[knot], len(knots) - 1
    before, after = knots[max(knot - 1, 0)], knots[min(knot + 1, last)]
    positions = np.arange(before, after + 1 if knot < last else len(boxes))
    positions = positions[~free[positions]]
    left = np.clip((positions - before) / max(here - before, 1), 0, 1) if knot else np.ones(len(positions))
    right = np.clip((after - positions) / max(after - here, 1), 0, 1) if knot < last else np.ones(len(positions))
    parts = np.where(positions < here, left, np.where(positions > here, right, 1.0))[:, None]
    others = np.where((positions < here)[:, None], values[max(knot - 1, 0)], values[min(knot + 1, last)])
    told = parts[:, 0] > 0
    return boxes[positions[told]], parts[told], (others * (1 - parts))[told]


def _better(
    value: FloatBoxes,
    rows: FloatBoxes,
    parts: Floats,
    rest: FloatBoxes,
    bound: float,
    limits: tuple[FloatBoxes, FloatBoxes],
) -> FloatBoxes | None:
    """A better box for a knot, None where there is none."""
    if not len(rows):
        return None
    wished = (rows - rest) / parts
    order = np.argsort(wished, axis=0)
    weight = np.cumsum(parts[:, 0][order], axis=0)
    middle = (weight < weight[-1:] / 2).sum(axis=0)
    # No further out than any dense box, which keeps the boxes within the frame too.
    best = np.take_along_axis(wished, np.take_along_axis(order, middle[None], 0), 0)[0].clip(*limits)
    least = ious(rest + parts * value, rows).sum() + _GAIN
    for step in _STEPS:
        tried = value + step * (best - value)
        met = ious(rest + parts * tried, rows)
        if (met >= bound).all() and met.sum() > least:
            return np.asarray(tried)
    return None
