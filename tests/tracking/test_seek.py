from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from backend.association.identity import Calibration, Gallery
from backend.tracking.seek import Seeker, SeekRules
from backend.tracks import BoolArray, Box, ImageArray, Mask
from support.colours import Colours, Places, picture, square

CALIBRATION = Calibration(middle=0.7, slope=30.0, swap=30.0)


def embed(frame: int, image: ImageArray, shown: Mapping[str, tuple[Box, BoolArray]]) -> dict[str, Tensor]:
    if not shown:
        return {}
    boxes = torch.tensor([box for box, _ in shown.values()])
    return dict(zip(shown, Colours().embed(image, boxes, [mask for _, mask in shown.values()]), strict=True))


def gallery(name: str) -> Gallery:
    known = Gallery()
    (view,) = embed(0, picture({name: 0}), {name: ((0.0, 0.0, 1.0, 1.0), square(0))}).values()
    known.add(0.0, view, lasting=True)
    return known


class Room:
    """A seeker to which the squares of a picture are proposed."""

    def __init__(self, calibration: Calibration = CALIBRATION) -> None:
        self.asked: list[int] = []
        self.there: Places = {}
        self.seeker = Seeker(self._propose, embed, calibration, SeekRules(first=0.5, every=1.0, share=0.5, seldom=1.5))

    def seek(self, frame: int, there: Places, *away: str) -> dict[str, int]:
        """At 10 frames a second; where objects were found."""
        self.there = there
        known = {name: gallery(name) for name in away}
        found = self.seeker.seek(frame, frame / 10, picture(there), known, {})
        for name, one in found.items():
            assert (one.object_id, one.frame, one.human) == (name, frame, False)
            assert 0.7 <= one.score <= 1
        return {name: int(one.box[0]) for name, one in found.items() if one.box is not None}

    def _propose(self, frame: int, image: ImageArray) -> list[Mask]:
        self.asked.append(frame)
        return [Mask.from_array(square(left)) for left in self.there.values() if left is not None]


@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
def test_it_looks_ever_more_seldom(step: int) -> None:
    room = Room()
    for frame in range(80):
        room.seek(100 + step * frame, {}, "a")
    # After half a second, then after one, at two and a half seconds after half of that, and then no more seldom.
    assert room.asked == [100 + step * frame for frame in (5, 15, 25, 38, 53, 68)]


@pytest.mark.parametrize(
    ("middle", "expected"),
    # Of an object that looks as before that is a probability of 0.6, and of 0.4.
    [(0.9865, [5, 10, 15, 20, 25, 32, 40]), (1.0135, [5, 15, 25, 38])],
    ids=["it may be", "it is rather not"],
)
def test_where_something_may_be_it_the_next_look_comes_sooner(middle: float, expected: list[int]) -> None:
    room = Room(Calibration(middle, slope=30.0, swap=30.0))
    for frame in range(45):
        assert room.seek(frame, {"a": 30}, "a") == {}
    assert room.asked == expected


def test_each_object_is_the_proposal_that_looks_like_it() -> None:
    room = Room()
    room.seek(0, {}, "a", "b")
    assert room.seek(5, {"c": 20, "b": 50, "a": 80}, "a", "b") == {"a": 80, "b": 50}


def test_what_looks_like_nobody_is_nobody() -> None:
    room = Room()
    room.seek(0, {}, "a")
    assert room.seek(5, {"c": 20, "b": 50}, "a") == {}


def test_no_proposal_shows_two_objects() -> None:
    room = Room()
    room.seeker.cut(["a", "b"])
    known = {"a": gallery("a"), "b": gallery("a")}
    room.there = {"a": 30}
    assert len(room.seeker.seek(0, 0.0, picture(room.there), known, {})) == 1


def test_after_a_cut_it_looks_at_once() -> None:
    room = Room()
    room.seeker.cut(["a"])
    assert room.seek(3, {"a": 30}, "a") == {"a": 30}


def test_one_that_came_back_is_waited_for_anew() -> None:
    room = Room()
    for frame in range(4):
        room.seek(frame, {}, "a")
    room.seek(4, {}, "b")
    for frame in range(5, 9):
        room.seek(frame, {}, "a")
    assert room.asked == []


def test_an_object_that_was_never_seen_is_not_looked_for() -> None:
    room = Room()
    room.seeker.cut(["a"])
    assert room.seeker.seek(0, 0.0, picture({}), {"a": Gallery()}, {}) == {}
    assert room.asked == []


def test_what_is_there_already_is_not_what_is_away() -> None:
    """Neither its place nor its looks are; unless its mask has taken in what looks like the other one."""
    room = Room()
    room.there = {"a": 30}
    whole = square(30) | square(40)

    def seek(mask: BoolArray, like: str) -> bool:
        room.seeker.cut(["a"])
        present = {"b": (Mask.from_array(mask), gallery(like))}
        return "a" in room.seeker.seek(0, 0.0, picture(room.there), {"a": gallery("a")}, present)

    assert not seek(square(30), "b")
    assert not seek(square(80), "a")
    assert seek(square(80), "b")
    assert seek(whole | square(50), "b")


def test_what_was_learned_of_one_that_had_taken_it_in_tells_nothing() -> None:
    """``b`` has looked like ``a`` since that went away."""
    for learned, expected in ((5.0, True), (1.0, False)):
        room = Room()
        room.there = {"a": 30}
        like_a, other = gallery("a"), gallery("b")
        other.add(learned, like_a.views[0])
        present = {"b": (Mask.from_array(square(80)), other)}
        found: dict[str, object] = {}
        for second in (4.0, 6.0):
            found = dict(room.seeker.seek(0, second, picture(room.there), {"a": like_a}, present))
        assert ("a" in found) == expected


def test_of_one_that_has_come_since_what_is_known_counts() -> None:
    room = Room()
    room.there = {"a": 30}
    other = Gallery()
    other.add(5.0, gallery("a").views[0])
    present = {"b": (Mask.from_array(square(80)), other)}
    for second in (4.0, 6.0):
        assert not room.seeker.seek(0, second, picture(room.there), {"a": gallery("a")}, present)
