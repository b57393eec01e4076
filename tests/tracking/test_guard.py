"""Squares of three colours on grey, which are what they look like, and a propagator that notes what it is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from backend.association.identity import Calibration
from backend.propagation.propagator import Propagator
from backend.tracking.guard import Guard, GuardRules
from backend.tracking.looks import Looks
from backend.tracking.seek import Propose
from backend.tracks import BoolArray, FrameResult, ImageArray, Mask, Observation
from support.colours import COLOURS, Colours, Places, picture, square

FPS = 10.0


class Told:
    """A propagator that notes what it is told."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []

    def deny(self, names: Collection[str]) -> None:
        self.log.append(("deny", *sorted(names)))

    def step(self, frame: int, encoding: Any, given: Mapping[str, BoolArray], wanted: Collection[str]) -> None:
        assert encoding == "encoded"
        assert not wanted
        places = {name: int(np.flatnonzero(mask.any(0))[0]) for name, mask in given.items()}
        self.log.append(("give", frame, places))

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        self.log.append(("exchange", one, other, *sorted(frames)))

    @property
    def as_propagator(self) -> Propagator:
        return cast(Propagator, self)


def result(frame: int, places: Places, score: float = 0.9) -> FrameResult:
    found = [
        Observation(name, frame, None if left is None else Mask.from_array(square(left)), score)
        for name, left in sorted(places.items())
    ]
    return FrameResult(frame, tuple(found))


class Run:
    """Objects as they are, and as they are told; what the guard makes of that, the last of each frame."""

    def __init__(
        self,
        first: Places,
        propose: Propose | None = None,
        rules: GuardRules | None = None,
        **colours: tuple[int, int, int],
    ) -> None:
        looks = Looks(Colours(), Calibration(middle=0.7, slope=30.0, swap=30.0))
        self.colours = {**COLOURS, **colours}
        self.guard = Guard(looks, lambda frame, image: image, FPS, propose, rules)
        self.guard.teach(
            0, picture(first, self.colours), {name: square(left) for name, left in first.items() if left is not None}
        )
        self.propagator = Told()
        self.found: dict[int, dict[str, Observation]] = {}

    def step(
        self,
        frame: int,
        true: Places,
        told: Places | None = None,
        score: float = 0.9,
        trusted: Collection[str] | None = None,
    ) -> None:
        given = result(frame, true if told is None else told, score)
        image = picture(true, self.colours)
        answers = self.guard.watch(self.propagator.as_propagator, frame, image, "encoded", given, trusted)
        assert answers[-1].frame == frame
        for one in answers:
            names = [observation.object_id for observation in one.observations]
            assert names == sorted(set(names))
            self.found[one.frame] = {observation.object_id: observation for observation in one.observations}

    def places(self, frame: int) -> dict[str, int | None]:
        return {name: None if one.box is None else int(one.box[0]) for name, one in self.found[frame].items()}


def crossing(frame: int) -> dict[str, int | None]:
    """``a`` goes to the right and ``b`` to the left; they touch on frames 4 to 6, and are in one place on 5."""
    return {"a": 10 + 8 * frame, "b": 90 - 8 * frame}


def swapped(places: Places) -> dict[str, int | None]:
    return {"a": places["b"], "b": places["a"]}


def test_tracks_that_swap_where_they_cross_are_exchanged_from_there_on() -> None:
    run = Run(crossing(0))
    for frame in range(1, 11):
        # Both turn round, says the propagator, until it is told better.
        wrong = frame > 5 and not run.propagator.log
        run.step(frame, crossing(frame), swapped(crossing(frame)) if wrong else None)
    assert [run.places(frame) for frame in range(1, 11)] == [crossing(frame) for frame in range(1, 11)]
    ((verb, one, other, *frames),) = run.propagator.log
    assert (verb, one, other, frames[0]) == ("exchange", "a", "b", 5)


def test_backwards_in_time_too() -> None:
    run = Run(crossing(10))
    for frame in range(9, -1, -1):
        wrong = frame < 5 and not run.propagator.log
        run.step(frame, crossing(frame), swapped(crossing(frame)) if wrong else None)
    assert [run.places(frame) for frame in range(10)] == [crossing(frame) for frame in range(10)]


def test_tracks_that_cross_and_stay_right_are_left_alone() -> None:
    run = Run(crossing(0))
    for frame in range(1, 11):
        run.step(frame, crossing(frame))
    assert run.propagator.log == []
    assert [run.places(frame) for frame in range(1, 11)] == [crossing(frame) for frame in range(1, 11)]
    assert all(one.score == 0.9 for found in run.found.values() for one in found.values())


def beside(frame: int) -> dict[str, int | None]:
    """They meet on frame 5, and stay side by side from there on."""
    return crossing(frame) if frame < 5 else {"a": 55, "b": 45}


@pytest.mark.parametrize(("after", "first"), [(5, 7), (12, 13)], ids=["where they meet", "later"])
def test_tracks_that_swap_and_never_part_are_exchanged_while_they_touch(after: int, first: int) -> None:
    run = Run(beside(0))
    for frame in range(1, 21):
        wrong = frame > after and not run.propagator.log
        run.step(frame, beside(frame), swapped(beside(frame)) if wrong else None)
    ((verb, one, other, *frames),) = run.propagator.log
    assert (verb, one, other) == ("exchange", "a", "b")
    # A look each fifth of a second; three of them. Nobody knows on which side of the frame between two looks it was.
    assert frames == [*range(first, first + 5)]
    assert [frame for frame in range(1, 21) if run.places(frame) != beside(frame)] == [*range(after + 1, first)]


def test_those_that_stay_right_while_they_touch_are_left_alone() -> None:
    run = Run(beside(0))
    for frame in range(1, 21):
        run.step(frame, beside(frame))
    assert run.propagator.log == []
    assert all(one.score == 0.9 for found in run.found.values() for one in found.values())


def test_nothing_is_said_of_twins_that_touch() -> None:
    run = Run(beside(0), a=(200, 40, 40), b=(210, 40, 40))
    for frame in range(1, 21):
        run.step(frame, beside(frame), swapped(beside(frame)) if frame > 5 else None)
    assert run.propagator.log == []


def test_of_one_of_which_little_shows_nothing_is_said_while_it_touches_another_one() -> None:
    """It would be three looks at the other one."""
    run = Run(beside(0))
    for frame in range(1, 21):
        there = swapped(beside(frame)) if frame > 5 else beside(frame)
        found = result(frame, there)
        if frame > 5:
            sliver = square(45)
            sliver[:, :53] = False
            found = FrameResult(
                frame, (replace(found.observations[0], mask=Mask.from_array(sliver)), found.observations[1])
            )
        run.guard.watch(run.propagator.as_propagator, frame, picture(beside(frame)), "encoded", found)
    assert run.propagator.log == []


def test_who_took_the_place_of_one_that_is_gone_is_called_by_its_name() -> None:
    """``b`` vanishes behind ``a``, and the propagator calls ``a`` by its name from then on."""
    run = Run(crossing(0))
    for frame in range(1, 11):
        true = {**crossing(frame), "b": None if frame > 5 else crossing(frame)["b"]}
        wrong = frame > 5 and not run.propagator.log
        run.step(frame, true, swapped(true) if wrong else None)
    assert [verb for verb, *_ in run.propagator.log] == ["exchange"]
    assert run.places(10) == {"a": 90, "b": None}
    assert run.places(7) == {"a": 66, "b": None}


def test_twins_cannot_be_told_apart_and_are_doubted() -> None:
    """Nothing is exchanged; scores fall from the crossing on, and not before."""
    run = Run(crossing(0), a=(200, 40, 40), b=(210, 40, 40))
    for frame in range(1, 16):
        run.step(frame, crossing(min(frame, 10)))
    assert run.propagator.log == []
    scores = {frame: found["a"].score for frame, found in run.found.items()}
    assert all(scores[frame] == 0.9 for frame in range(1, 5))
    assert all(scores[frame] < 0.6 for frame in range(5, 9))


def test_what_comes_back_as_somebody_else_is_denied() -> None:
    run = Run({"a": 10})
    run.step(1, {"a": 10})
    run.step(2, {"a": None})
    run.step(3, {"c": 60}, {"a": 60})
    assert run.propagator.log == [("deny", "a")]
    assert run.places(3) == {"a": None}
    assert run.found[3]["a"].score > 0.8
    run.step(4, {"a": 60})
    assert run.places(4) == {"a": 60}
    assert len(run.propagator.log) == 1


def test_after_a_cut_what_is_found_has_come_back() -> None:
    run = Run({"a": 10})
    run.step(1, {"a": 10})
    run.guard.cut()
    run.step(2, {"c": 10}, {"a": 10})
    assert run.places(2) == {"a": None}


def test_where_a_human_has_shown_an_object_it_is() -> None:
    run = Run({"a": 10})
    run.step(1, {"a": None})
    run.guard.given({"a"})
    run.step(2, {"c": 60}, {"a": 60})
    assert run.places(2) == {"a": 60}


def test_passes_learn_by_themselves() -> None:
    """What one pass took for an object is not known to another one."""
    run = Run({"a": 10})
    other = run.guard.fork()
    for frame in range(1, 8):
        run.step(frame, {"c": 10}, {"a": 10})  # it turned blue, little by little, as far as this pass knows
    other.cut()
    (answer,) = other.watch(run.propagator.as_propagator, 8, picture({"c": 10}), "encoded", result(8, {"a": 10}))
    assert not answer.observations[0].present
    run.guard.cut()
    run.step(8, {"c": 10}, {"a": 10})
    assert run.places(8) == {"a": 10}


@pytest.mark.parametrize("score", [0.4, 0.6])
def test_doubtful_masks_are_not_looked_at(score: float) -> None:
    run = Run({"a": 10})
    embedder = cast(Colours, run.guard._looks.embedder)
    asked = embedder.asked
    run.step(3, {"a": 10}, score=score)
    assert embedder.asked - asked == (score > 0.5)


def test_what_stays_away_is_found_among_what_is_proposed() -> None:
    asked: list[int] = []

    def propose(frame: int, image: ImageArray) -> list[Mask]:
        asked.append(frame)
        return [Mask.from_array(square(left)) for left in (40, 70, 100)]

    run = Run({"a": 10, "b": 40}, propose)
    for frame in range(1, 8):
        run.step(frame, {"a": 100, "b": 40, "c": 70}, {"a": None, "b": 40})
    assert asked == [4]  # a quarter of a second after it was first missed
    assert run.propagator.log == [("give", 4, {"a": 100})]
    assert run.places(4) == {"a": 100, "b": 40}
    assert run.found[4]["a"].score > 0.9


@pytest.mark.parametrize(("known", "found"), [(20, 100), (100, None)], ids=["elsewhere", "there"])
def test_nobody_is_looked_for_where_somebody_else_is_known_to_be(known: int, found: int | None) -> None:
    run = Run({"a": 10}, lambda frame, image: [Mask.from_array(square(100))])
    for frame in range(1, 5):
        missing = FrameResult(frame, (Observation("a", frame, None, 0.9),))
        others = {"b": Mask.from_array(square(known))}
        (answer,) = run.guard.watch(
            run.propagator.as_propagator, frame, picture({"a": 100}), "encoded", missing, others=others
        )
    (a,) = answer.observations
    assert (None if a.box is None else a.box[0]) == found


def test_what_is_found_is_taken_out_of_what_had_taken_it_in() -> None:
    run = Run({"a": 10, "b": 40}, lambda frame, image: [Mask.from_array(square(60))])
    both = Mask.from_array(square(40) | square(50) | square(60))
    for frame in range(1, 5):
        found = (Observation("a", frame, None, 0.9), Observation("b", frame, both, 0.8))
        image = picture({"a": 60, "b": 40})
        (answer,) = run.guard.watch(run.propagator.as_propagator, frame, image, "encoded", FrameResult(frame, found))
    a, b = answer.observations
    assert a.box == (60, 10, 70, 20)
    assert (b.box, b.score) == ((40, 10, 60, 20), 0.8)


def test_what_is_found_first_after_a_cut_may_have_to_be_surer() -> None:
    """``a`` looks half red and half blue: as likely itself as not."""
    for anew, expected in ((0.2, 60), (0.9, None)):
        run = Run({"a": 10}, rules=GuardRules(anew=anew))
        run.guard.cut()
        run.colours["a"] = (255, 0, 245)
        run.step(1, {"a": 60})
        assert run.places(1) == {"a": expected}
        run.step(2, {"a": None})
        run.step(3, {"a": 60})
        # It has not come back since; where it has, the cut is forgotten.
        assert run.places(3) == {"a": expected}
        run.guard.found({"a"})
        run.step(4, {"a": 60})
        assert run.places(4) == {"a": 60}


def test_something_is_learned_only_of_those_that_are_trusted() -> None:
    run = Run({"a": 10, "b": 40})
    run.step(5, {"a": 10, "b": 40}, trusted={"b"})
    assert {name: len(gallery) for name, gallery in run.guard.galleries.items()} == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("other", "views"), [(31, [1, 2]), (20, [1, 1]), (15, [0, 0])], ids=["apart", "touching", "overlapping"]
)
def test_something_is_learned_of_who_is_never_alone(other: int, views: list[int]) -> None:
    run = Run({"a": 10})
    found = []
    for frame in (1, 5):
        run.step(frame, {"a": 10, "b": other})
        found.append(len(run.guard.galleries.get("b", ())))
    assert found == views


def test_looks_are_forgotten_in_time() -> None:
    run = Run({}, rules=GuardRules(memory=2.0))
    for frame in (1, 5, 25, 30):
        run.step(frame, {"a": 10})
    assert run.guard.galleries["a"].seconds == [2.5, 3.0]
