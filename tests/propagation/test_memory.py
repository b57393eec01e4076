from __future__ import annotations

import pytest
import torch

from backend.propagation.memory import MemoryBank, Remembered, Rolling, known_alike


def value(number: float = 0.0) -> torch.Tensor:
    return torch.tensor(number)


def bank_of(
    propagated: range | list[int] = range(0), permanent: tuple[int, ...] = (), nearest: int = 6, **rules: int
) -> MemoryBank[str]:
    bank: MemoryBank[str] = MemoryBank(Rolling(**rules), nearest=nearest)
    for frame in permanent:
        bank.write(frame, f"given {frame}", {"a": value()}, permanent=True)
    for frame in propagated:
        bank.write(frame, f"found {frame}", {"a": value()})
    return bank


def frames(bank: MemoryBank[str], at: int = 0) -> list[int]:
    return [memory.frame for memory in bank.read(at)]


@pytest.mark.parametrize(
    ("written", "rules", "kept"),
    [
        (range(1, 3), {"recent": 3, "every": 5, "spaced": 5}, [1, 2]),
        (range(1, 4), {"recent": 3, "every": 5, "spaced": 5}, [1, 2, 3]),
        (range(1, 5), {"recent": 3, "every": 5, "spaced": 5}, [2, 3, 4]),
        (range(1, 13), {"recent": 3, "every": 5, "spaced": 5}, [5, 10, 11, 12]),
        (range(1, 11), {"recent": 3, "every": 5, "spaced": 5}, [5, 8, 9, 10]),
        (range(1, 100), {"recent": 2, "every": 10, "spaced": 3}, [70, 80, 90, 98, 99]),
        (range(99, 0, -1), {"recent": 2, "every": 10, "spaced": 3}, [30, 20, 10, 2, 1]),
        (range(1, 40, 2), {"recent": 1, "every": 5, "spaced": 2}, [25, 35, 39]),
        ([3, 9, 4], {"recent": 3, "every": 5, "spaced": 5}, [3, 9, 4]),
    ],
)
def test_the_last_frames_and_some_older_ones_are_kept(written, rules, kept) -> None:
    bank = bank_of(written, **rules)
    assert frames(bank) == kept
    assert len(bank) == len(kept)


def test_what_is_kept_is_bounded_whatever_is_written() -> None:
    bank: MemoryBank[str] = MemoryBank(Rolling(recent=3, every=5, spaced=4))
    for frame in range(1000):
        bank.write(frame, "", {})
        assert len(bank) <= 7


def test_given_frames_are_never_dropped() -> None:
    bank = bank_of(range(1, 200), permanent=tuple(range(200, 230)))
    assert len(bank) >= 30
    for frame in range(200, 230):
        assert frame in frames(bank, at=frame)


@pytest.mark.parametrize(
    ("at", "read"),
    [(0, [2, 10, 20]), (9, [10, 2, 20]), (100, [50, 40, 20]), (31, [40, 20, 50]), (15, [10, 20, 2])],
)
def test_the_given_frames_nearest_are_read_first(at: int, read: list[int]) -> None:
    # Frame 15 lies as far from 10 as from 20: the earlier written counts.
    bank = bank_of([60], permanent=(2, 10, 20, 40, 50), nearest=3)
    assert frames(bank, at) == [*read, 60]


def test_what_is_read_says_what_it_is() -> None:
    bank = bank_of([7], permanent=(3,))
    given, found = bank.read(7)
    assert (given.frame, given.keys, given.permanent) == (3, "given 3", True)
    assert (found.frame, found.keys, found.permanent) == (7, "found 7", False)


def test_an_object_whose_given_frames_are_far_is_read_all_the_same() -> None:
    """However many frames of others are nearer."""
    bank: MemoryBank[str] = MemoryBank(Rolling(), nearest=3)
    for frame in (0, 5):
        bank.write(frame, "", {"a": value()}, permanent=True)
    for frame in range(20, 30):
        bank.write(frame, "", {"b": value()}, permanent=True)
    read = list(bank.read(25))
    assert [memory.frame for memory in read if "b" in memory.values] == [25, 24, 26]
    assert [memory.frame for memory in read if "a" in memory.values] == [5]


def test_a_given_frame_takes_further_objects() -> None:
    bank: MemoryBank[str] = MemoryBank(Rolling())
    bank.write(4, "first", {"a": value(1), "b": value(2)}, permanent=True)
    bank.write(4, "again", {"b": value(3), "c": value(4)}, permanent=True)
    (memory,) = bank.read(4)
    assert memory.keys == "first"
    assert {name: float(one) for name, one in memory.values.items()} == {"a": 1, "b": 3, "c": 4}
    assert len(bank) == 1


def test_a_bank_keeps_its_own_values() -> None:
    given, found = {"a": value()}, {"a": value()}
    bank: MemoryBank[str] = MemoryBank(Rolling())
    bank.write(0, "", given, permanent=True)
    bank.write(1, "", found)
    given.clear()
    found["b"] = value()
    assert [list(memory.values) for memory in bank.read(0)] == [["a"], ["a"]]


def test_forgetting_an_object_drops_the_frames_that_had_no_other() -> None:
    bank: MemoryBank[str] = MemoryBank(Rolling())
    bank.write(0, "", {"a": value()}, permanent=True)
    bank.write(1, "", {"a": value(), "b": value()}, permanent=True)
    bank.write(2, "", {"b": value()})
    bank.write(3, "", {"a": value()})
    bank.forget_object("a")
    assert {memory.frame: list(memory.values) for memory in bank.read(0)} == {1: ["b"], 2: ["b"]}
    bank.forget_object("nobody")
    bank.forget_object("b")
    assert len(bank) == 0


def test_a_propagated_frame_can_be_remembered_otherwise() -> None:
    bank = bank_of([1, 2])
    branch = bank.branch()
    bank.rewrite(2, "other", {"b": value(3)})
    bank.rewrite(3, "new", {"a": value(4)})
    assert [(one.frame, one.keys, {name: float(v) for name, v in one.values.items()}) for one in bank.read(0)] == [
        (1, "found 1", {"a": 0}),
        (2, "other", {"a": 0, "b": 3}),
        (3, "new", {"a": 4}),
    ]
    assert not any(one.permanent for one in bank.read(0))
    assert [one.keys for one in branch.read(0)] == ["found 1", "found 2"]


def test_a_given_frame_is_not_remembered_otherwise() -> None:
    bank = bank_of(permanent=(2,))
    bank.rewrite(2, "found", {"a": value(1)})
    assert [(one.keys, one.permanent) for one in bank.read(2)] == [("given 2", True), ("found", False)]


def test_what_was_given_on_a_frame_can_be_taken_back() -> None:
    bank: MemoryBank[str] = MemoryBank(Rolling())
    bank.write(0, "", {"a": value(), "b": value()}, permanent=True)
    bank.write(3, "", {"a": value()}, permanent=True)
    bank.write(3, "", {"a": value()})
    bank.forget_given(0, "a")
    bank.forget_given(3, "a")
    bank.forget_given(3, "a")
    bank.forget_given(7, "b")
    # What was found on frame 3 was not given.
    assert [(memory.frame, memory.permanent, list(memory.values)) for memory in bank.read(0)] == [
        (0, True, ["b"]),
        (3, False, ["a"]),
    ]


def test_objects_that_the_same_frames_know_are_read_together() -> None:
    bank: MemoryBank[str] = MemoryBank(Rolling())
    bank.write(0, "", {"a": value(), "b": value()}, permanent=True)
    bank.write(1, "", {"a": value(), "b": value(), "c": value()})
    bank.write(2, "", {"b": value(), "a": value()})
    groups = known_alike(list(bank.read(0)), ["c", "b", "a", "d"])
    assert [([memory.frame for memory in known], names) for known, names in groups] == [
        ([1], ["c"]),
        ([0, 1, 2], ["b", "a"]),
        ([], ["d"]),
    ]


def test_attention_is_counted_without_trace_in_the_origin_of_a_branch() -> None:
    bank = bank_of([1])
    (mine,) = bank.read(1)
    mine.count(torch.tensor([1.0, 2.0]))
    (theirs,) = bank.branch().read(1)
    theirs.count(torch.tensor([10.0, 20.0]))
    assert isinstance(mine, Remembered)
    assert mine.use is not None
    assert theirs.use is not None
    assert (mine.use.tolist(), mine.readings) == ([1.0, 2.0], 1)
    assert (theirs.use.tolist(), theirs.readings) == ([11.0, 22.0], 2)


def test_a_fork_has_what_was_given_and_not_what_was_found() -> None:
    bank = bank_of(range(10, 13), permanent=(0, 5), recent=2, every=7, spaced=1, nearest=1)
    fork = bank.fork()
    assert len(fork) == 2
    # The rules are the same.
    for frame in range(20, 40):
        fork.write(frame, "", {"a": value()})
    assert frames(fork, at=4) == [5, 35, 38, 39]


def test_a_fork_and_its_origin_do_not_know_of_one_another() -> None:
    bank = bank_of(permanent=(0,))
    fork = bank.fork()
    fork.write(0, "", {"b": value()}, permanent=True)
    fork.write(1, "", {"b": value()}, permanent=True)
    fork.write(2, "", {"b": value()})
    assert {memory.frame: list(memory.values) for memory in bank.read(0)} == {0: ["a"]}
    bank.forget_object("a")
    assert {memory.frame: sorted(memory.values) for memory in fork.read(0)} == {0: ["a", "b"], 1: ["b"], 2: ["b"]}


def test_two_objects_are_exchanged_on_some_frames_and_not_on_given_ones() -> None:
    bank = bank_of(recent=5)
    bank.write(0, "given", {"a": value(1), "b": value(2)}, permanent=True)
    for frame in range(1, 5):
        bank.write(frame, "keys", {"a": value(1), "b": value(2), "c": value(3)})
    bank.write(5, "keys", {"a": value(1)})
    bank.exchange("a", "b", [0, 3, 4, 5])
    found = {one.frame: {name: float(held) for name, held in one.values.items()} for one in bank.read(0)}
    assert found[0] == {"a": 1, "b": 2}
    assert found[2] == {"a": 1, "b": 2, "c": 3}
    assert found[3] == found[4] == {"b": 1, "a": 2, "c": 3}
    assert found[5] == {"b": 1}


def test_what_was_found_last_can_be_taken_back() -> None:
    bank = bank_of(recent=4)
    bank.write(1, "keys", {"a": value(1)})
    bank.write(2, "keys", {"a": value(1), "b": value(2)})
    bank.forget_last(1, "a")  # which is not the last
    bank.forget_last(2, "b")
    assert [(one.frame, sorted(one.values)) for one in bank.read(0)] == [(1, ["a"]), (2, ["a"])]
    bank.forget_last(2, "a")
    assert frames(bank) == [1]
