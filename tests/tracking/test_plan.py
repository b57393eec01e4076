from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import FrameOutOfRange, PromptError
from backend.tracking.plan import TURN, Pass, by_frame, clamp_span, make_passes, take_turns
from backend.tracks import Direction, Prompt

BOX = (1.0, 1.0, 9.0, 9.0)
DIRECTIONS: list[Direction] = ["forward", "backward", "both"]


def prompts_of(**frames: list[int]) -> list[Prompt]:
    return [Prompt(name, frame, BOX) for name, where in frames.items() for frame in where]


def told(one: Pass) -> dict[int, str]:
    return {frame: "".join(sorted(one.wanted[frame])) for frame in one.frames}


@pytest.mark.parametrize(
    ("frames", "direction", "forward", "backward"),
    [
        ({"a": [2]}, "both", {3: "a", 4: "a"}, {1: "a", 0: "a"}),
        ({"a": [2]}, "forward", {3: "a", 4: "a"}, {}),
        ({"a": [2]}, "backward", {}, {1: "a", 0: "a"}),
        ({"a": [0]}, "both", {1: "a", 2: "a", 3: "a", 4: "a"}, {}),
        ({"a": [4]}, "both", {}, {3: "a", 2: "a", 1: "a", 0: "a"}),
        ({"a": [1, 2]}, "both", {3: "a", 4: "a"}, {0: "a"}),
        # Between two prompts, whatever the direction; the middle goes to the earlier one.
        ({"a": [0, 4]}, "backward", {1: "a", 2: "a"}, {3: "a"}),
        ({"a": [0, 3]}, "forward", {1: "a", 4: "a"}, {2: "a"}),
        ({"a": [4, 0]}, "both", {1: "a", 2: "a"}, {3: "a"}),
        ({"a": [1], "b": [3]}, "forward", {2: "a", 3: "a", 4: "ab"}, {}),
        ({"a": [1], "b": [3]}, "backward", {}, {2: "b", 1: "b", 0: "ab"}),
        ({"a": [2], "b": [2]}, {"a": "forward", "b": "backward"}, {3: "a", 4: "a"}, {1: "b", 0: "b"}),
        ({"a": [0, 1, 2, 3, 4]}, "both", {}, {}),
    ],
)
def test_passes(frames, direction, forward, backward) -> None:
    passes = make_passes(prompts_of(**frames), (0, 4), direction)
    assert [told(one) for one in passes] == [forward, backward]
    # dict equality forgets the order.
    assert [list(one.frames) for one in passes] == [list(forward), list(backward)]


def test_passes_stay_inside_the_span() -> None:
    forward, backward = make_passes(prompts_of(a=[5]), (4, 7), "both")
    assert forward.frames == (6, 7)
    assert backward.frames == (4,)


def test_a_pass_of_one_frame_still_knows_its_way() -> None:
    forward, backward = make_passes(prompts_of(a=[1]), (0, 2), "both")
    assert (forward.frames, forward.step) == ((2,), 1)
    assert (backward.frames, backward.step) == ((0,), -1)


def test_the_order_of_prompts_does_not_matter() -> None:
    ordered, turned = prompts_of(a=[2, 9, 15], b=[4]), prompts_of(b=[4], a=[15, 2, 9])
    assert make_passes(ordered, (0, 20), "both") == make_passes(turned, (0, 20), "both")


@given(
    st.dictionaries(st.sampled_from("abcd"), st.sets(st.integers(10, 50), min_size=1, max_size=6), min_size=1),
    st.integers(0, 10),
    st.integers(50, 60),
    st.fixed_dictionaries({name: st.sampled_from(DIRECTIONS) for name in "abcd"}),
)
def test_every_frame_of_an_objects_way_once_and_from_its_nearest_prompt(marked, first, last, direction) -> None:
    prompts = [Prompt(name, frame, BOX) for name, frames in marked.items() for frame in frames]
    passes = make_passes(prompts, (first, last), direction)
    visits = Counter((name, frame) for one in passes for frame in one.frames for name in one.wanted[frame])
    for name, frames in marked.items():
        start = first if direction[name] != "forward" else min(frames)
        stop = last if direction[name] != "backward" else max(frames)
        visited = {frame for other, frame in visits if other == name}
        assert visited == set(range(start, stop + 1)) - frames
    assert set(visits.values()) <= {1}

    for one, step in zip(passes, (1, -1), strict=True):
        assert list(one.frames) == sorted(one.frames, reverse=step < 0)
        assert set(one.frames) == set(one.wanted)
        for frame in one.frames:
            for name in one.wanted[frame]:
                behind = [abs(f - frame) for f in marked[name] if (frame - f) * step > 0]
                assert min(behind) == min(abs(f - frame) for f in marked[name])
                # The frame before was the object's too: nobody is followed over a gap.
                before = frame - step
                assert before in marked[name] or name in one.wanted[before]


@pytest.mark.parametrize(("span", "expected"), [(None, (0, 9)), ((0, 9), (0, 9)), ((3, 5), (3, 5)), ((4, 4), (4, 4))])
def test_span(span, expected) -> None:
    assert clamp_span(span, prompts_of(a=[4]), 10) == expected


@pytest.mark.parametrize(
    ("span", "frame", "error", "says"),
    [
        (None, 10, FrameOutOfRange, "frames 0 to 9, not 10"),
        (None, -1, FrameOutOfRange, "not -1"),
        ((0, 10), 4, FrameOutOfRange, "0 to 10"),
        ((-1, 5), 4, FrameOutOfRange, "-1 to 5"),
        ((5, 3), 4, FrameOutOfRange, "5 to 3"),
        ((5, 9), 4, PromptError, "frame 4, outside 5 to 9"),
        ((0, 3), 4, PromptError, "'a'"),
    ],
)
def test_a_span_or_prompt_beyond_is_refused(span, frame, error, says) -> None:
    with pytest.raises(error, match=says):
        clamp_span(span, prompts_of(a=[frame]), 10)


def test_prompts_by_frame() -> None:
    one, two, three = Prompt("a", 7, BOX), Prompt("b", 2, BOX), Prompt("b", 7, mask=np.ones((2, 2), bool))
    found = by_frame([one, two, three])
    assert list(found) == [2, 7]
    assert found == {2: {"b": two}, 7: {"a": one, "b": three}}


def test_no_prompt_is_refused() -> None:
    with pytest.raises(PromptError, match="no prompt"):
        by_frame([])


def test_two_prompts_of_one_object_on_one_frame_are_refused() -> None:
    with pytest.raises(PromptError, match="'a' has two prompts on frame 3"):
        by_frame(prompts_of(a=[3, 3]))


def test_turns() -> None:
    long, short = range(2 * TURN + 1), range(100, 101)
    merged = list(take_turns([iter(long), iter(short)], lambda: False))
    assert merged == [*range(TURN), 100, *range(TURN, 2 * TURN + 1)]
    merged = list(take_turns([iter(long), iter(range(100, 200))], lambda: False))
    assert merged[: 3 * TURN] == [*range(TURN), *range(100, 100 + TURN), *range(TURN, 2 * TURN)]
    assert sorted(merged) == [*long, *range(100, 200)]


def test_turns_of_nothing() -> None:
    assert list(take_turns([], lambda: False)) == []
    assert list(take_turns([iter(()), iter((1,))], lambda: False)) == [1]


def test_cancelled_turns_ask_for_nothing_more() -> None:
    taken: list[int] = []

    def count():
        for i in range(100):
            taken.append(i)
            yield i

    merged = take_turns([count()], lambda: len(taken) >= 3)
    assert list(merged) == [0, 1, 2]
    assert taken == [0, 1, 2]
