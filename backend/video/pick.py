"""Which frames of a video are taken where not all are wanted."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from backend.errors import VideoError

# Half a microsecond, since containers and browsers count in microseconds.
_TOLERANCE = 0.5e-6


def pick(
    timestamps: npt.ArrayLike,
    *,
    every: int = 1,
    rate: float | None = None,
    start: float = 0.0,
    end: float = math.inf,
) -> list[int]:
    """The decode indices of the frames that are taken, ascending; at least one.

    Args:
        timestamps: ``(N,)`` ascending presentation seconds, N >= 1.
        every: of the frames between start and end each so-many-th, the first included.
        rate: frames per second instead: the frames nearest to points of time that lie evenly from the first on, each
            once. Variable frame rates come out as even as they can.
        start: seconds; frames before it are left out.
        end: seconds; frames at it and after it are left out.

    Raises:
        VideoError: no frame lies between start and end.
    """
    seconds = np.asarray(timestamps, np.float64)
    first, stop = np.searchsorted(seconds, np.array([start, end]) - _TOLERANCE).tolist()
    if first >= stop:
        until = "" if math.isinf(end) else f" and before {end:g} s"
        raise VideoError(
            f"no frame lies at or after {start:g} s{until}: the first one is at {seconds[0]:.3f} s, the last one at "
            f"{seconds[-1]:.3f} s"
        )
    if rate is None:
        return list(range(first, stop, every))
    inside = seconds[first:stop]
    count = math.floor((inside[-1] - inside[0] + _TOLERANCE) * rate) + 1
    nearest = _nearest(inside, inside[0] + np.arange(count) / rate)
    return [first + position for position in np.unique(nearest).tolist()]


def _nearest(seconds: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Where each wanted time is nearest to; of two as near the earlier."""
    after = np.clip(np.searchsorted(seconds, wanted), 0, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    later = wanted - seconds[before] > seconds[after] - wanted + _TOLERANCE
    return np.where(later, after, before)
