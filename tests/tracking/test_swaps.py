from __future__ import annotations

from collections.abc import Collection

import pytest

from backend.tracking.swaps import Exchange, find_exchange, generalised_iou
from backend.tracks import Box

COUNT = 41


def box(x: float, y: float = 20.0) -> Box:
    return (x, y, x + 10, y + 20)


def right(frame: int) -> Box:
    """Goes right; crosses the other on frame 20."""
    return box(4.0 * frame)


def left(frame: int) -> Box:
    return box(160 - 4.0 * frame, 24.0)


SWAPPED: dict[str, dict[int, Box | None]] = {
    "a": {frame: right(frame) if frame < 20 else left(frame) for frame in range(COUNT)},
    "b": {frame: left(frame) if frame < 20 else right(frame) for frame in range(COUNT)},
}


def found(frame: int = 30, at: Box | None = None, **human: Collection[int]) -> Exchange | None:
    """What a correction of ``a`` on a frame says; humans have drawn both objects on frame 0 unless told otherwise."""
    return find_exchange("a", frame, {frame: at or right(frame)}, SWAPPED, {"a": {0, frame}, "b": {0}} | human)


def test_the_tails_are_exchanged_from_the_crossing_on() -> None:
    assert found() == Exchange("b", range(20, COUNT))
    exchange = found()
    assert exchange is not None and exchange.crossing == 20


@pytest.mark.parametrize(
    ("human", "expected"),
    [
        ({"a": {0, 30, 35}}, range(20, 35)),
        ({"b": {0, 33}}, range(20, 33)),
        ({"a": {0, 35}, "b": {0, 33}}, range(20, 33)),
        ({"a": {0, 12}, "b": {0, 15}}, range(20, COUNT)),
        ({"b": {40}}, range(20, 40)),
    ],
)
def test_up_to_where_a_human_speaks_of_either(human: dict[str, Collection[int]], expected: range) -> None:
    assert found(**human) == Exchange("b", expected)


@pytest.mark.parametrize(
    "human",
    [
        {"b": {0, 30}},  # the human says that the other one is there
        {"b": {0, 25}},  # ... or was after they met, far from there
        {"a": {0, 26}},
    ],
)
def test_a_human_who_says_otherwise_is_heeded(human: dict[str, Collection[int]]) -> None:
    assert found(**human) is None


def test_an_object_that_is_known_from_later_frames_is_exchanged_backwards() -> None:
    # Both were marked on the last frame: before the crossing each follows the other's object.
    exchange = found(10, left(10), a={40}, b={40})
    assert exchange == Exchange("b", range(21), backwards=True)
    assert exchange.crossing == 20
    assert found(10, left(10), a={40}, b={5, 40}) == Exchange("b", range(6, 21), backwards=True)


@pytest.mark.parametrize("at", [left(30), box(0.0), box(130.0, 34.0), (120.0, 20.0, 160.0, 40.0)])
def test_a_box_that_lies_on_no_other_track(at: Box) -> None:
    assert found(at=at) is None


def test_an_object_whose_own_track_is_absent_may_stand_behind_the_other() -> None:
    tracks = {"a": {**SWAPPED["a"], 30: None}, "b": SWAPPED["b"]}
    assert find_exchange("a", 30, {30: right(30)}, tracks, {"a": {0}, "b": {0}}) is None


def test_tracks_that_never_met_are_not_exchanged() -> None:
    far = {frame: box(4.0 * frame, 120.0) for frame in range(COUNT)}
    tracks = {"a": far, "b": SWAPPED["b"]}
    assert find_exchange("a", 30, {30: right(30)}, tracks, {"a": {0}, "b": {0}}) is None


def test_one_may_be_hidden_while_they_cross() -> None:
    hidden: dict[int, Box | None] = {**SWAPPED["b"], **dict.fromkeys(range(19, 22))}
    exchange = find_exchange("a", 30, {30: right(30)}, {"a": SWAPPED["a"], "b": hidden}, {"a": {0}, "b": {0}})
    assert exchange is not None and exchange.crossing in (18, 22)


def test_corrections_that_say_the_same_are_no_limit_to_one_another() -> None:
    both = {30: right(30), 35: right(35)}
    assert find_exchange("a", 30, both, SWAPPED, {"a": {0, 30, 35}, "b": {0}}) == Exchange("b", range(20, COUNT))
    apart = {30: right(30), 35: left(35)}
    assert find_exchange("a", 30, apart, SWAPPED, {"a": {0, 30, 35}, "b": {0}}) == Exchange("b", range(20, 35))


def test_of_several_tracks_it_is_the_one_that_fits_best() -> None:
    near = {frame: None if one is None else box(one[0] + 1) for frame, one in SWAPPED["b"].items()}
    tracks = {"a": SWAPPED["a"], "c": near, "b": SWAPPED["b"]}
    exchange = find_exchange("a", 30, {30: right(30)}, tracks, {"a": {0}, "b": {0}, "c": {0}})
    assert exchange is not None and exchange.other == "b"


def test_frames_that_only_one_of_them_has_are_not_exchanged() -> None:
    short = {frame: one for frame, one in SWAPPED["b"].items() if frame <= 36}
    exchange = find_exchange("a", 30, {30: right(30)}, {"a": SWAPPED["a"], "b": short}, {"a": {0}, "b": {0}})
    assert exchange == Exchange("b", range(20, 37))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (box(0), box(0), 1.0),
        (box(0), box(5), 1 / 3),
        (box(0), box(10), 0.0),
        (box(0), box(20), -1 / 3),
        (box(0), box(10, 40.0), -0.5),
        ((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), 0.0),
    ],
)
def test_generalised_iou(one: Box, other: Box, expected: float) -> None:
    assert generalised_iou(one, other) == pytest.approx(expected)
