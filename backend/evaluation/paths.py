"""Ways through a picture on which objects meet and part again, found by trying many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.evaluation.cutouts import BoxArray

Centres = npt.NDArray[np.float64]

_TRIES = 4000
_ENOUGH = 60
# Boxes that are apart have so many pixels between them, as a part of the picture's width.
_GAP = 0.005
# At the beginning and at the end, objects are apart for so many of the frames.
_APART = 0.06
# Objects meet where a box covers this much of the smaller one of the two.
MEETS = 0.4
# Of a box, as much is inside the picture on every frame.
_INSIDE = 0.88
# An object is gone from this part of the scene on, until that part.
GONE = (0.35, 0.6)
_FASTEST = 0.04  # pictures a frame


@dataclass(frozen=True)
class Stage:
    """Where objects move: a picture's width and height, and a number of frames."""

    width: int
    height: int
    frames: int

    @property
    def edge(self) -> int:
        """For how many frames at each end objects are apart."""
        return max(1, round(_APART * self.frames))

    @property
    def gone(self) -> range:
        """The frames on which an object that vanishes is not to be seen."""
        return range(round(GONE[0] * self.frames), max(round(GONE[1] * self.frames), round(GONE[0] * self.frames) + 1))

    def apart(self, one: BoxArray, other: BoxArray, frames: Sequence[int] | slice) -> bool:
        """Whether two objects' boxes ``(frames, 4)`` are apart on all of some frames."""
        one, other, gap = one[frames], other[frames], _GAP * self.width
        beside = (one[:, 0] >= other[:, 2] + gap) | (other[:, 0] >= one[:, 2] + gap)
        above = (one[:, 1] >= other[:, 3] + gap) | (other[:, 1] >= one[:, 3] + gap)
        return bool(np.all(beside | above))

    def apart_at_ends(self, one: BoxArray, other: BoxArray) -> bool:
        """Whether two objects are apart when the scene begins and when it ends."""
        return self.apart(one, other, slice(None, self.edge)) and self.apart(one, other, slice(-self.edge, None))

    def inside(self, boxes: BoxArray) -> npt.NDArray[np.float64]:
        """The part of each box ``(N, 4)`` that is in the picture."""
        return _areas(np.clip(boxes, 0, (self.width, self.height) * 2)) / _areas(boxes)


def meeting(one: BoxArray, other: BoxArray) -> float:
    """How much of the smaller box the other one covers, on the frame with the most; boxes are ``(frames, 4)``."""
    both = np.concatenate([np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])], axis=1)
    common = np.where((both[:, 2:] > both[:, :2]).all(axis=1), _areas(both), 0.0)
    return float(np.max(common / np.minimum(_areas(one), _areas(other))))


def along(centres: Centres, boxes: BoxArray) -> BoxArray:
    """Boxes around ``(frames, 2)`` centres, from boxes around 0."""
    return boxes + np.tile(centres, (1, 2))


def crossing(
    random: np.random.Generator, stage: Stage, boxes: BoxArray, others: Sequence[BoxArray], crossed: int
) -> Centres | None:
    """A way across others.

    Args:
        random: where it comes from.
        stage: the scene.
        boxes: the object's around its centre, ``(frames, 4)``.
        others: boxes of those already there, which it must be apart from at both ends.
        crossed: so many of them, the first ones, it must meet; of several ways the one that meets most is taken.

    Returns:
        ``(frames, 2)``; None where none was found.
    """
    time = np.linspace(0, 1, stage.frames, dtype=np.float64)

    def propose() -> Centres:
        target = others[int(random.integers(len(others)))]
        when = random.uniform(0.4, 0.6)
        box = target[round(when * (stage.frames - 1))]
        start, end = random.uniform((0, 0), _size(stage), (2, 2))
        where = random.uniform(box[:2] + 0.3 * (box[2:] - box[:2]), box[:2] + 0.7 * (box[2:] - box[:2]))
        return _curve(time, when, start, where, end)

    def value(centres: Centres) -> float | None:
        placed = along(centres, boxes)
        if not all(stage.apart_at_ends(placed, other) for other in others) or stage.inside(placed).min() < _INSIDE:
            return None
        met = [meeting(placed, other) for other in others]
        if any(part < MEETS for part in met[:crossed]):
            return None
        # Things stand on the ground: they rather pass one another sideways than climb.
        climbs = np.ptp(centres[:, 1]) / stage.height
        sides = sum(_same_side(placed, other) for other in others[:crossed])
        return float(np.minimum(met, 0.8).sum() - sides - climbs - _haste(centres, stage))

    return _best(propose, value)


def leaving(random: np.random.Generator, stage: Stage, boxes: BoxArray, others: Sequence[BoxArray]) -> Centres | None:
    """A way out of the picture, to the left or the right, and back; arguments as for :func:`crossing`."""
    gone = stage.gone
    times = (0, gone[0], gone[-1], stage.frames - 1)
    widest = float((boxes[:, 2] - boxes[:, 0]).max())

    def propose() -> Centres:
        start, end = random.uniform((0, 0), _size(stage), (2, 2))
        beyond = -float(boxes[:, 2].max()) - 2 if random.integers(2) else stage.width - float(boxes[:, 0].min()) + 2
        out = (beyond, start[1] + random.uniform(-0.1, 0.1) * stage.height)
        return _stops(times, (start, out, out, end), stage)

    def value(centres: Centres) -> float | None:
        placed = along(centres, boxes)
        ends = np.r_[0 : stage.edge, stage.frames - stage.edge : stage.frames]
        if not all(stage.apart_at_ends(placed, other) for other in others) or stage.inside(placed[ends]).min() < 0.95:
            return None
        # From the very edge it would be gone at once.
        visible = (stage.inside(placed) > 0.5).mean() + min(np.ptp(centres[:, 0]) / widest, 2) / 4
        return float(visible - np.ptp(centres[:, 1]) / stage.height - _haste(centres, stage))

    return _best(propose, value)


def hiding(
    random: np.random.Generator,
    stage: Stage,
    boxes: BoxArray,
    hidden: Centres,
    others: Sequence[BoxArray],
) -> Centres | None:
    """A way that passes given places while the object is hidden.

    Args:
        random: where it comes from.
        stage: the scene.
        boxes: the object's around its centre, ``(frames, 4)``.
        hidden: the places ``(len(stage.gone), 2)``.
        others: boxes of those already there, which it must be apart from at both ends.

    Returns:
        ``(frames, 2)``; None where none was found.
    """
    gone = stage.gone

    def propose() -> Centres:
        start, end = random.uniform((0, 0), _size(stage), (2, 2))
        times = (0, *gone, stage.frames - 1)
        return _stops(times, (start, *hidden, end), stage)

    def value(centres: Centres) -> float | None:
        placed = along(centres, boxes)
        if not all(stage.apart_at_ends(placed, other) for other in others) or stage.inside(placed).min() < _INSIDE:
            return None
        # Who goes in on one side comes out on the other.
        through = np.sign((centres[0] - hidden[0])[0] * (centres[-1] - hidden[-1])[0])
        return float(-0.5 * through - np.ptp(centres[:, 1]) / stage.height - _haste(centres, stage))

    return _best(propose, value)


def standing(random: np.random.Generator, stage: Stage, boxes: BoxArray, others: Sequence[BoxArray]) -> Centres | None:
    """A short way that leaves room on both sides, apart from others at both ends; arguments as for :func:`crossing`."""
    time = np.linspace(0, 1, stage.frames)[:, None]

    def propose() -> Centres:
        start = random.uniform((0, 0), _size(stage))
        return start + time * random.uniform(-0.1, 0.1, 2) * (stage.width, stage.height / 4)

    def value(centres: Centres) -> float | None:
        placed = along(centres, boxes)
        if not all(stage.apart_at_ends(placed, other) for other in others) or stage.inside(placed).min() < 0.95:
            return None
        room = np.minimum(placed[:, 0], stage.width - placed[:, 2]).min() / stage.width
        return float(room - sum(meeting(placed, other) for other in others))

    return _best(propose, value)


def _best(propose: Callable[[], Centres], value: Callable[[Centres], float | None]) -> Centres | None:
    """The most valuable of what was proposed until enough of it had any value."""
    best: tuple[float, Centres] | None = None
    found = 0
    for _ in range(_TRIES):
        proposed = propose()
        worth = value(proposed)
        if worth is None:
            continue
        found += 1
        if best is None or worth > best[0]:
            best = worth, proposed
        if found == _ENOUGH:
            break
    return None if best is None else best[1]


def _curve(time: npt.NDArray[np.float64], when: float, start: Centres, where: Centres, end: Centres) -> Centres:
    """The parabola through three places, the middle one at a time between 0 and 1, ``(frames, 2)``."""
    first = (time - when) * (time - 1) / when
    middle = time * (time - 1) / (when * (when - 1))
    last = time * (time - when) / (1 - when)
    return first[:, None] * start + middle[:, None] * where + last[:, None] * end


def _stops(times: Sequence[int], places: Sequence[Sequence[float] | Centres], stage: Stage) -> Centres:
    """From place to place, ``(frames, 2)``."""
    points = np.array(places, np.float64)
    frames = np.arange(stage.frames)
    return np.stack([np.interp(frames, times, points[:, axis]) for axis in (0, 1)], axis=1)


def _same_side(one: BoxArray, other: BoxArray) -> float:
    """1 where an object ends in the same direction from another as it began, -1 where in the opposite one."""
    away = (one[:, :2] + one[:, 2:] - other[:, :2] - other[:, 2:])[[0, -1]]
    return float(away[0] @ away[1] / max(np.prod(np.linalg.norm(away, axis=1)), 1e-9))


def _haste(centres: Centres, stage: Stage) -> float:
    """How much faster an object moves than what looks natural."""
    fastest = np.linalg.norm(np.diff(centres, axis=0), axis=1).max() / stage.width
    return max(0.0, float(fastest) - _FASTEST) / _FASTEST


def _size(stage: Stage) -> tuple[int, int]:
    return stage.width, stage.height


def _areas(boxes: BoxArray) -> npt.NDArray[np.float64]:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])
