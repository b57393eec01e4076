from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backend.segmentation.cache import EncodingCache
from backend.tracking.standing import MOST, Rivals, Settled, Together
from backend.tracking.stretches import Before, Stretch
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, FrameResult, Mask, Observation, Prompt
from support.fake_rooms import HEIGHT as ROOM_HEIGHT
from support.fake_rooms import WIDTH as ROOM_WIDTH
from support.fake_rooms import FakePropagator, FakeSegmenter, FakeVideo

HEIGHT, WIDTH = 20, 100


def square(x: int, width: int = 20) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, x : x + width] = True
    return mask


def seen(name: str, frame: int, x: int | None, score: float = 0.75, *, human: bool = False) -> Observation:
    mask = None if x is None else Mask.from_array(square(x))
    return Observation(name, frame, mask, score, human)


class Known:
    """Neighbours at places that are told by frame."""

    def __init__(self, **places: Mapping[int, int | None]) -> None:
        self.places = places

    def at(self, frame: int) -> dict[str, Observation]:
        return {name: seen(name, frame, there[frame]) for name, there in self.places.items() if frame in there}


def told(rivals: Rivals, frame: int, x: int | None, name: str = "a") -> None:
    rivals.found(FrameResult(frame, (seen(name, frame, x),)))


def claimed(rivals: Rivals, frame: int, *wanted: str) -> list[int]:
    """The left sides of the squares that are claimed."""
    claims = rivals.claims(frame, wanted or ("a",))
    if claims is None:
        return []
    assert claims.dtype == np.float32
    assert claims.shape == (HEIGHT, WIDTH)
    return [x for x in range(0, WIDTH, 20) if claims[0, x] > 0]


def test_a_neighbour_claims_its_pixels_as_surely_as_it_was_seen() -> None:
    rivals = Rivals(Known(b={3: 40}, c={3: None}))
    claims = rivals.claims(3, ["a"])
    assert claims is not None
    assert (claims == np.where(square(40), np.float32(0.75), np.float32(0))).all()
    assert rivals.claims(4, ["a"]) is None


def test_of_two_the_surer_one_counts_and_nobody_is_believed_wholly() -> None:
    class Two:
        def at(self, frame: int) -> dict[str, Observation]:
            return {
                "b": seen("b", frame, 0, 0.5),
                "c": seen("c", frame, 10, 1.0),
                "d": seen("d", frame, 60, 0, human=True),
            }

    claims = Rivals(Two()).claims(0, ["a"])
    assert claims is not None
    assert claims[0, [0, 15, 25, 40, 65]].tolist() == pytest.approx([0.5, MOST, MOST, 0, MOST])


def test_who_lies_on_what_a_human_has_shown_is_doubted_and_nobody_else() -> None:
    rivals = Rivals(Known(b=dict.fromkeys(range(9), 40), c=dict.fromkeys(range(9), 0)))
    rivals.shown(4, {"a": square(45)})
    assert claimed(rivals, 5) == [0]
    assert claimed(rivals, 5, "a", "other") == [0]
    assert claimed(rivals, 5, "other") == [0, 40]


def test_less_than_most_of_it_is_no_reason_for_doubt() -> None:
    rivals = Rivals(Known(b={4: 40, 5: 40}))
    rivals.shown(4, {"a": square(50)})
    assert claimed(rivals, 5) == [40]


def test_a_doubted_one_counts_again_once_it_is_off_the_object() -> None:
    rivals = Rivals(Known(b=dict.fromkeys(range(9), 40)))
    rivals.shown(0, {"a": square(40)})
    told(rivals, 1, 48)  # 12 of 20 columns are still covered
    assert claimed(rivals, 2) == []
    told(rivals, 2, None)
    assert claimed(rivals, 3) == []
    told(rivals, 3, 52)
    assert claimed(rivals, 4) == [40]
    told(rivals, 4, 44)  # it held its pixels, and yet the object is there: so much surer is memory
    assert claimed(rivals, 5) == []


def test_what_a_human_shows_anew_is_judged_anew() -> None:
    rivals = Rivals(Known(b={0: 40, 7: 0, 8: 0}))
    rivals.shown(0, {"a": square(40)})
    assert claimed(rivals, 8) == []
    rivals.shown(7, {"a": square(40)})
    assert claimed(rivals, 8) == [0]


def test_where_neighbours_are_is_told_of_those_that_are_believed() -> None:
    rivals = Rivals(Known(b={4: 40, 5: 40}, c={5: 0}, d={5: None}))
    rivals.shown(4, {"a": square(40)})
    assert {name: mask.box for name, mask in rivals.masks(5, ["a"]).items()} == {"c": (0, 0, 20, HEIGHT)}
    assert sorted(rivals.masks(5, ["other"])) == ["b", "c"]


def test_masks_of_another_size_cover_nothing() -> None:
    class Other:
        def at(self, frame: int) -> dict[str, Observation]:
            return {"b": Observation("b", frame, Mask.from_array(np.ones((5, 5), bool)), 0.75)}

    rivals = Rivals(Other())
    rivals.shown(0, {"a": square(0)})
    told(rivals, 1, 0)
    assert rivals._doubted == {"a": set()}


def test_what_is_not_tracked_again_stands() -> None:
    before = {
        "a": Before({frame: seen("a", frame, 0) for frame in range(6)}, frozenset({2})),
        "b": Before({frame: seen("b", frame, 40) for frame in range(6)}, frozenset()),
    }
    settled = Settled(before, [Stretch("a", range(3, 5), forward=True, backward=True, bounded=True)])
    assert [sorted(settled.at(frame)) for frame in (2, 3, 4, 5, 6)] == [["a", "b"], ["b"], ["b"], ["a", "b"], []]
    both = Together(settled, Known(c={2: 0}))
    assert sorted(both.at(2)) == ["a", "b", "c"]
    assert both.at(2)["b"] is before["b"].observations[2]


def test_an_object_is_not_its_own_rival() -> None:
    before = {"a": Before({2: seen("a", 2, 0)}, frozenset())}
    rivals = Rivals(Settled(before, []))
    rivals.shown(2, {"a": square(0)})
    assert rivals._doubted == {"a": set()}


class Tracked:
    """A tracker over fakes: what is given stays where it is, and is not found where somebody else claims it."""

    def __init__(self, count: int) -> None:
        self.video = FakeVideo(count)
        self.tracker = VideoTracker(FakeSegmenter().as_segmenter, FakePropagator, EncodingCache(10**6))

    def track(self, *prompts: Prompt, **options: Any) -> dict[str, dict[int, Observation]]:
        found: dict[str, dict[int, Observation]] = {}
        for result in self.tracker.track(self.video.as_reader, prompts, **options):
            for one in result.observations:
                found.setdefault(one.object_id, {})[one.frame] = one
        return found


LEFT, MIDDLE = (0.0, 0.0, 20.0, 40.0), (12.0, 0.0, 32.0, 40.0)


class Beside:
    """One who stands at some boxes, by frame."""

    def __init__(self, boxes: Mapping[int, Box]) -> None:
        self.boxes = boxes

    def at(self, frame: int) -> dict[str, Observation]:
        if frame not in self.boxes:
            return {}
        x0, y0, x1, y1 = (int(side) for side in self.boxes[frame])
        mask = np.zeros((ROOM_HEIGHT, ROOM_WIDTH), bool)
        mask[y0:y1, x0:x1] = True
        return {"b": Observation("b", frame, Mask.from_array(mask), 0.9)}


def widths(found: dict[int, Observation]) -> list[float | None]:
    return [None if (box := found[frame].box) is None else box[2] - box[0] for frame in sorted(found)]


def test_a_neighbour_keeps_its_pixels_both_ways_and_only_there() -> None:
    # It lies on 8 of the object's 20 columns.
    found = Tracked(9).track(Prompt("a", 4, LEFT), standing=Beside(dict.fromkeys((1, 2, 4, 5, 7), MIDDLE)))["a"]
    assert widths(found) == [20, 12, 12, 20, 20, 12, 20, 12, 20]
    assert all(one.object_id == "a" for one in found.values())


def test_a_neighbour_that_lies_on_what_a_human_has_drawn_blocks_nothing() -> None:
    found = Tracked(9).track(Prompt("a", 4, LEFT), standing=Beside(dict.fromkeys(range(9), LEFT)))["a"]
    assert widths(found) == [20] * 9


def test_what_is_not_corrected_competes_with_what_is() -> None:
    room = Tracked(30)
    first = room.track(Prompt("a", 0, LEFT), Prompt("b", 0, (40.0, 0.0, 60.0, 40.0)))
    before = {"a": Before(first["a"], frozenset({8})), "b": Before(first["b"], frozenset())}
    prompts = [Prompt("a", 0, LEFT), Prompt("b", 0, (40.0, 0.0, 60.0, 40.0)), Prompt("a", 8, (30.0, 0.0, 50.0, 40.0))]
    again = room.track(*prompts, before=before)
    assert set(again) == {"a"}
    assert {one.box for one in again["a"].values() if one.frame > 8} == {(30, 0, 40, 40)}


def test_what_a_neighbour_holds_inside_a_box_is_not_the_object() -> None:
    inside = Beside({4: (5.0, 10.0, 15.0, 30.0)})
    found = Tracked(9).track(Prompt("a", 4, LEFT), standing=inside)["a"]
    assert [None if found[frame].mask is None else found[frame].mask.area for frame in (3, 4, 5)] == [600] * 3
    assert found[4].human
    assert found[4].box == LEFT


@pytest.mark.parametrize("boxes", [MIDDLE, LEFT], ids=["one that has too much", "one that lies on it"])
def test_a_box_is_believed_rather_than_a_neighbour(boxes: Box) -> None:
    found = Tracked(9).track(Prompt("a", 4, LEFT), standing=Beside({4: boxes}))["a"]
    assert found[4].box == LEFT


def test_a_mask_that_a_human_has_painted_stays_as_it_is() -> None:
    mask = np.zeros((ROOM_HEIGHT, ROOM_WIDTH), bool)
    mask[0:40, 0:20] = True
    found = Tracked(9).track(Prompt("a", 4, mask=mask), standing=Beside({4: (5.0, 10.0, 15.0, 30.0)}))["a"]
    assert found[4].mask is not None
    assert np.array_equal(found[4].mask.array(), mask)


@pytest.mark.parametrize(("corrected", "area"), [(True, 800), (False, 600)], ids=["shown anew", "as it was"])
def test_where_another_one_was_says_nothing_once_it_is_shown_anew(corrected: bool, area: int) -> None:
    room = Tracked(9)
    prompts = [Prompt("a", 0, (40.0, 0.0, 60.0, 40.0)), Prompt("b", 0, (5.0, 10.0, 15.0, 30.0))]
    first = room.track(*prompts)
    before = {"a": Before(first["a"], frozenset({5})), "b": Before(first["b"], frozenset({5} if corrected else ()))}
    anew = [Prompt("b", 5, (40.0, 0.0, 60.0, 40.0))] if corrected else []
    again = room.track(*prompts, Prompt("a", 5, LEFT), *anew, before=before)
    assert again["a"][5].mask is not None
    assert again["a"][5].mask.area == area
