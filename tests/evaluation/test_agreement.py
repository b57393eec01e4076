from __future__ import annotations

from collections.abc import Iterable

import pytest

from backend.evaluation.agreement import Agreement, compare
from backend.tracks import Track
from support.tracked import square, tracked


def still(name: str, frames: Iterable[int], x: int = 20, absent: Iterable[int] = ()) -> Track:
    masks = dict.fromkeys(frames, square((80, 60), x, 20, 10))
    return tracked(name, masks | dict.fromkeys(absent)).track


def both(first: Iterable[Track], second: Iterable[Track]) -> Agreement:
    return compare(first, second, ("whole", "pieces"))


def test_the_same_under_other_names_is_the_same() -> None:
    found = both(
        [still("1", range(10), 0, absent=[10, 11]), still("2", range(10), 40)],
        [still("7", range(10), 40), still("3", range(10), 0)],
    )
    assert found.pairs == {"1": "3", "2": "7"}
    assert (found.objects, found.boxes, found.same) == ((2, 2), (20, 20), 20)
    assert (found.share, found.iou, found.differences) == (1.0, 1.0, [])


def test_boxes_that_are_a_little_off_agree_less() -> None:
    found = both([still("1", range(4))], [still("1", range(4), 22)])
    assert (found.share, found.iou) == (1.0, pytest.approx(80 / 120))


def test_an_object_that_becomes_another_one_is_told() -> None:
    found = both([still("1", range(10))], [still("1", range(7)), still("2", range(7, 10))])
    assert found.share == pytest.approx(2 * 7 / 20)
    assert found.differences == ["whole 1: pieces has 2 on 7-9, elsewhere 1"]


def test_two_that_become_one_are_told() -> None:
    found = both([still("1", range(7)), still("2", range(7, 10))], [still("1", range(10))])
    assert found.share == pytest.approx(2 * 7 / 20)
    assert found.differences == ["whole 2: pieces has 1 on 7-9"]


def test_what_only_one_of_them_has_is_told_in_the_order_of_time() -> None:
    found = both(
        [still("1", range(10)), still("2", [4, 5, 9], 60)],
        [still("1", [*range(8), 9]), still("9", range(3, 5), 0)],
    )
    assert found.differences == [
        "pieces 9: whole has nothing there on 3-4",
        "whole 2: pieces has nothing there on 4-5, 9",
        "whole 1: pieces has nothing there on 8, elsewhere 1",
    ]
    assert found.share == pytest.approx(2 * 9 / (13 + 11))


def test_two_objects_that_exchange_their_names() -> None:
    names = [still("1", range(10), 0), still("2", range(10), 40)]
    left = tracked("1", {f: square((80, 60), 0 if f < 6 else 40, 20, 10) for f in range(10)}).track
    right = tracked("2", {f: square((80, 60), 40 if f < 6 else 0, 20, 10) for f in range(10)}).track
    found = both(names, [left, right])
    assert found.share == pytest.approx(0.6)
    assert found.differences == [
        "whole 1: pieces has 2 on 6-9, elsewhere 1",
        "whole 2: pieces has 1 on 6-9, elsewhere 2",
    ]


def test_nothing_agrees_with_nothing() -> None:
    assert both([], []).share == 1.0
    assert both([still("1", range(3))], []).share == 0.0
    assert both([], [still("1", range(3))]).differences == ["pieces 1: whole has nothing there on 0-2"]
