from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from backend.association.identity import Gallery
from backend.tracking.contacts import Contact, ContactRules, Verdict, are_whole, near, retold
from backend.tracks import Mask, Observation
from support.colours import square

PAIR = ("a", "b")
RULES = ContactRules(close=0.9, looks=2, every=1.0)
# What one of two looks like, and the other one, who is as far from it as the first component says.
RIGHT, WRONG, UNSURE = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0]), torch.tensor([0.7, 0.7])


def swapped(after: Mapping[str, Gallery]) -> float:
    """Half of what both have of the other one."""
    return float(sum(gallery.views[:, 0].mean() for gallery in after.values()) / len(after))


def seen(frame: int) -> dict[str, Observation]:
    return {name: Observation(name, frame, Mask.from_array(square(10)), 0.8) for name in PAIR}


def met(closeness: Mapping[int, float], count: int) -> Contact:
    contact = Contact(RULES)
    for frame in range(count):
        if frame in closeness:
            contact.touch(frame, closeness[frame])
        contact.tell(frame, seen(frame))
    return contact


def looked(contact: Contact, frame: int, view: torch.Tensor) -> Verdict | None:
    contact.look_close(frame, float(frame), dict.fromkeys(PAIR, view))
    return contact.judge(frame, swapped)


def test_the_crossing_is_where_they_were_closest_the_last_of_equals() -> None:
    contact = met({1: 0.1, 2: 0.4, 3: 0.4, 5: 0.2}, 7)
    assert contact.crossing() == 3
    assert contact.crossing(by=1) == 1
    assert met({}, 3).crossing() == 0


def test_looks_while_they_touch_decide_together() -> None:
    contact = met({1: 0.1, 2: 0.4, 3: 0.5, 4: 0.1}, 6)
    assert looked(contact, 2, WRONG) is None
    verdict = looked(contact, 4, WRONG)
    # They had taken each other's place before the first look that says so.
    assert verdict == Verdict(pytest.approx(1.0), 2)
    assert [frame for frame, _ in contact.told(2)] == [2, 3, 4, 5]


def test_up_to_a_look_that_is_right_they_are_themselves() -> None:
    contact, verdicts = Contact(RULES), {}
    for frame in range(8):
        contact.touch(frame, 0.5 - frame / 100)
        contact.tell(frame, seen(frame))
        if frame % 2 == 0:
            verdicts[frame] = looked(contact, frame, RIGHT if frame == 2 else WRONG)
    assert verdicts == {0: None, 2: None, 4: None, 6: Verdict(pytest.approx(1.0), 3)}


def test_looks_that_do_not_tell_decide_nothing() -> None:
    contact = met({0: 0.5}, 8)
    assert [looked(contact, frame, UNSURE) for frame in range(8)] == [None] * 8


def test_looks_while_they_touch_are_some_time_apart() -> None:
    contact = met({0: 0.5}, 3)
    assert contact.due_close(0.0)
    looked(contact, 0, RIGHT)
    assert not contact.due_close(0.9)
    assert contact.due_close(1.0)
    assert contact.due_close(-1.0)  # backwards in time


def test_touching_again_what_was_seen_apart_counts_no_more() -> None:
    contact = met({0: 0.5}, 2)
    for name in PAIR:
        contact.look(name, 1.0, WRONG)
    assert contact.judge(1, swapped) == Verdict(pytest.approx(1.0), 0)
    contact.touch(2, 0.1)
    contact.tell(2, seen(2))
    assert contact.judge(2, swapped) is None


@pytest.mark.parametrize(
    ("areas", "expected"),
    [
        ((100, 40), True),
        ((40, 100), True),
        ((100, 11), False),
        ((31, 31), True),
        ((140, 160), False),
        ((340, 40), False),
    ],
)
def test_masks_are_whole_by_what_both_covered_whichever_is_which(areas: tuple[int, int], expected: bool) -> None:
    assert are_whole(areas, (100, 40), ContactRules(whole=0.3)) is expected


def test_boxes_touch_by_the_smaller_one() -> None:
    rules = ContactRules(near=0.1)
    assert near((0, 0, 100, 100), (100.9, 0, 110.9, 100), rules)
    assert not near((0, 0, 100, 100), (101.1, 0, 111.1, 100), rules)
    assert near((0, 0, 100, 100), (10, 10, 20, 20), rules)


@pytest.mark.parametrize("exchange", [True, False])
def test_what_is_told_again(exchange: bool) -> None:
    contact = met({1: 0.5}, 3)
    found = retold(PAIR, contact, Verdict(0.75, 1), exchange=exchange)
    assert [frame for frame, _ in found] == [1, 2]
    names = ["b", "a"] if exchange else ["a", "b"]
    for _, observations in found:
        assert [one.object_id for one in observations] == names
        assert [one.score for one in observations] == pytest.approx([0.8 * (0.75 if exchange else 0.25)] * 2)
