from __future__ import annotations

import numpy as np
import pytest

from backend.errors import FrameOutOfRange, PromptError
from backend.tracking.plan import TURN, by_frame, clamp_span, make_pass, take_turns
from backend.tracks import Prompt

BOX = (1.0, 1.0, 9.0, 9.0)


def prompts_of(**frames: list[int]) -> list[Prompt]:
    return [Prompt(name, frame, BOX) for name, where in frames.items() for frame in where]


def test_a_pass_goes_its_way() -> None:
    wanted = {3: {"a"}, 5: {"a", "b"}, 4: {"b"}}
    forward, backward = make_pass(wanted, 1), make_pass(wanted, -1)
    assert (forward.frames, forward.step) == ((3, 4, 5), 1)
    assert (backward.frames, backward.step) == ((5, 4, 3), -1)
    assert forward.wanted == backward.wanted == wanted
    assert make_pass({}, 1).frames == ()


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


def test_further_prompts_may_lie_outside_the_span() -> None:
    assert clamp_span((3, 5), prompts_of(a=[0, 4, 9]), 10) == (3, 5)
    with pytest.raises(PromptError, match="'b'"):
        clamp_span((3, 5), prompts_of(a=[4], b=[2, 9]), 10)


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
