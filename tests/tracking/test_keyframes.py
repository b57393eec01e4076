"""`thin` and `interpolate` against each other, against Label Studio's rules, and against every alternative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.tracking import keyframes
from backend.tracking.keyframes import MAX_GAP, interpolate, thin
from backend.tracks import Box, Keyframe, box_iou

A: Box = (10.0, 20.0, 110.0, 220.0)
B: Box = (30.0, 20.0, 130.0, 220.0)
FAR: Box = (400.0, 300.0, 480.0, 360.0)
ROUNDING = 1e-9


def moved(box: Box, dx: float, dy: float = 0.0) -> Box:
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def noisy_walk(length: int, noise: float, seed: int = 0) -> list[Box]:
    """A box of 100 x 150 that turns every 40 positions, each edge off by a normal ``noise`` in pixels."""
    random = np.random.default_rng(seed)
    velocity = np.repeat(random.normal(scale=3.0, size=(length // 40 + 1, 2)), 40, axis=0)[:length]
    path = np.cumsum(velocity, axis=0)
    boxes = (
        np.array([200.0, 200.0, 300.0, 350.0]) + path[:, [0, 1, 0, 1]] + random.normal(scale=noise, size=(length, 4))
    )
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in boxes.tolist()]


def faults(
    drawn: Sequence[Keyframe], boxes: Sequence[Box | None], iou: float, fixed: Mapping[int, Keyframe]
) -> list[str]:
    """What is wrong with what Label Studio would draw from the keyframes, position by position."""
    found = []
    for position, box in enumerate(boxes):
        shown = interpolate(drawn, position)
        if position in fixed:
            if shown is not fixed[position]:
                found.append(f"{position}: the human keyframe is {shown}")
        elif box is not None:
            if shown is None:
                found.append(f"{position}: hidden")
            elif shown.rotation % 360 != 0:
                found.append(f"{position}: rotated by {shown.rotation}")
            elif box_iou(shown.box, box) < iou - ROUNDING:
                found.append(f"{position}: IoU {box_iou(shown.box, box)}")
        elif shown is not None and not cannot_hide(position, fixed):
            found.append(f"{position}: shown")
    return found


def cannot_hide(position: int, fixed: Mapping[int, Keyframe]) -> bool:
    """An enabled human keyframe just before an absent position: only the next keyframe can end what it shows."""
    return position - 1 in fixed and fixed[position - 1].enabled


def fewest(boxes: Sequence[Box | None], iou: float, fixed: Mapping[int, Keyframe]) -> int:
    """How many keyframes on the dense boxes do it, found by trying every set of them with every ``enabled``."""
    options: dict[int, list[Keyframe]] = {}
    for position, box in enumerate(boxes):
        if position in fixed:
            options[position] = [fixed[position]]
        elif box is not None:
            options[position] = [Keyframe(position, box, enabled) for enabled in (True, False)]
        elif cannot_hide(position, fixed):
            before = fixed[position - 1]
            options[position] = [Keyframe(position, before.box, False, before.rotation)]
    optional = sorted(set(options) - set(fixed))
    for count in range(len(optional) + 1):
        for chosen in combinations(optional, count):
            for choice in product(*(options[position] for position in sorted({*chosen, *fixed}))):
                if not faults(choice, boxes, iou, fixed):
                    return len(choice)
    raise AssertionError("not even all of them do it")


def near(keyframe: Keyframe, fixed: Mapping[int, Keyframe]) -> bool:
    """Whether it is a human's keyframe, or may be the copy that ends one."""
    return keyframe.position in fixed or keyframe.position - 1 in fixed


edges = st.integers(0, 12)
sizes = st.integers(30, 36)
small_boxes = st.builds(lambda x, y, w, h: (float(x), float(y), float(x + w), float(y + h)), edges, edges, sizes, sizes)
timelines = st.lists(st.none() | small_boxes, max_size=7)


@st.composite
def timelines_with_humans(draw: st.DrawFn) -> tuple[list[Box | None], dict[int, Keyframe]]:
    boxes = draw(timelines)
    humans = draw(st.sets(st.integers(0, len(boxes) - 1), max_size=3)) if boxes else set()
    return boxes, {
        position: Keyframe(
            position, draw(small_boxes), draw(st.booleans()), draw(st.sampled_from([0.0, 0.0, 30.0, -45.0, 360.0]))
        )
        for position in humans
    }


@given(timelines_with_humans(), st.sampled_from([0.5, 0.8, 0.9, 0.95, 1.0]))
@settings(max_examples=150, deadline=None)
def test_no_choice_of_dense_keyframes_is_smaller(
    case: tuple[list[Box | None], dict[int, Keyframe]], iou: float
) -> None:
    boxes, fixed = case
    thinned = thin(boxes, iou=iou, fixed=fixed)
    assert faults(thinned, boxes, iou, fixed) == []
    assert len(thinned) <= fewest(boxes, iou, fixed)
    assert [k.position for k in thinned] == sorted({k.position for k in thinned})


@given(
    st.integers(0, 10_000),
    st.integers(1, 150),
    st.floats(0, 4),
    st.floats(0.5, 0.99),
    st.sets(st.integers(0, 149), max_size=30),
    st.sets(st.integers(0, 149), max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_every_visible_box_is_met(
    seed: int, length: int, noise: float, iou: float, absent: set[int], human: set[int]
) -> None:
    walk = noisy_walk(length, noise, seed)
    boxes = [None if position in absent else box for position, box in enumerate(walk)]
    fixed = {
        position: Keyframe(position, moved(walk[position], 5.0, -3.0), rotation=30.0 * (position % 2))
        for position in human
        if position < length
    }
    thinned = thin(boxes, iou=iou, fixed=fixed)
    assert faults(thinned, boxes, iou, fixed) == []
    placed = np.array([keyframe.box for keyframe in thinned if keyframe.rotation == 0 and not near(keyframe, fixed)])
    if len(placed):
        dense = np.array([box for box in boxes if box is not None])
        assert (placed >= dense.min(axis=0)).all(), "further out than any dense box"
        assert (placed <= dense.max(axis=0)).all(), "further out than any dense box"


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        pytest.param([], [], id="no timeline"),
        pytest.param([None, None], [], id="never there"),
        pytest.param([A, A, A], [Keyframe(0, A)], id="always there and still: one keyframe, open"),
        pytest.param([A, A, None], [Keyframe(0, A), Keyframe(1, A, False)], id="leaves: disabled where last seen"),
        pytest.param([None, None, A, A], [Keyframe(2, A)], id="enters"),
        pytest.param([None, A, None], [Keyframe(1, A, False)], id="one frame: a single disabled keyframe"),
        pytest.param([A, None, None], [Keyframe(0, A, False)], id="the first frame only"),
        pytest.param([None, A], [Keyframe(1, A)], id="the last frame only"),
        pytest.param(
            [A, A, None, None, B, B, B, None],
            [Keyframe(0, A), Keyframe(1, A, False), Keyframe(4, B), Keyframe(6, B, False)],
            id="returns",
        ),
        pytest.param(
            [A, None, FAR, None, B],
            [Keyframe(0, A, False), Keyframe(2, FAR, False), Keyframe(4, B)],
            id="flickers",
        ),
        pytest.param(
            [A, A, FAR, FAR, None],
            [Keyframe(0, A), Keyframe(1, A), Keyframe(2, FAR), Keyframe(3, FAR, False)],
            id="jumps",
        ),
    ],
)
def test_spans(boxes: list[Box | None], expected: list[Keyframe]) -> None:
    assert thin(boxes) == expected


H = Keyframe(2, moved(A, 40.0))


@pytest.mark.parametrize(
    ("boxes", "human", "expected"),
    [
        pytest.param([A] * 5, H, [Keyframe(0, A), Keyframe(1, A), H, Keyframe(3, A)], id="differs from the dense box"),
        pytest.param([None] * 5, H, [H, Keyframe(3, H.box, False)], id="nothing seen: one position more, then hidden"),
        pytest.param([None] * 3, H, [H], id="nothing seen, at the end"),
        pytest.param([None, None, None, H.box, None], H, [H, Keyframe(3, H.box, False)], id="seen after it only"),
        pytest.param(
            [H.box, H.box, H.box, None, None],
            H,
            [Keyframe(0, H.box), H, Keyframe(3, H.box, False)],
            id="on the last position seen: one position more",
        ),
        pytest.param(
            [H.box] * 3 + [None] * 2 + [H.box],
            H,
            [Keyframe(0, H.box), H, Keyframe(3, H.box, False), Keyframe(5, H.box)],
            id="gap after it",
        ),
        pytest.param(
            [H.box] * 3 + [None, H.box],
            H,
            [Keyframe(0, H.box), H],
            id="a gap of one after it: shown through",
        ),
        pytest.param(
            [H.box] * 3 + [None] * 2,
            Keyframe(2, H.box, False),
            [Keyframe(0, H.box), Keyframe(2, H.box, False)],
            id="disabled, on the last position seen",
        ),
        pytest.param(
            [H.box] * 5,
            Keyframe(2, H.box, False),
            [Keyframe(0, H.box), Keyframe(2, H.box, False), Keyframe(3, H.box)],
            id="disabled, seen on: a new span follows",
        ),
        pytest.param([None] * 5, Keyframe(2, H.box, False), [Keyframe(2, H.box, False)], id="disabled, nothing seen"),
        pytest.param(
            [A] * 5,
            Keyframe(2, A, rotation=30.0),
            [Keyframe(0, A), Keyframe(1, A), Keyframe(2, A, rotation=30.0), Keyframe(3, A)],
            id="rotated: kept apart from its neighbours",
        ),
        pytest.param(
            [A] * 5,
            Keyframe(2, A, rotation=360.0),
            [Keyframe(0, A), Keyframe(2, A, rotation=360.0)],
            id="rotated by a full turn: as if not",
        ),
        pytest.param(
            [None] * 5,
            Keyframe(2, A, rotation=30.0),
            [Keyframe(2, A, rotation=30.0), Keyframe(3, A, False, 30.0)],
            id="rotated, nothing seen",
        ),
    ],
)
def test_human_keyframes(boxes: list[Box | None], human: Keyframe, expected: list[Keyframe]) -> None:
    fixed = {human.position: human}
    thinned = thin(boxes, fixed=fixed)
    assert thinned == expected
    assert faults(thinned, boxes, 0.95, fixed) == []


def test_a_long_straight_run_takes_two_keyframes_whatever_the_gap() -> None:
    length = 20 * MAX_GAP
    boxes: list[Box | None] = [moved(A, 0.5 * position) for position in range(length)]
    assert [keyframe.position for keyframe in thin([*boxes, None])] == [0, length - 1]
    start, end = thin(boxes)
    assert start.position == 0
    assert end.position > length - MAX_GAP


def test_long_straight_runs_between_turns_are_joined() -> None:
    out = [moved(A, 0.5 * position) for position in range(10 * MAX_GAP)]
    boxes: list[Box | None] = [*out, *reversed(out), None]
    _, turn, _ = thin(boxes)
    assert abs(turn.position - len(out)) < 10


def test_keyframes_off_the_dense_boxes_halve_their_number_on_a_noisy_track(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = noisy_walk(400, noise=1.3)
    refitted = len(thin(boxes))
    monkeypatch.setattr(keyframes, "refit", lambda knots, dense, **_: (knots, dense[knots]))
    assert refitted < len(thin(boxes)) / 2


def test_a_looser_bound_takes_fewer() -> None:
    boxes = noisy_walk(300, noise=1.0)
    counts = [len(thin(boxes, iou=iou)) for iou in (0.99, 0.95, 0.9, 0.7)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


def test_the_input_is_left_alone() -> None:
    boxes: list[Box | None] = [A, B, None, FAR]
    fixed = {1: Keyframe(1, FAR)}
    thin(boxes, fixed=fixed)
    assert boxes == [A, B, None, FAR]
    assert fixed == {1: Keyframe(1, FAR)}


@pytest.mark.parametrize(
    ("iou", "fixed", "message"),
    [
        (0.0, {}, "iou"),
        (1.5, {}, "iou"),
        (0.9, {1: Keyframe(0, A)}, "fixed keyframe 0 at 1"),
        (0.9, {2: Keyframe(2, A)}, "fixed keyframe 2 at 2 of 2"),
        (0.9, {-1: Keyframe(-1, A)}, "fixed keyframe -1"),
    ],
)
def test_misuse_is_refused(iou: float, fixed: dict[int, Keyframe], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        thin([A, A], iou=iou, fixed=fixed)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        (0, None),
        (2, Keyframe(2, A)),
        (3, Keyframe(3, moved(A, 5.0))),
        (6, Keyframe(6, B, False)),
        (7, None),
        (9, None),
        (10, Keyframe(10, FAR)),
        (99, Keyframe(99, FAR)),
    ],
)
def test_interpolate(position: int, expected: Keyframe | None) -> None:
    assert interpolate([Keyframe(2, A), Keyframe(6, B, False), Keyframe(10, FAR)], position) == expected


@pytest.mark.parametrize(
    ("start", "end", "halfway"),
    [(0, 90, 45), (350, 10, 360), (10, 350, 0), (-170, 170, -180), (0, 360, 0), (30, 30, 30)],
)
def test_rotation_takes_the_shortest_arc(start: float, end: float, halfway: float) -> None:
    shown = interpolate([Keyframe(0, A, rotation=start), Keyframe(2, A, rotation=end)], 1)
    assert shown is not None
    assert shown.rotation == pytest.approx(halfway)


def test_no_keyframes_show_nothing() -> None:
    assert interpolate([], 0) is None
