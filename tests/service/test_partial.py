from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backend.service.partial import compare, is_settled, reach_of
from backend.service.records import Base
from backend.tracks import Direction, Mask, Observation, Prompt
from backend.video.clock import FrameClock

BOX = (2.0, 2.0, 8.0, 8.0)
CLOCK = FrameClock(np.arange(20) / 10, 2.0, 10)


def item(frame: int, x: float = 10.0, *, enabled: bool = True) -> dict[str, Any]:
    return {"frame": frame, "enabled": enabled, "rotation": 0, "x": x, "y": 20.0, "width": 10.0, "height": 20.0}


def observed(frame: int, *, human: bool = False, present: bool = True) -> Observation:
    mask = np.zeros((12, 16), bool)
    mask[2:8, 2:8] = True
    return Observation("a", frame, Mask.from_array(mask) if present else None, 0.9, human)


BASE = Base(3, [item(5), item(15)], frozenset(), [item(1, 9.0), item(5), item(10, 11.0), item(15)])
TRACKED = [observed(frame, human=frame in (4, 14)) for frame in range(20)]


@pytest.mark.parametrize(
    ("human", "changed", "removed"),
    [
        ([item(5), item(15)], set(), set()),
        ([item(5), item(15, 10.0 + 1e-9)], set(), set()),
        ([item(5), item(15, 10.1)], {14}, set()),
        ([item(5), item(15, enabled=False)], set(), set()),
        ([item(5), item(8), item(15)], {7}, set()),
        ([item(15)], set(), {4}),
        ([item(5), item(16)], {15}, {14}),
        # The human switched off what the model had drawn there; or moved it.
        ([item(5), item(10, 11.0, enabled=False), item(15)], set(), set()),
        ([item(5), item(10, 11.5, enabled=False), item(15)], {9}, set()),
    ],
)
def test_prompts_that_changed(human: list[Any], changed: set[int], removed: set[int]) -> None:
    before = compare(BASE, human, (), CLOCK, TRACKED)
    assert (before.changed, before.removed) == (changed, removed)
    assert before.observations.keys() == set(range(20))


def test_a_keyframe_of_the_model_that_the_human_switched_becomes_the_humans() -> None:
    before = compare(BASE, [item(5), item(10, 11.0, enabled=False), item(15)], (), CLOCK, TRACKED)
    assert [frame for frame, one in before.observations.items() if one.human] == [4, 9, 14]
    assert before.observations[9].mask is TRACKED[9].mask


@pytest.mark.parametrize("lost", ["overwritten", "absent"])
def test_a_prompt_whose_mask_is_gone_is_made_out_again(lost: str) -> None:
    rest = [one for one in TRACKED if one.frame != 14]
    if lost == "absent":
        rest.append(observed(14, present=False))
    assert compare(BASE, [item(5), item(15)], (), CLOCK, rest).changed == {14}


def test_a_prompt_that_ends_the_span_now_or_does_not_any_more_was_switched() -> None:
    same = [item(5), item(15)]
    assert compare(BASE, same, (), CLOCK, TRACKED).switched == set()
    before = compare(BASE, same, {15}, CLOCK, TRACKED)
    assert (before.changed, before.switched) == (set(), {14})
    closed = replace(BASE, closed=frozenset({5, 15}))
    assert compare(closed, same, {15}, CLOCK, TRACKED).switched == {4}


def test_two_keyframes_on_one_decoded_frame_are_one_prompt() -> None:
    clock = FrameClock(np.arange(10) / 10, 1.0, 20)  # shows each frame twice
    base = Base(1, [item(5), item(6, 12.0)], frozenset(), [item(5), item(6, 12.0)])
    tracked = [observed(frame, human=frame == 2) for frame in range(10)]
    assert compare(base, [item(5), item(6, 13.0)], (), clock, tracked).changed == set()
    assert compare(base, [item(6, 12.0)], (), clock, tracked).changed == {2}


@pytest.mark.parametrize(
    ("direction", "expected"), [("both", range(10)), ("forward", range(3, 10)), ("backward", range(8))]
)
def test_how_far_a_track_goes(direction: Direction, expected: range) -> None:
    assert reach_of([Prompt("a", 7, BOX), Prompt("a", 3, BOX)], direction, 10) == expected


def test_nothing_to_do_only_where_all_is_there() -> None:
    prompts = [Prompt("a", 4, BOX), Prompt("a", 14, BOX)]
    same = [item(5), item(15)]
    assert is_settled(prompts, "both", 20, compare(BASE, same, (), CLOCK, TRACKED))
    assert not is_settled(prompts, "both", 20, compare(BASE, same, (), CLOCK, TRACKED[:-1]))
    assert is_settled(prompts, "backward", 20, compare(BASE, same, (), CLOCK, TRACKED[:-1]))
    assert not is_settled(prompts, "both", 20, compare(BASE, [item(5), item(15, 9.0)], (), CLOCK, TRACKED))
    assert not is_settled(prompts[:1], "both", 20, compare(BASE, same[:1], (), CLOCK, TRACKED))
