"""Fewer knots for the same piecewise linear track: drop one, refit its neighbours, keep what stays within the bound.

A knot that lies on a noisy box carries that box's noise to every position up to the next knot. Freed from
the dense boxes, the neighbours of a knot can often take over its part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatBoxes = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]

REACH = 2
"""A dropped knot frees the values of this many neighbours on each side; the next ones stay as they are."""

ROUNDS = 24
"""Rounds of reweighted least squares before a knot is found indispensable."""

_SIDE = REACH + 1
_WINDOW = 2 * _SIDE
_NEIGHBOURS = np.array([*range(-_SIDE, 0), *range(1, _SIDE + 1)])
_SOFTENING = 0.01
_LEAST_GAP = 1e-6
_RIDGE = 1e-12


def ious(a: FloatBoxes, b: FloatBoxes) -> Floats:
    """IoU of ``xyxy`` boxes, (..., 4) each and broadcast; 0 where the union is empty."""
    width = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    height = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    union = area_a + area_b - intersection
    return np.asarray(np.divide(intersection, union, out=np.zeros_like(union), where=union > 0))


def refit(
    knots: Positions, boxes: FloatBoxes, *, bound: float, free: Flags, kept: Flags
) -> tuple[Positions, FloatBoxes]:
    """Drop knots for as long as the others can meet the bound, moving their boxes off the dense ones where it helps.

    Args:
        knots: (K,) sorted positions of the knots; the first is 0. After the last knot its box stays.
        boxes: (N, 4) dense boxes; the knots start on them and must meet the bound so.
        bound: the IoU which the joined knots keep with every dense box.
        free: (N,) positions where the bound does not apply; a knot on one keeps its box.
        kept: (N,) positions whose knots are not dropped.

    Returns:
        The knots that remain, and their boxes (K', 4).
    """
    values = boxes[knots]
    droppable = ~kept[knots]
    while droppable.any():
        dropped = _spread(np.flatnonzero(droppable))
        trial = _Trial(knots, values, boxes, free, dropped)
        fits = trial.fit(bound)
        droppable[dropped] = False
        members = trial.members[fits][trial.exists[fits]]
        values[members] = trial.values[fits][trial.exists[fits]]
        droppable[members] = ~kept[knots[members]]
        remaining = np.ones(len(knots), dtype=bool)
        remaining[dropped[fits]] = False
        knots, values, droppable = knots[remaining], values[remaining], droppable[remaining]
    return knots, values


def _spread(candidates: Positions) -> Positions:
    """A subset of the knots, so far apart that their windows share no knot but a fixed border."""
    chosen = [int(candidates[0])]
    for candidate in candidates.tolist():
        if candidate - chosen[-1] >= _WINDOW:
            chosen.append(candidate)
    return np.array(chosen, dtype=np.intp)


@dataclass
class _Rows:
    """The dense boxes under the windows of a trial, one row for each position of each window."""

    window: Positions
    left: Positions
    right: Positions
    t: Floats
    boxes: FloatBoxes
    free: Flags

    def of(self, windows: Flags) -> _Rows:
        """The rows of some windows, which are numbered anew."""
        rows = windows[self.window]
        number = np.cumsum(windows) - 1
        return _Rows(
            number[self.window[rows]],
            self.left[rows],
            self.right[rows],
            self.t[rows],
            self.boxes[rows],
            self.free[rows],
        )


class _Trial:
    """Several knots dropped at once, each with a window of its own: `_SIDE` knots on either side.

    The outermost knots of a window stay as they are, so that windows do not depend on one another. ``members`` (W, 6)
    are the windows' knots, ``exists`` tells which of them there are, ``values`` (W, 6, 4) are their boxes.
    """

    def __init__(
        self, knots: Positions, values: FloatBoxes, boxes: FloatBoxes, free: Flags, dropped: Positions
    ) -> None:
        members = dropped[:, None] + _NEIGHBOURS
        self.exists: Flags = (members >= 0) & (members < len(knots))
        self.members: Positions = members.clip(0, len(knots) - 1)
        self.values: FloatBoxes = values[self.members]
        self.frozen: Flags = ~self.exists | free[knots[self.members]]
        self.frozen[:, [0, -1]] = True
        seen = boxes[~free]
        self.lowest: Floats = seen.min(axis=0, initial=np.inf)
        self.highest: Floats = seen.max(axis=0, initial=-np.inf)
        self.rows = self._rows(knots, boxes, free, dropped)

    def _rows(self, knots: Positions, boxes: FloatBoxes, free: Flags, dropped: Positions) -> _Rows:
        windows = np.arange(len(dropped))
        first = knots[self.members[:, 0]]
        # A window without a knot on its right border lasts to the end.
        last = np.where(self.exists[:, -1], knots[self.members[:, -1]], len(boxes) - 1)
        lengths = last - first + 1
        window = np.repeat(windows, lengths)
        position = np.arange(len(window)) - np.repeat(np.cumsum(lengths) - lengths - first, lengths)
        remaining = np.delete(knots, dropped)
        left = np.searchsorted(remaining, position, side="right") - 1
        right = np.minimum(left + 1, len(remaining) - 1)
        t = (position - remaining[left]) / np.maximum(remaining[right] - remaining[left], 1)
        t[left == right] = 0.0
        # A window's slot 0 in the numbering without the dropped knots, of which there is one in each window before.
        slot = (dropped - _SIDE - windows)[window]
        right = np.minimum(right - slot, _WINDOW - 1)
        return _Rows(window, left - slot, right, t, boxes[position], free[position])

    def fit(self, bound: float) -> Flags:
        """Which windows meet the bound, (W,); the ``values`` of those are changed accordingly.

        The least IoU of a window is raised by least squares with two sets of weights: those of the edges turn squares
        into absolute values, as the IoU falls with their sum; those of the positions grow where the IoU is
        low (Lawson's algorithm), which turns the sum over the positions into a maximum.
        """
        fits = np.zeros(len(self.values), dtype=bool)
        trying = ~fits
        rows, values = self.rows, self.values
        weights = np.where(rows.free, 0.0, 1.0)
        for _ in range(ROUNDS):
            drawn = _drawn(values, rows)
            met = np.where(rows.free, 1.0, ious(drawn, rows.boxes))
            least = np.ones(len(values))
            np.minimum.at(least, rows.window, met)
            done = least >= bound
            if done.any():
                found = np.flatnonzero(trying)[done]
                fits[found] = True
                self.values[found] = values[done]
                trying[found] = False
                if not trying.any():
                    break
                left = ~done[rows.window]
                rows, values, drawn, met, weights = rows.of(~done), values[~done], drawn[left], met[left], weights[left]
            weights = weights * np.maximum(1 - met, _LEAST_GAP)
            weights = weights / np.maximum(np.bincount(rows.window, weights), np.finfo(float).tiny)[rows.window]
            solved = _least_squares(values, drawn, rows, weights, self.frozen[trying])
            # No further out than any dense box, which keeps the boxes within the frame too.
            solved = solved.clip(self.lowest, self.highest)
            values = np.where(self.frozen[trying][..., None], values, solved)
        return fits


def _drawn(values: FloatBoxes, rows: _Rows) -> FloatBoxes:
    t = rows.t[:, None]
    return values[rows.window, rows.left] * (1 - t) + values[rows.window, rows.right] * t


def _least_squares(values: FloatBoxes, drawn: FloatBoxes, rows: _Rows, weights: Floats, frozen: Flags) -> FloatBoxes:
    """One round: the values (W, 6, 4) of the knots that are not frozen, solved for each window and edge."""
    size = np.maximum(np.tile(rows.boxes[:, 2:] - rows.boxes[:, :2], 2), 1.0)
    scaled = weights[:, None] / ((np.abs(drawn - rows.boxes) / size + _SOFTENING) * size**2)
    windows = len(values)
    left, right = rows.window * _WINDOW + rows.left, rows.window * _WINDOW + rows.right
    on_left, on_right = 1 - rows.t, rows.t
    # Each row adds to four cells of its window's normal matrix and to two of its moments.
    cells = np.concatenate([left, right, left, right]) * _WINDOW
    cells += np.concatenate([rows.left, rows.right, rows.right, rows.left])
    normal = np.empty((4, windows, _WINDOW, _WINDOW))
    moment = np.empty((4, windows, _WINDOW))
    for edge in range(4):
        weight = scaled[:, edge]
        both = weight * on_left * on_right
        entries = np.concatenate([weight * on_left**2, weight * on_right**2, both, both])
        normal[edge] = np.bincount(cells, entries, windows * _WINDOW**2).reshape(windows, _WINDOW, _WINDOW)
        pull = weight * rows.boxes[:, edge]
        pulls = np.concatenate([pull * on_left, pull * on_right])
        moment[edge] = np.bincount(np.concatenate([left, right]), pulls, windows * _WINDOW).reshape(windows, _WINDOW)
    current = np.moveaxis(values, 2, 0)
    unchanged = np.eye(_WINDOW)
    solution = np.linalg.solve(
        np.where(frozen[:, :, None], unchanged, normal + _RIDGE * unchanged),
        np.where(frozen, current, moment + _RIDGE * current)[..., None],
    )
    return np.moveaxis(solution[..., 0], 0, 2)
