from __future__ import annotations

import numpy as np
import pytest

from backend.tracking.stretches import Before
from backend.tracking.trusted import APART, MOST, SURE, TOGETHER, trusted_frames, trusted_masks
from backend.tracks import Mask, Observation

BLOCK = np.zeros((12, 16), bool)
BLOCK[2:6, 3:9] = True


def tracked(human: set[int], count: int = 41, *, score: float = 0.9, unsure=(), absent=()) -> dict[int, Observation]:
    return {
        frame: Observation(
            "a",
            frame,
            None if frame in absent else Mask.from_array(BLOCK),
            SURE - 0.01 if frame in unsure else score,
            human=frame in human,
        )
        for frame in range(count)
    }


def test_frames_nearer_to_what_stays_than_to_what_changed() -> None:
    found = trusted_frames(Before(tracked({0}), frozenset({20})), [0, 20])
    assert found == [4, 7, 10]  # the nearest to the change, each so far from the others


def test_no_frame_beside_a_prompt_that_stays() -> None:
    assert trusted_frames(Before(tracked({0}), frozenset({6})), [0, 6]) == [3]
    assert trusted_frames(Before(tracked({0}), frozenset({2 * APART - 1})), [0, 2 * APART - 1]) == []


@pytest.mark.parametrize("change", ["changed", "removed", "switched"])
def test_every_change_is_kept_away_from(change) -> None:
    before = Before(tracked({0, 40}), **{"changed": frozenset(), change: frozenset({20})})
    found = trusted_frames(before, [0, 40] if change == "removed" else [0, 20, 40])
    assert len(found) == MOST
    assert all(abs(frame - 20) >= min(frame, 40 - frame) for frame in found)


def test_nothing_has_changed() -> None:
    assert trusted_frames(Before(tracked({0}), frozenset()), [0]) == []


def test_no_prompt_stays() -> None:
    assert trusted_frames(Before(tracked({0}), frozenset({0})), [0]) == []
    assert trusted_frames(Before(tracked({0}), frozenset({30}), removed=frozenset({0})), [30]) == []


def test_what_is_doubted_or_absent_is_not_remembered() -> None:
    observations = tracked({0}, unsure=range(8, 41), absent=(7,))
    assert trusted_frames(Before(observations, frozenset({20})), [0, 20]) == [3, 6]


def test_many_prompts_tell_enough() -> None:
    marked = list(range(0, 40, 8))
    before = Before(tracked(set(marked[:-1])), frozenset(marked[-1:]))
    assert len(trusted_frames(before, marked)) == TOGETHER - len(marked)
    assert trusted_frames(before, [*marked, 40, 41, 42]) == []


def test_masks_come_by_frame_and_object() -> None:
    before = {name: Before(tracked({0}), frozenset({20})) for name in "ab"} | {"c": Before(tracked({0}), frozenset())}
    found = trusted_masks(before, {0: "abc", 20: "ab", 30: "c"})
    assert {frame: set(masks) for frame, masks in found.items()} == {4: {"a", "b"}, 7: {"a", "b"}, 10: {"a", "b"}}
    assert all(np.array_equal(mask, BLOCK) for masks in found.values() for mask in masks.values())
