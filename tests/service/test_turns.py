"""When jobs end, by the turns that they get: one machine, of which a step takes a unit of time."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from statistics import mean

from backend.service.turns import UNKNOWN_STEPS, Ticket, Turns


@dataclass
class Press:
    """A job that comes at a time, of an owner; ``says`` is how many steps it says it has."""

    owner: Hashable
    steps: int
    at: float = 0.0
    says: int | None = None
    ticket: Ticket = field(init=False)

    def __post_init__(self) -> None:
        self.ticket = Ticket(self.owner)
        self.ticket.steps = self.steps if self.says is None else self.says


def fair(presses: Sequence[Press]) -> list[float]:
    """When each ends."""
    turns = Turns()
    ends: dict[int, float] = {}
    now = 0.0
    while len(ends) < len(presses):
        here = [number for number, one in enumerate(presses) if one.at <= now and number not in ends]
        if here:
            chosen = min(here, key=lambda number: (turns.due(presses[number].ticket), number))
            turns.step(presses[chosen].ticket)
            if presses[chosen].ticket.done == presses[chosen].steps:
                turns.end(presses[chosen].ticket)
                ends[chosen] = now + 1
        now += 1
    return [ends[number] for number in range(len(presses))]


def in_turns(presses: Sequence[Press]) -> list[float]:
    """When each would end if every owner had a step in turn; an owner's jobs are done one after the other."""
    left = [one.steps for one in presses]
    last: dict[Hashable, float] = {}
    ends: dict[int, float] = {}
    now = 0.0
    while len(ends) < len(presses):
        here = [number for number, one in enumerate(presses) if one.at <= now and left[number]]
        if here:
            chosen = min(here, key=lambda number: (last.get(presses[number].owner, -1.0), number))
            last[presses[chosen].owner] = now
            left[chosen] -= 1
            if not left[chosen]:
                ends[chosen] = now + 1
        now += 1
    return [ends[number] for number in range(len(presses))]


def test_equal_presses_end_one_after_the_other() -> None:
    presses = [Press(owner, 30) for owner in range(20)]
    assert fair(presses) == [30.0 * number for number in range(1, 21)]


def test_one_with_ten_presses_keeps_nobody_waiting() -> None:
    presses = [Press("many", 30) for _ in range(10)] + [Press("one", 30), Press("other", 30)]
    ends = fair(presses)
    assert ends[10:] == [60.0, 90.0]
    assert ends[:10] == [30.0, *(120.0 + 30 * number for number in range(9))]


def test_what_is_small_ends_soon() -> None:
    presses = [Press("long", 600), Press("click", 1, at=10), Press("short", 20, at=10)]
    assert fair(presses) == [621.0, 11.0, 31.0]


def test_a_long_press_is_not_put_off_for_ever() -> None:
    """Small ones come without end, each of somebody new; the long one has its share of the machine all the same."""
    presses = [Press("long", 40)] + [Press(number, 5, at=8.0 * number) for number in range(200)]
    assert fair(presses)[0] <= in_turns(presses)[0] < 200


def test_a_press_that_says_too_little_goes_behind_those_who_wait() -> None:
    presses = [Press("liar", 100, says=5), Press("honest", 20)]
    ends = fair(presses)
    assert ends == [120.0, 41.0]  # in turns it would be 40: what is small has no advantage, and the liar none either


def test_what_was_not_needed_is_not_held_against_its_owner() -> None:
    """A correction ends where it meets the old track: the next press of the same annotator does not wait for what it
    was taken to be."""
    turns = Turns()
    short, other = Ticket("a"), Ticket("b")
    short.steps = other.steps = 100
    turns.due(short)
    turns.due(other)
    turns.step(short)
    turns.end(short)
    following = Ticket("a")
    following.steps = 10
    assert turns.due(following) < turns.due(other)


def test_a_job_that_does_not_say_how_long_it_takes_has_its_place() -> None:
    turns = Turns()
    silent, short, long = Ticket("a"), Ticket("b"), Ticket("c")
    short.steps, long.steps = UNKNOWN_STEPS - 1, UNKNOWN_STEPS + 1
    assert turns.due(short) < turns.due(silent) < turns.due(long)


def test_hardly_any_press_ends_later_than_in_turns_and_most_end_earlier() -> None:
    generator = random.Random(8)
    gained: list[float] = []
    for _ in range(8):
        times_of_coming = sorted(generator.randrange(300) for _ in range(25))
        presses = [
            Press(generator.randrange(6), generator.choice([1, 5, 30, 100]), at=float(at)) for at in times_of_coming
        ]
        ends, others = fair(presses), in_turns(presses)
        times = [end - press.at for end, press in zip(ends, presses, strict=True)]
        shared = [end - press.at for end, press in zip(others, presses, strict=True)]
        assert max(end - other for end, other in zip(ends, others, strict=True)) <= 100  # a job, at most
        gained.append(mean(times) / mean(shared))
    assert mean(gained) < 0.8
