"""Where an object will be, if it goes on as it went."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

# Of a newly measured velocity, how much is believed: boxes shake.
_BELIEF = 0.5
# Seconds after which an unseen object is taken to have slowed down to 1/e of its velocity.
_COAST = 1.0


@dataclass(frozen=True, eq=False)
class Motion:
    """A box that moves with constant velocity.

    Attributes:
        box: (4,) ``xyxy`` pixels, where it was seen last.
        second: when.
        velocity: (2,) of its centre, in pixels per second; None before it was seen twice.
    """

    box: Vector
    second: float
    velocity: Vector | None = None

    def seen(self, box: Vector, second: float) -> Motion:
        """The same object where it was seen next, later than the last time."""
        passed = second - self.second
        measured = (_centre(box) - _centre(self.box)) / passed
        if self.velocity is not None:
            measured = (1 - _BELIEF) * self.velocity + _BELIEF * measured
        return replace(self, box=box, second=second, velocity=measured)

    def predict(self, second: float) -> Vector:
        """(4,): the box at a later time. It keeps its size, and slows down while nothing is seen of it, so that what
        was lost is not looked for far outside the picture."""
        return self.box + np.tile(self.shift(second), 2)

    def shift(self, second: float) -> Vector:
        """(2,): how far its centre will have gone by then."""
        if self.velocity is None:
            return np.zeros(2)
        return self.velocity * _COAST * (1 - math.exp(-(second - self.second) / _COAST))


def _centre(box: Vector) -> Vector:
    return (box[:2] + box[2:]) / 2
