"""Dense boxes to few keyframes, and back by Label Studio's own rules of interpolation.

Between two keyframes x, y, width and height move linearly and the rotation takes the shortest arc; after the
last one all stay; before the first there is nothing. A keyframe with ``enabled`` False is itself shown and
hides what follows, up to the next enabled one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from backend.tracking.polish import polish
from backend.tracking.refit import ious, refit
from backend.tracks import Box, Keyframe

FloatBoxes = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]

MAX_GAP = 64
"""The search for the fewest keyframes looks this far ahead; `refit` then joins what stays straight for longer."""

_ROUNDING = 1e-9
_NOTHING_FIXED: Mapping[int, Keyframe] = MappingProxyType({})


def interpolate(keyframes: Sequence[Keyframe], position: int) -> Keyframe | None:
    """What Label Studio draws at ``position``: the keyframe there, one in between, or None where it draws nothing.

    ``keyframes`` are sorted by position.
    """
    after = bisect_right(keyframes, position, key=lambda keyframe: keyframe.position)
    if after == 0:
        return None
    left = keyframes[after - 1]
    if left.position == position:
        return left
    if not left.enabled:
        return None
    if after == len(keyframes):
        return Keyframe(position, left.box, rotation=left.rotation)
    right = keyframes[after]
    t = (position - left.position) / (right.position - left.position)
    x0, y0, x1, y1 = (a + (b - a) * t for a, b in zip(left.box, right.box, strict=True))
    arc = (right.rotation - left.rotation + 180.0) % 360.0 - 180.0
    return Keyframe(position, (x0, y0, x1, y1), rotation=left.rotation + arc * t)


def thin(
    boxes: Sequence[Box | None], *, iou: float = 0.95, fixed: Mapping[int, Keyframe] = _NOTHING_FIXED
) -> list[Keyframe]:
    """As few keyframes as show every dense box within an IoU of ``iou``, sorted by position.

    ``boxes[i]`` is the box at position ``i``, None where the object is absent. ``fixed`` holds the keyframes of a
    human by position: they are returned as they are, whatever the boxes say, and the bound does not apply at
    their positions.

    - A visible span ends with ``enabled`` False on its last position; one that lasts to the end of the timeline
      stays open, since nothing comes after it.
    - A fixed keyframe with ``enabled`` False ends its span there; if there is a box on the next position, a new
      span starts with it. A fixed, enabled keyframe followed by an absent position cannot end its own span: its box
      stays for that one position more.
    - Dense boxes have no rotation. A rotated fixed keyframe gets a keyframe on each visible side of it, so that no
      frame shows a box half turned.

    Keyframes need not lie on the dense boxes, which saves a fifth to a third of them on noisy tracks; within the bound
    they lie where what is drawn meets the dense boxes best on average. There are never more than the fewest that lie on
    the dense boxes and are at most ``MAX_GAP`` apart.

    Raises:
        ValueError: ``iou`` is not in (0, 1], or a fixed keyframe is not within the timeline at its position.
    """
    if not 0 < iou <= 1:
        raise ValueError(f"iou must be in (0, 1], not {iou}")
    for position, keyframe in fixed.items():
        if position != keyframe.position or not 0 <= position < len(boxes):
            raise ValueError(f"fixed keyframe {keyframe.position} at {position} of {len(boxes)} positions")
    # A margin on the safe side, for the last bits of the arithmetic.
    bound = min(iou + _ROUNDING, 1 - _ROUNDING)
    timeline = _Timeline(boxes, fixed)
    keyframes: list[Keyframe] = []
    for first, last in timeline.spans:
        keyframes += timeline.thin_span(first, last, bound)
    return keyframes


class _Timeline:
    """The dense boxes with the fixed keyframes laid over them, as arrays over the positions."""

    def __init__(self, boxes: Sequence[Box | None], fixed: Mapping[int, Keyframe]) -> None:
        length = len(boxes)
        self.fixed = fixed
        self.boxes: FloatBoxes = np.array([box or (0.0, 0.0, 0.0, 0.0) for box in boxes], dtype=np.float64).reshape(
            -1, 4
        )
        self.rotation = np.zeros(length)
        self.visible: Flags = np.array([box is not None for box in boxes], dtype=bool)
        # Where a human has spoken the dense box does not count.
        self.free: Flags = np.zeros(length, dtype=bool)
        self.pinned: Flags = np.zeros(length, dtype=bool)
        for position, keyframe in fixed.items():
            self._lay(position, keyframe)
            self.pinned[position] = True
        for position, keyframe in fixed.items():
            if keyframe.enabled and position + 1 < length and not self.visible[position + 1]:
                self._lay(position + 1, keyframe)
        turned = self.rotation % 360.0 != 0
        self.anchored: Flags = self.pinned.copy()
        self.anchored[1:] |= turned[:-1]
        self.anchored[:-1] |= turned[1:]
        self.anchored &= self.pinned | ~self.free
        self.spans = self._find_spans()

    def _lay(self, position: int, keyframe: Keyframe) -> None:
        self.boxes[position] = keyframe.box
        self.rotation[position] = keyframe.rotation
        self.visible[position] = self.free[position] = True

    def _find_spans(self) -> list[tuple[int, int]]:
        """The visible spans as (first, last) position, inclusive."""
        spans: list[tuple[int, int]] = []
        first: int | None = None
        for position in np.flatnonzero(self.visible).tolist():
            first = position if first is None else first
            keyframe = self.fixed.get(position)
            closed = keyframe is not None and not keyframe.enabled
            if closed or position + 1 == len(self.visible) or not self.visible[position + 1]:
                spans.append((first, position))
                first = None
        return spans

    def thin_span(self, first: int, last: int, bound: float) -> list[Keyframe]:
        """The keyframes of one visible span."""
        inside = slice(first, last + 1)
        is_open = last == len(self.visible) - 1 and not self.pinned[last]
        target, free = self.boxes[inside], self.free[inside]
        anchored = self.anchored[inside].copy()
        anchored[0] = True
        anchored[-1] |= not is_open
        anchors = np.flatnonzero(anchored)
        chosen = [_fewest_between(target[a : b + 1], free[a : b + 1], bound) + a for a, b in pairwise(anchors.tolist())]
        # What follows the last anchor: nothing at all where the span is closed, since that is its last position.
        tail = anchors[-1]
        chosen.append(_fewest_between(target[tail:], free[tail:], bound, is_open=True) + tail)
        positions, values = refit(np.concatenate(chosen), target, bound=bound, free=free, kept=anchored)
        values = polish(positions, values, target, bound=bound, free=free)
        keyframes = []
        for position, (x0, y0, x1, y1) in zip((positions + first).tolist(), values.tolist(), strict=True):
            enabled = position != last or is_open
            rotation = float(self.rotation[position])
            keyframe = self.fixed.get(position) or Keyframe(position, (x0, y0, x1, y1), enabled, rotation)
            keyframes.append(keyframe)
        return keyframes


def _fewest_between(boxes: FloatBoxes, free: Flags, bound: float, *, is_open: bool = False) -> Positions:
    """The fewest positions from the first to the last, the last excluded, whose boxes meet the bound when joined.

    With ``is_open`` the last position need not be a keyframe and the box of the last chosen one, which is included,
    stays until then. A shortest path: an edge joins two positions, at most ``MAX_GAP`` apart, where every box
    between them is met; edges to the next position always hold.
    """
    count = len(boxes)
    steps = np.full(count, count + 1)
    parent = np.zeros(count, dtype=np.intp)
    steps[0] = 0
    lower, upper = _tolerances(boxes, free, bound)
    if is_open:
        if _meets(boxes[:1], boxes[1:], free[1:], bound):
            return np.zeros(1, dtype=np.intp)
    elif _meets(_lines(boxes, 0, np.array([count - 1]))[0], boxes[1:-1], free[1:-1], bound):
        return np.zeros(1, dtype=np.intp)
    for start in range(count - 1):
        better = np.flatnonzero(steps[start + 1 : start + 1 + MAX_GAP] > steps[start] + 1) + start + 1
        ends = _reachable(boxes, lower, upper, free, bound, start, better)
        steps[ends] = steps[start] + 1
        parent[ends] = start
    end = count - 1
    if is_open:
        tails = sorted(range(max(0, count - 1 - MAX_GAP), count), key=steps.__getitem__)
        end = next(i for i in tails if _meets(boxes[i], boxes[i + 1 :], free[i + 1 :], bound))
    path = [end] if is_open else []
    while end:
        end = int(parent[end])
        path.append(end)
    return np.array(path[::-1], dtype=np.intp)


def _reachable(
    boxes: FloatBoxes, lower: FloatBoxes, upper: FloatBoxes, free: Flags, bound: float, start: int, ends: Positions
) -> Positions:
    """Those of ``ends`` that a straight line from ``start`` reaches within the bound."""
    if len(ends) == 0:
        return ends
    # An edge of the box that strays too far is enough to fail: intersecting the slopes that stay near enough, over the
    # positions passed, sorts out most ends before any IoU is computed.
    distance = np.arange(1, ends[-1] - start + 1, dtype=np.float64)[:, None]
    passed = slice(start + 1, int(ends[-1]) + 1)
    lowest = np.maximum.accumulate((lower[passed] - boxes[start]) / distance)
    highest = np.minimum.accumulate((upper[passed] - boxes[start]) / distance)
    slope = (boxes[passed] - boxes[start]) / distance
    allowed = np.ones(len(slope), dtype=bool)
    allowed[1:] = ((slope[1:] >= lowest[:-1]) & (slope[1:] <= highest[:-1])).all(axis=1)
    ends = ends[allowed[ends - start - 1]]
    if len(ends) == 0 or ends[-1] == start + 1:
        return ends
    between = slice(start + 1, int(ends[-1]))
    met = ious(_lines(boxes, start, ends), boxes[between]) >= bound
    beyond = np.arange(start + 1, ends[-1]) >= ends[:, None]
    return ends[(met | free[between] | beyond).all(axis=1)]


def _lines(boxes: FloatBoxes, start: int, ends: Positions) -> FloatBoxes:
    """Boxes on the straight lines from ``start`` to each of ``ends``, up to before the furthest of them: (E, P, 4)."""
    t = np.arange(1, int(ends[-1]) - start) / (ends - start)[:, None]
    return np.asarray(boxes[start] + t[..., None] * (boxes[ends] - boxes[start])[:, None])


def _meets(drawn: FloatBoxes, boxes: FloatBoxes, free: Flags, bound: float) -> bool:
    return bool((free | (ious(drawn, boxes) >= bound)).all())


def _tolerances(boxes: FloatBoxes, free: Flags, bound: float) -> tuple[FloatBoxes, FloatBoxes]:
    """How far each edge may go at most, whatever the others do, for an IoU of ``bound``: lower, upper; (N, 4) each.

    A box that sticks out by d on one side of a box of width w has an IoU of at most w / (w + d); one that falls short
    by d, of at most (w - d) / w.
    """
    size = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    out, short = size * (1 / bound - 1), size * (1 - bound)
    outward = np.array([True, True, False, False])
    lower = boxes - np.where(outward, out, short)
    upper = boxes + np.where(outward, short, out)
    lower[free], upper[free] = -np.inf, np.inf
    return lower, upper
