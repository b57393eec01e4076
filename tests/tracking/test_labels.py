from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from backend.tracking.labels import Labels, together
from backend.tracking.matching import Sight, match_by_overlap
from backend.tracks import Box, Detection, Observation

HERE: Box = (0.0, 0.0, 20.0, 10.0)
THERE: Box = (50.0, 30.0, 70.0, 40.0)
SIGHT = Sight(0.0, {}, lambda: pytest.fail("encoded"), lambda: pytest.fail("looked"), lambda _: pytest.fail("asked"))


def moved(box: Box, dx: float) -> Box:
    return (box[0] + dx, box[1], box[2] + dx, box[3])


def labels(**kinds: str) -> Labels:
    known = Labels()
    for name, kind in kinds.items():
        known.add(name, Detection(HERE, 0.9, kind))
    return known


def by_overlap(known: Labels, objects: Mapping[str, Box | None], detections: Sequence[Detection]) -> dict[str, int]:
    return known.match(match_by_overlap, objects, detections, SIGHT)


def test_an_object_is_what_most_of_its_detections_say_by_their_scores() -> None:
    known = Labels()
    assert known.of("1") is None
    for label, score in (("Car", 0.9), ("Truck", 0.5), ("Truck", 0.3), (None, 1.0)):
        known.add("1", Detection(HERE, score, label))
    assert known.of("1") == "Car"
    known.add("1", Detection(HERE, 0.2, "Truck"))
    assert known.of("1") == "Truck"


def test_scores_below_nothing_count_as_nothing() -> None:
    known = Labels()
    for label in ("Car", "Truck", "Truck"):
        known.add("1", Detection(HERE, -3.0, label))
    assert known.of("1") == "Truck"


def test_nothing_is_taken_for_an_object_of_another_label() -> None:
    known = labels(a="Car", b="Person")
    boxes = {"a": HERE, "b": moved(HERE, 5)}
    # By overlap alone each would be the other one.
    detections = [Detection(HERE, 0.9, "Person"), Detection(moved(HERE, 5), 0.9, "Car")]
    assert by_overlap(Labels(), boxes, detections) == {"a": 0, "b": 1}
    assert by_overlap(known, boxes, detections) == {"a": 1, "b": 0}
    assert by_overlap(known, boxes, [Detection(HERE, 0.9, "Dog")]) == {}


def test_what_has_no_label_may_be_anything_that_is_left() -> None:
    known = labels(a="Car")
    plain = [Detection(HERE, 0.9), Detection(THERE, 0.9, "Person")]
    assert by_overlap(known, {"a": HERE, "b": THERE}, plain) == {"a": 0, "b": 1}
    # The one that has the object's label goes first.
    both = [Detection(HERE, 0.9), Detection(moved(HERE, 5), 0.9, "Car")]
    assert by_overlap(known, {"a": HERE}, both) == {"a": 1}


def test_one_detection_shows_one_object() -> None:
    known = labels(a="Car")
    assert by_overlap(known, {"a": HERE, "b": HERE}, [Detection(HERE, 0.9, "Car")]) == {"a": 0}
    assert len(by_overlap(known, {"a": HERE, "b": HERE}, [Detection(HERE, 0.9)])) == 1


def test_without_labels_the_matcher_is_asked_once_about_all() -> None:
    asked = []

    def match(objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight) -> dict[str, int]:
        asked.append((dict(objects), list(detections), sight))
        return {}

    detections = [Detection(HERE, 0.9)]
    assert labels(a="Car").match(match, {"a": HERE, "b": None}, detections, SIGHT) == {}
    assert asked == [({"a": HERE, "b": None}, detections, SIGHT)]


def test_any_matcher_profits() -> None:
    def first(objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight) -> dict[str, int]:
        """Knows lost objects again without any place, as by their looks."""
        return {next(iter(objects)): 0}

    known = labels(a="Car", b="Person")
    lost: dict[str, Box | None] = {"a": None, "b": None}
    assert known.match(first, lost, [Detection(THERE, 0.9, "Person")], SIGHT) == {"b": 0}


def test_may_be() -> None:
    known = labels(a="Car")
    assert known.may_be("a", Detection(HERE, 1.0)) and known.may_be("a", Detection(HERE, 1.0, "Car"))
    assert known.may_be("b", Detection(HERE, 1.0, "Person"))
    assert not known.may_be("a", Detection(HERE, 1.0, "Person"))


def test_a_matcher_is_not_bound_to_observations() -> None:
    """A sight's observations stay whole, whichever label is asked about: what crowds an object may be anything."""
    seen = {"a": Observation("a", 0, None, 0.5), "b": Observation("b", 0, None, 0.5)}
    sight = Sight(0.0, seen, SIGHT.encode, SIGHT.look, SIGHT.segment)
    given = []

    def match(objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight) -> dict[str, int]:
        given.append(sorted(sight.seen))
        return {}

    detections = [Detection(HERE, 0.9, "Car"), Detection(HERE, 0.9, "Person")]
    labels(a="Car", b="Person").match(match, {"a": HERE, "b": HERE}, detections, sight)
    assert given == [["a", "b"], ["a", "b"]]


def test_a_person_says_it_too() -> None:
    known = Labels()
    known.vote("1", "Car")
    known.add("1", Detection(HERE, 0.9, "Truck"))
    assert (known.of("1"), known.votes("1")) == ("Car", {"Car": (1.0, 1), "Truck": (0.9, 1)})


def test_votes_of_several_count_together() -> None:
    said = {"Car": (0.5, 2)}, {"Truck": (0.75, 1), "Car": (0.5, 1)}
    assert together(*said) == {"Car": (1.0, 3), "Truck": (0.75, 1)}
    assert said[0] == {"Car": (0.5, 2)}
    assert together() == {}
