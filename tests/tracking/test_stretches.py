from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.tracking.stretches import Before, Stretch, find_stretches
from backend.tracks import Direction, Observation, Prompt

BOX = (1.0, 1.0, 9.0, 9.0)
DIRECTIONS: list[Direction] = ["forward", "backward", "both"]


def prompts_of(**frames: list[int]) -> list[Prompt]:
    return [Prompt(name, frame, BOX) for name, where in frames.items() for frame in where]


def told(stretches: list[Stretch]) -> list[tuple[str, int, int, str]]:
    """Object, first and last frame, and the ends that it is tracked from."""
    return [
        (one.name, one.frames[0], one.frames[-1], ">" * one.forward + "<" * one.backward)
        for one in sorted(stretches, key=lambda one: (one.name, one.frames.start))
    ]


def before(frames: range, changed: list[int], removed: list[int] | None = None) -> Before:
    return Before({f: Observation("a", f, None, 0.5) for f in frames}, frozenset(changed), frozenset(removed or []))


@pytest.mark.parametrize(
    ("frames", "direction", "expected"),
    [
        ({"a": [2]}, "both", [("a", 0, 1, "<"), ("a", 3, 4, ">")]),
        ({"a": [2]}, "forward", [("a", 3, 4, ">")]),
        ({"a": [2]}, "backward", [("a", 0, 1, "<")]),
        ({"a": [0]}, "both", [("a", 1, 4, ">")]),
        ({"a": [4]}, "both", [("a", 0, 3, "<")]),
        ({"a": [1, 2]}, "both", [("a", 0, 0, "<"), ("a", 3, 4, ">")]),
        # Between two prompts, whatever the direction.
        ({"a": [4, 0]}, "backward", [("a", 1, 3, "><")]),
        ({"a": [0, 3]}, "forward", [("a", 1, 2, "><"), ("a", 4, 4, ">")]),
        ({"a": [1], "b": [3]}, "forward", [("a", 2, 4, ">"), ("b", 4, 4, ">")]),
        ({"a": [2], "b": [2]}, {"a": "forward", "b": "backward"}, [("a", 3, 4, ">"), ("b", 0, 1, "<")]),
        ({"a": [2], "b": [2]}, {"a": "forward"}, [("a", 3, 4, ">"), ("b", 0, 1, "<"), ("b", 3, 4, ">")]),
        ({"a": [0, 1, 2, 3, 4]}, "both", []),
    ],
)
def test_stretches(frames, direction, expected) -> None:
    assert told(find_stretches(prompts_of(**frames), (0, 4), direction)) == expected


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sets(st.integers(10, 50), min_size=1, max_size=6), min_size=1),
    st.integers(0, 10),
    st.integers(50, 60),
    st.fixed_dictionaries({name: st.sampled_from(DIRECTIONS) for name in "abcd"}),
)
def test_every_frame_of_an_objects_way_is_in_one_stretch(marked, first, last, direction) -> None:
    prompts = [Prompt(name, frame, BOX) for name, frames in marked.items() for frame in frames]
    found = find_stretches(prompts, (first, last), direction)
    for name, frames in marked.items():
        start = first if direction[name] != "forward" else min(frames)
        stop = last if direction[name] != "backward" else max(frames)
        own = [one for one in found if one.name == name]
        assert sorted(f for one in own for f in one.frames) == sorted(set(range(start, stop + 1)) - frames)
        for one in own:
            ends = one.frames.start - 1 in frames, one.frames.stop in frames
            assert one.bounded == all(ends)
            # From every prompt beside it.
            assert (one.forward, one.backward) == ends
            assert not one.old


@pytest.mark.parametrize(
    ("frames", "span", "direction", "expected"),
    [
        ([0, 5], (5, 7), "forward", [("a", 6, 7, ">")]),
        ([0, 5], (3, 5), "backward", [("a", 3, 4, "<")]),
        ([0, 5, 9], (3, 7), "both", [("a", 3, 4, "<"), ("a", 6, 7, ">")]),
        ([2, 5, 7], (2, 6), "forward", [("a", 3, 4, "><"), ("a", 6, 6, "><")]),
        ([2, 5, 8], (2, 6), "forward", [("a", 3, 4, "><"), ("a", 6, 6, ">")]),
        ([0, 2, 5], (4, 6), "both", [("a", 4, 4, "<"), ("a", 6, 6, ">")]),
        ([0, 9], (0, 0), "both", []),
    ],
)
def test_prompts_outside_the_span_are_not_tracked_from(frames, span, direction, expected) -> None:
    found = find_stretches(prompts_of(a=frames), span, direction)
    assert told(found) == expected
    assert all(one.bounded == (one.forward and one.backward) for one in found)


@pytest.mark.parametrize(
    ("changed", "removed", "expected"),
    [
        ([], [], []),
        ([5], [], [("a", 3, 4, "<"), ("a", 6, 7, ">")]),
        ([2], [], [("a", 0, 1, "<"), ("a", 3, 4, ">")]),
        ([8], [], [("a", 6, 7, "<"), ("a", 9, 9, ">")]),
        ([2, 5], [], [("a", 0, 1, "<"), ("a", 3, 4, "><"), ("a", 6, 7, ">")]),
        ([], [4], [("a", 3, 4, "><")]),
        ([], [9], [("a", 9, 9, ">")]),
        ([8], [3], [("a", 3, 4, "><"), ("a", 6, 7, "<"), ("a", 9, 9, ">")]),
    ],
)
def test_only_what_a_change_touches(changed, removed, expected) -> None:
    known = {"a": before(range(10), changed, removed)}
    found = find_stretches(prompts_of(a=[2, 5, 8]), (0, 9), "both", known)
    assert told(found) == expected
    for one in found:
        # A mask that came from a prompt that is gone is no measure of anything.
        assert list(one.old) == ([] if set(removed) & set(one.frames) else list(one.frames))


def test_after_a_prompt_that_was_switched_and_not_before_it() -> None:
    known = {"a": replace(before(range(10), []), switched=frozenset({5}))}
    assert told(find_stretches(prompts_of(a=[2, 5, 8]), (0, 9), "both", known)) == [("a", 6, 7, ">")]


def test_what_was_not_tracked_wholly_is_tracked_anew() -> None:
    known = {"a": before(range(4), [])}
    found = find_stretches(prompts_of(a=[2, 6]), (0, 9), "both", known)
    assert told(found) == [("a", 3, 5, "><"), ("a", 7, 9, ">")]
    assert not any(one.old for one in found)


def test_an_object_that_is_new_beside_one_that_did_not_change() -> None:
    known = {"a": before(range(10), [])}
    assert told(find_stretches(prompts_of(a=[2], b=[8]), (0, 9), "forward", known)) == [("b", 9, 9, ">")]


def test_a_stretch_knows_whether_the_object_is_gone_where_it_begins() -> None:
    prompts = [replace(prompt, ends=prompt.frame == 5) for prompt in prompts_of(a=[2, 5, 8])]
    assert [one.gone for one in find_stretches(prompts, (0, 9), "both")] == [False, False, True, False]
