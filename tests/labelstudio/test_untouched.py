from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.labelstudio.regions import Region, format_region
from backend.labelstudio.untouched import Earlier, untouched_gaps
from backend.video.clock import FrameClock

SIZE = (200, 100)
LAST = 40


def item(frame: int, x: float = 10.0, *, enabled: bool = True) -> dict[str, Any]:
    return {"frame": frame, "enabled": enabled, "rotation": 0, "x": x, "y": 20.0, "width": 10.0, "height": 20.0}


def gaps(
    human: list[Any], *, closed: set[int] | None = None, touched: list[int] | None = None
) -> list[tuple[int, int]]:
    """Beside a region with keyframes of a human on frames 10, 20 and 30."""
    earlier = Earlier([item(10), item(20), item(30)], frozenset(), [])
    found = untouched_gaps(earlier, human, closed or set(), touched or [], LAST)
    return [(gap[0], gap[-1]) for gap in found]


HEAD, FIRST, SECOND, TAIL = (1, 9), (11, 19), (21, 29), (31, 40)


@pytest.mark.parametrize(
    ("human", "expected"),
    [
        ([item(10), item(20), item(30)], [HEAD, FIRST, SECOND, TAIL]),
        ([item(10), item(20, 11.0), item(30)], [HEAD, TAIL]),
        ([item(10), item(20), item(30, enabled=False)], [HEAD, FIRST]),
        ([item(10), item(20), item(25), item(30)], [HEAD, FIRST, TAIL]),
        ([item(10), item(20), item(21), item(30)], [HEAD, FIRST, TAIL]),
        ([item(10), item(30)], [HEAD, TAIL]),
        ([item(20), item(30)], [SECOND, TAIL]),
        ([item(1), item(10), item(20), item(30), item(40)], [FIRST, SECOND]),
        ([], []),
    ],
)
def test_a_gap_whose_ends_are_as_they_were_is_untouched(human: list[Any], expected: list[tuple[int, int]]) -> None:
    assert gaps(human) == expected


def test_what_was_tracked_again_is_not_untouched() -> None:
    assert gaps([item(10), item(20), item(30)], touched=[11, 35]) == [HEAD, SECOND]


def test_a_keyframe_that_hides_what_follows_touches_both_sides() -> None:
    assert gaps([item(10), item(20), item(30)], closed={20}) == [HEAD, TAIL]


def test_an_untouched_gap_keeps_its_keyframes_to_the_last_bit_and_the_others_are_drawn_anew() -> None:
    clock = FrameClock(np.arange(LAST) / 10, LAST / 10, 10)
    human = [item(10), item(20), item(30)]
    odd = [item(5, 10.123456789012345), item(14, 9.87654321), item(33, 10.1, enabled=False)]
    before = sorted([*human, *odd], key=lambda one: one["frame"])
    moved = [item(10), item(20), item(30, 12.0)]
    raw = {"id": "a", "type": "videorectangle", "value": {"labels": ["Car"], "sequence": before}}
    region = Region("a", ("Car",), tuple(before), "both", raw)
    boxes = dict.fromkeys(range(LAST), (20.0, 20.0, 40.0, 40.0))
    touched = dict.fromkeys(range(25, LAST), (30.0, 20.0, 50.0, 40.0))
    result = format_region(
        region,
        {**boxes, **touched},
        clock,
        SIZE,
        human=moved,
        closed=(),
        earlier=Earlier(human, (), before),
        touched=touched,
    )
    sequence = result["value"]["sequence"]
    assert [one["frame"] for one in sequence] == sorted(one["frame"] for one in sequence)
    assert [one for one in sequence if one["frame"] <= 20] == [odd[0], human[0], odd[1], human[1]]
    assert all(one["enabled"] for one in sequence if one["frame"] > 20)
    assert any(20 < one["frame"] < 30 for one in sequence)
    assert moved[2] in sequence


def test_without_anything_earlier_all_is_drawn() -> None:
    clock = FrameClock(np.arange(LAST) / 10, LAST / 10, 10)
    raw = {"id": "a", "type": "videorectangle", "value": {"labels": ["Car"], "sequence": [item(10)]}}
    region = Region("a", ("Car",), (item(10),), "both", raw)
    boxes = {index: (20.0 + index, 20.0, 40.0 + index, 40.0) for index in range(LAST)}
    sequence = format_region(region, boxes, clock, SIZE, human=[item(10)])["value"]["sequence"]
    assert sequence[0]["frame"] == 1
