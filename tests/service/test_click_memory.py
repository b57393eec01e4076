"""What is kept of clicks."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from backend.service.click_memory import Asked, ClickMemory, Made
from backend.tracks import Mask, Point

MASK = Mask.from_array(np.eye(20, dtype=bool))
OTHER = Mask.from_array(np.ones((20, 20), bool))
HERE, THERE = Point(3, 3), Point(9, 9)


def asked(name: str = "a", frame: int = 0, **more: Any) -> Asked:
    return Asked(name, f"{name}-{frame}", "Car", frame, (20, 20), **{"points": (HERE,), **more})


def made(one: Asked) -> Made:
    return Made(one, MASK, 0.5, cast(Any, None), 0.0)


def test_an_object_has_one_answer_on_each_picture_and_the_latest_comes_last() -> None:
    memory = ClickMemory()
    first, second, third, later = (made(asked(*of)) for of in (("a", 0), ("b", 0), ("a", 1), ("a", 0)))
    for one in (first, second, third, later):
        memory.put("1", "7", one)
    memory.put("1", "8", first)
    memory.put("2", "7", first)
    assert memory.of("1", "7") == [second, third, later]


def test_few_are_kept() -> None:
    memory = ClickMemory(kept=2)
    kept = [made(asked(name)) for name in "abc"]
    for one in kept:
        memory.put("1", "7", one)
    assert memory.of("1", "7") == kept[1:]


def test_what_is_dropped_is_the_very_answer() -> None:
    memory = ClickMemory()
    old, new = made(asked()), made(asked())
    memory.put("1", "7", old)
    memory.put("1", "7", new)
    memory.drop("1", "7", old)
    assert memory.of("1", "7") == [new]
    memory.drop("1", "7", new)
    assert memory.of("1", "7") == []


@pytest.mark.parametrize(
    ("now", "goes_on", "same"),
    [
        (asked(), True, True),
        (asked(points=(HERE, THERE)), True, False),
        (asked(points=(THERE,)), False, False),
        (asked(points=()), False, False),
        (asked(base=MASK), False, False),
        (asked(box=(0, 0, 9, 9)), False, False),
        (asked(frame=1), False, False),
    ],
)
def test_what_goes_on_from_one_click(now: Asked, goes_on: bool, same: bool) -> None:
    assert (now.goes_on_from(asked()), now.says_the_same(asked())) == (goes_on, same)


def test_what_is_mended_goes_on_from_the_same_mask_only() -> None:
    assert asked(base=MASK, points=(HERE, THERE)).goes_on_from(asked(base=Mask(MASK.size, MASK.counts)))
    assert not asked(base=OTHER).goes_on_from(asked(base=MASK))


def test_what_is_mended_is_in_a_box_that_holds_the_clicks_that_belong_to_it() -> None:
    prompt = asked(base=MASK, points=(Point(25, 5), Point(2, 30, positive=False))).prompt
    assert prompt.box == (0, 0, 25, 20)
    assert prompt.mask is not None and (prompt.mask == MASK.array()).all()
    assert asked(box=(1, 1, 5, 5)).prompt.mask is None


@pytest.mark.parametrize(
    ("now", "limited"),
    [
        (asked(base=MASK, points=(Point(2, 9, positive=False),)), True),
        (asked(base=MASK, points=(HERE, Point(2, 9, positive=False))), False),
        (asked(base=MASK, points=(), box=(0, 0, 9, 9)), False),
        (asked(), False),
    ],
)
def test_clicks_that_only_take_away_add_nothing(now: Asked, limited: bool) -> None:
    found = now.limit(OTHER.array())
    assert (found == (MASK if limited else OTHER).array()).all()


def test_specks_do_not_widen_the_box_of_what_is_mended() -> None:
    drawn = np.zeros((100, 100), bool)
    drawn[10:60, 10:60] = drawn[90, 90] = True
    assert asked(base=Mask.from_array(drawn), points=(Point(20, 20),)).prompt.box == (10, 10, 60, 60)


def test_what_takes_much_memory_makes_room_and_the_last_answer_stays() -> None:
    size = made(asked()).size
    memory = ClickMemory(kept_bytes=2 * size)
    kept = [made(asked(name)) for name in "abcc"]
    for one in kept:
        memory.put("1", "7", one)
    assert memory.of("1", "7") == [kept[1], kept[3]]
    memory.drop("1", "7", kept[1])
    memory.put("1", "7", made(asked("d")))
    assert len(memory.of("1", "7")) == 2
    huge = made(asked("e", points=(HERE,) * 4000))
    assert huge.size > 2 * size
    memory.put("1", "7", huge)
    assert memory.of("1", "7") == [huge]
    memory.put("1", "7", kept[0])
    assert memory.of("1", "7") == [kept[0]]
