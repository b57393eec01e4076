"""The best pairs of all."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from backend.association.geometry import Grid


def assign(agreement: Grid, least: float) -> list[tuple[int, int]]:
    """The pairs of rows and columns with the greatest sum of what they agree beyond ``least``.

    Args:
        agreement: (N, M).
        least: only pairs that agree more are made.

    Returns:
        at most one pair for each row and for each column, in the order of the rows.
    """
    gain = np.clip(agreement - least, 0, None)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if gain[row, column] > 0]
