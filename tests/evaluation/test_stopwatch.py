from __future__ import annotations

import threading

import pytest

from backend.evaluation.stopwatch import REST, Stopwatch
from support.fake_tracker import PATIENCE


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_lies_in_no_stage_is_the_rest(clock: Clock) -> None:
    with Stopwatch(clock) as watch:
        clock.pass_(1)
        with watch.stage("a"):
            clock.pass_(2)
        clock.pass_(4)
    assert watch.own == {REST: 5, "a": 2}
    assert watch.wall == 7


def test_a_stage_takes_its_time_from_the_one_around_it(clock: Clock) -> None:
    with Stopwatch(clock) as watch, watch.stage("outer"):
        clock.pass_(1)
        with watch.stage("inner"):
            clock.pass_(2)
            with watch.stage("innermost"):
                clock.pass_(4)
            clock.pass_(8)
        clock.pass_(16)
    assert {name: watch.own[name] for name in ("outer", "inner", "innermost")} == {
        "outer": 17,
        "inner": 10,
        "innermost": 4,
    }
    assert sum(watch.own.values()) == watch.wall == 31


def test_a_stage_within_itself_counts_once(clock: Clock) -> None:
    with Stopwatch(clock) as watch, watch.stage("a"):
        clock.pass_(1)
        with watch.stage("a"):
            clock.pass_(2)
    assert watch.own["a"] == watch.wall == 3


def test_stages_add_up_over_their_turns(clock: Clock) -> None:
    with Stopwatch(clock) as watch:
        for _ in range(3):
            with watch.stage("a"):
                clock.pass_(2)
            with watch.stage("b"):
                clock.pass_(1)
    assert (watch.own["a"], watch.own["b"], watch.own[REST]) == (6, 3, 0)


def test_what_follows_a_stage_may_have_a_name_until_another_says_otherwise(clock: Clock) -> None:
    with Stopwatch(clock) as watch:
        with watch.stage("wait", then="cuts"):
            clock.pass_(1)
        clock.pass_(2)
        with watch.stage("encode"):
            clock.pass_(4)
        clock.pass_(8)
        with watch.stage("step", then=REST):
            with watch.stage("inner"):
                clock.pass_(16)
            clock.pass_(32)
        clock.pass_(64)
    assert watch.own == {"wait": 1, "cuts": 10, "encode": 4, "step": 32, "inner": 16, REST: 64}


def test_a_stage_that_fails_has_taken_its_time(clock: Clock) -> None:
    with Stopwatch(clock) as watch:
        with pytest.raises(KeyError), watch.stage("outer"), watch.stage("a"):
            clock.pass_(3)
            raise KeyError
        clock.pass_(1)
    assert (watch.own["a"], watch.own[REST], watch.wall) == (3, 1, 4)


def test_other_threads_are_counted_apart(clock: Clock) -> None:
    inside, leave = threading.Event(), threading.Event()

    def decode(watch: Stopwatch) -> None:
        with watch.stage("decode", then="never"):
            inside.set()
            assert leave.wait(PATIENCE)

    with Stopwatch(clock) as watch:
        thread = threading.Thread(target=decode, args=(watch,))
        with watch.stage("encode"):
            clock.pass_(1)
            thread.start()
            assert inside.wait(PATIENCE)
            clock.pass_(2)
            leave.set()
            thread.join(PATIENCE)
            clock.pass_(4)
        clock.pass_(8)
    assert watch.own == {"encode": 7, REST: 8}
    assert watch.beside == {"decode": 2}
    assert watch.wall == 15


def test_threads_between_their_stages_count_nowhere(clock: Clock) -> None:
    def decode(watch: Stopwatch) -> None:
        for _ in range(2):
            with watch.stage("decode"):
                clock.pass_(1)
            clock.pass_(10)

    with Stopwatch(clock) as watch:
        threads = [threading.Thread(target=decode, args=(watch,)) for _ in range(2)]
        for thread in threads:
            thread.start()
            thread.join(PATIENCE)
    assert watch.beside == {"decode": 4}
    assert watch.own == {REST: 44}


def test_the_device_is_waited_for_before_the_clock_is_read(clock: Clock) -> None:
    """What a stage left running on the device is that stage's time, not the next one's."""
    pending = 0.0

    def synchronise() -> None:
        nonlocal pending
        clock.pass_(pending)
        pending = 0.0

    with Stopwatch(clock, synchronise) as watch:
        with watch.stage("encode"):
            pending = 5.0
        with watch.stage("step"):
            clock.pass_(1)
            pending = 2.0
    assert (watch.own["encode"], watch.own["step"], watch.own[REST]) == (5, 3, 0)


def test_other_threads_do_not_wait_for_the_device(clock: Clock) -> None:
    synchronised: list[int] = []

    def decode(watch: Stopwatch) -> None:
        with watch.stage("decode"):
            pass

    with Stopwatch(clock, lambda: synchronised.append(threading.get_ident())) as watch:
        thread = threading.Thread(target=decode, args=(watch,))
        thread.start()
        thread.join(PATIENCE)
    assert set(synchronised) == {threading.get_ident()}


def test_it_is_entered_once(clock: Clock) -> None:
    watch = Stopwatch(clock)
    with watch:
        pass
    with pytest.raises(RuntimeError), watch:
        pass
