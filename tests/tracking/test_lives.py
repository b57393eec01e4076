from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.tracking.lives import Lives, Rules
from backend.tracks import Mask, Observation

FPS = 10.0
BOX = (1.0, 1.0, 5.0, 5.0)
RULES = Rules(rest=0.5, near=0.3, patience=0.6)


def seen(name: str, frame: int, *, present: bool = True) -> Observation:
    mask = np.zeros((8, 8), bool)
    mask[1:5, 1:5] = True
    return Observation(name, frame, Mask.from_array(mask) if present else None, 0.8)


@pytest.fixture
def lives() -> Lives:
    return Lives(RULES, FPS)


def begun(lives: Lives) -> str:
    name = lives.begin(0, BOX)
    assert lives.judge(0, ()) == ([], [])
    assert lives.tell([seen(name, 0)]) == []
    return name


def confirmed(lives: Lives) -> str:
    name = begun(lives)
    released, ended = lives.judge(1, {name})
    assert [one.frame for one in released] == [0]
    assert ended == []
    assert [one.frame for one in lives.tell([seen(name, 1)])] == [1]
    return name


def test_an_object_is_believed_when_it_is_met_again(lives: Lives) -> None:
    name = begun(lives)
    for frame in (1, 2):  # not looked at
        assert lives.tell([seen(name, frame)]) == []
    released, _ = lives.judge(3, {name})
    assert [one.frame for one in released] == [0, 1, 2]
    assert len(lives.tell([seen(name, 3)])) == 1


def test_an_object_that_is_not_met_again_was_none(lives: Lives) -> None:
    name = begun(lives)
    assert lives.judge(1, ()) == ([], [])
    assert lives.tell([seen(name, 1)]) == []
    assert lives.judge(2, ()) == ([], [name])
    assert len(lives) == 0
    assert lives.names == []


def test_what_was_seen_between_two_meetings_holds(lives: Lives) -> None:
    name = confirmed(lives)
    for frame in (2, 3, 4):
        assert lives.judge(frame, ()) == ([], [])
        assert lives.tell([seen(name, frame)]) == []
    released, ended = lives.judge(5, {name})
    assert [one.frame for one in released] == [2, 3, 4]
    assert ended == []


def test_without_a_detector_s_word_an_object_goes_on(lives: Lives) -> None:
    name = confirmed(lives)
    for frame in range(2, 30):
        assert len(lives.tell([seen(name, frame)])) == 1


def test_an_object_ends_when_patience_does(lives: Lives) -> None:
    name = confirmed(lives)
    ends = [frame for frame in range(2, 30) if len(lives) and lives.judge(frame, ())[1] == [name]]
    assert ends == [8]  # more than 0.6 seconds after frame 1


def test_one_miss_is_never_the_end(lives: Lives) -> None:
    name = confirmed(lives)
    assert lives.judge(50, ()) == ([], [])
    assert lives.judge(100, ()) == ([], [name])


def test_names_are_not_used_twice(lives: Lives) -> None:
    first = begun(lives)
    lives.judge(1, ())
    lives.judge(2, ())
    assert lives.begin(3, BOX) != first


def test_for_a_while_an_object_is_where_it_was_last(lives: Lives) -> None:
    name = confirmed(lives)
    lives.tell([seen(name, 2, present=False)])
    assert lives.last_boxes(4, [name]) == {name: BOX}
    assert lives.last_boxes(5, [name]) == {name: None}
    lives.tell([seen(name, 6)])
    assert lives.last_boxes(6, [name]) == {name: BOX}
    lives.cut()
    assert lives.last_boxes(6, [name]) == {name: None}


def test_setting_right_takes_a_rest(lives: Lives) -> None:
    name = confirmed(lives)
    assert [lives.may_be_set_right(name, frame) for frame in (4, 5)] == [False, True]
    lives.set_right(name, 5)
    assert [lives.may_be_set_right(name, frame) for frame in (9, 10)] == [False, True]


def test_an_object_that_has_ended_may_come_back(lives: Lives) -> None:
    name = confirmed(lives)
    other = lives.begin(2, BOX)
    for frame in range(3, 10):
        lives.judge(frame, ())
    assert lives.names == []
    assert lives.ended == [name]  # the other one was never known to be an object
    assert lives.begin(20, BOX, name) == name
    assert lives.ended == []
    assert lives.tell([seen(name, 20)]) == []  # it must be met again, as a new one must
    for frame in (21, 22):
        lives.judge(frame, ())
    assert lives.ended == [name]
    lives.begin(30, BOX, name)
    assert lives.judge(31, {name}) == ([], [])
    assert len(lives.tell([seen(name, 31)])) == 1
    assert lives.begin(32, BOX) not in {name, other}


def two(lives: Lives) -> tuple[str, str]:
    """Both are known to be objects; the second one began on frame 1."""
    one = begun(lives)
    lives.judge(1, {one})
    other = lives.begin(1, BOX)
    lives.tell([seen(one, 1), seen(other, 1)])
    lives.judge(2, {one, other})
    lives.tell([seen(one, 2), seen(other, 2)])
    return one, other


def test_two_that_are_exchanged_go_on_as_each_other(lives: Lives) -> None:
    """What has been called by the first one's name is not met from frame 3 on."""
    one, other = two(lives)
    for frame in (3, 4, 5):
        lives.judge(frame, {other})
        assert [told.object_id for told in lives.tell([seen(one, frame), seen(other, frame)])] == [other]
    assert lives.trusted == {other}
    lives.exchange(one, other)
    assert lives.trusted == {one}
    assert lives.names == [one, other]
    # What was given out is replaced, what was held back is still.
    anew = [seen(name, frame) for frame in (4, 5) for name in (one, other)]
    assert [(told.object_id, told.frame) for told in lives.retell(anew)] == [(other, 4), (other, 5)]
    released, ended = lives.judge(6, {one})
    assert ([told.frame for told in released], ended) == ([3, 4, 5], [])
    assert released[1] is anew[0]
    for frame in (8, 9):
        ended = lives.judge(frame, {one})[1]
    assert ended == [other]  # it was met on frame 2 last, whatever it was called by then


def test_what_is_told_anew_of_one_that_is_in_doubt_is_held_back(lives: Lives) -> None:
    name = confirmed(lives)
    lives.judge(2, ())
    lives.tell([seen(name, 2)])
    anew = [replace(seen(name, frame), score=0.3) for frame in (1, 2)]
    assert lives.retell(anew) == anew[:1]
    assert lives.judge(3, {name})[0] == anew[1:]


def test_nothing_is_given_out_of_what_is_no_object_yet_when_it_is_exchanged(lives: Lives) -> None:
    one = confirmed(lives)
    other = lives.begin(1, BOX)
    lives.tell([seen(other, 1), seen(one, 2), seen(other, 2)])
    lives.exchange(one, other)
    anew = [seen(one, 2), seen(other, 2)]
    assert lives.retell(anew) == anew[:1]
    released, _ = lives.judge(3, {one, other})
    assert [told.frame for told in released] == [1, 2]
