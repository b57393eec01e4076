"""With MobileSAM's real weights, on a scene that is easy for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from backend.propagation.propagator import Propagation
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.build import fast_dtype
from backend.segmentation.segmenter import Encoding, Segmenter
from support.clips import Scene, SceneObject, moving_boxes_scene

HIDDEN = (4, 5)
OBJECTS = (
    SceneObject("red", (200, 50, 40), (34, 26), (12.0, 20.0), (4.0, 2.0)),
    SceneObject("blue", (40, 70, 200), (28, 30), (110.0, 70.0), (-3.0, -2.0), shape="box", hidden=frozenset(HIDDEN)),
)
BOTH = ("red", "blue")
COUNT = 9


@pytest.fixture(scope="module")
def scene() -> Scene:
    return moving_boxes_scene(COUNT, objects=OBJECTS)


@pytest.fixture(scope="module")
def encodings(mobile_sam: Segmenter, scene: Scene) -> list[Encoding]:
    return [mobile_sam.encode(image) for image in scene.frames]


class Room:
    def __init__(self, segmenter: Segmenter, scene: Scene, encodings: Sequence[Encoding]) -> None:
        self.scene = scene
        self.encodings = encodings
        self.propagator = SamTokenPropagator(segmenter, fast_dtype("cpu"))

    def give(self, frame: int, *names: str, to: SamTokenPropagator | None = None) -> None:
        masks = {name: self.scene.masks[name][frame] for name in names}
        assert (to or self.propagator).step(frame, self.encodings[frame], masks, ()) == {}

    def step(self, frame: int, *names: str, of: SamTokenPropagator | None = None) -> dict[str, Propagation]:
        found = (of or self.propagator).step(frame, self.encodings[frame], {}, names)
        assert list(found) == list(names)
        return found

    def quality(self, frame: int, name: str, found: Mapping[str, Propagation]) -> float:
        mask, truth = found[name].mask, self.scene.masks[name][frame]
        assert mask is not None, (frame, name)
        assert mask.dtype == bool
        assert mask.shape == truth.shape
        return float((mask & truth).sum() / (mask | truth).sum())


@pytest.fixture
def room(mobile_sam: Segmenter, scene: Scene, encodings: list[Encoding]) -> Room:
    return Room(mobile_sam, scene, encodings)


@pytest.mark.slow
@pytest.mark.parametrize("frames", [range(COUNT), range(COUNT - 1, -1, -1)], ids=["forward", "backward"])
def test_two_objects_are_followed_and_one_that_leaves_is_found_again(room: Room, frames: range) -> None:
    room.give(frames[0], *BOTH)
    quality: dict[str, list[float]] = {"red": [], "blue": []}
    for frame in frames[1:]:
        found = room.step(frame, *BOTH)
        assert all(0 <= one.score <= 1 for one in found.values())
        quality["red"].append(room.quality(frame, "red", found))
        if frame in HIDDEN:
            assert found["blue"].mask is None
        else:
            quality["blue"].append(room.quality(frame, "blue", found))
            assert not (found["red"].mask & found["blue"].mask).any()
    assert np.mean(quality["red"]) > 0.9
    assert np.mean(quality["blue"]) > 0.8


def test_a_given_frame_shows_what_was_given(room: Room) -> None:
    room.give(0, "red")
    assert room.quality(0, "red", room.step(0, "red")) > 0.9


def test_what_was_never_given_cannot_be_wanted(room: Room) -> None:
    room.give(0, "red")
    with pytest.raises(KeyError, match="blue"):
        room.step(1, "red", "blue")


def test_nothing_wanted_nothing_found(room: Room) -> None:
    room.give(0, "red")
    assert room.step(1) == {}


def test_after_a_cut_the_object_is_looked_for_everywhere(room: Room) -> None:
    room.give(0, "red")
    room.propagator.lose()
    # Eight frames on, far from where it was.
    assert room.quality(8, "red", room.step(8, "red")) > 0.8


def test_looking_anew_where_it_is_not_finds_nothing(room: Room) -> None:
    room.give(0, "blue")
    room.propagator.lose()
    assert room.step(HIDDEN[0], "blue")["blue"].mask is None


def test_a_fork_shares_what_was_given_and_learns_alone(room: Room) -> None:
    room.give(0, "red")
    fork, twin = room.propagator.fork(), room.propagator.fork()
    # What one of them finds or is given does not reach the others.
    for frame in (1, 2, 3):
        room.step(frame, "red")
    room.give(3, "blue")
    fork.lose()
    for one in (fork, twin):
        with pytest.raises(KeyError):
            room.step(1, "blue", of=one)
        room.give(0, "red", to=one)
    mine, other = room.step(1, "red", of=fork)["red"], room.step(1, "red", of=twin)["red"]
    assert mine.mask is not None
    assert other.mask is not None
    assert np.array_equal(mine.mask, other.mask)
    assert mine.score == other.score


def test_before_another_object_is_there_it_changes_nothing(room: Room) -> None:
    alone = room.propagator.fork()
    room.give(0, *BOTH)
    room.give(0, "red", to=alone)
    for frame in (1, 2):
        both, single = room.step(frame, *BOTH)["red"].mask, room.step(frame, "red", of=alone)["red"].mask
        assert both is not None
        assert single is not None
        assert (both ^ single).sum() <= 0.02 * single.sum()


@pytest.mark.slow
def test_an_object_that_joins_leaves_the_other_as_it_is(room: Room) -> None:
    alone = room.propagator.fork()
    room.give(0, "red")
    room.give(0, "red", to=alone)
    for frame in range(1, COUNT):
        names = BOTH if frame > 2 else ("red",)
        joined, single = room.step(frame, *names)["red"].mask, room.step(frame, "red", of=alone)["red"].mask
        if frame == 2:
            room.give(2, "blue")
        assert joined is not None
        assert single is not None
        assert (joined ^ single).sum() <= 0.05 * single.sum(), frame


def test_many_given_frames_of_another_object_do_not_hide_ones_own(room: Room) -> None:
    room.give(0, "red")
    for frame in (1, 2, 3, 6, 7, 8):
        room.give(frame, "blue")
    assert room.quality(8, "red", room.step(8, "red")) > 0.5


def test_a_correction_wins(room: Room) -> None:
    """An object that is given anew is what it was given as, from there on."""
    room.give(0, "red")
    room.step(1, "red")
    wrong = {"red": room.scene.masks["blue"][1]}
    room.propagator.step(1, room.encodings[1], wrong, ())
    found = room.step(2, "red")["red"].mask
    assert found is not None
    blue = room.scene.masks["blue"][2]
    assert (found & blue).sum() > 0.7 * blue.sum()


def test_what_is_forgotten_is_gone_and_the_rest_stays(room: Room) -> None:
    room.give(0, *BOTH)
    room.step(1, *BOTH)
    fork = room.propagator.fork()
    room.propagator.forget({"red"})
    with pytest.raises(KeyError, match="red"):
        room.step(2, "red")
    assert room.quality(2, "blue", room.step(2, "blue")) > 0.8
    # Given anew, it is what it is given as, and nothing of what it was before: not even to be looked for.
    room.propagator.step(2, room.encodings[2], {"red": room.scene.masks["blue"][2]}, ())
    room.propagator.lose()
    found = room.step(3, "red")["red"].mask
    assert found is None or not (found & room.scene.masks["red"][3]).any()
    room.give(0, *BOTH, to=fork)  # a fork forgets nothing
    assert room.quality(1, "red", room.step(1, "red", of=fork)) > 0.8


def test_what_is_denied_is_looked_for_and_not_remembered(room: Room) -> None:
    room.give(0, *BOTH)
    room.step(1, *BOTH)
    room.propagator.deny({"red"})
    held = {one.frame: set(one.values) for one in room.propagator._bank.read(0)}
    assert held == {0: set(BOTH), 1: {"blue"}}
    assert room.propagator._objects["red"].lost
    assert room.quality(2, "red", room.step(2, *BOTH)) > 0.8  # it was there all the time


def test_objects_that_are_exchanged_go_on_as_each_other(room: Room) -> None:
    """Both are called by the other one's name from frame 1 on, until that is put right."""
    room.give(0, *BOTH)
    room.step(1, *BOTH)
    room.propagator.exchange("red", "blue", [1])
    wrong = room.step(2, *BOTH)
    assert wrong["red"].mask is not None
    assert (wrong["red"].mask & room.scene.masks["blue"][2]).any()
    room.propagator.exchange("red", "blue", [1, 2])
    found = room.step(3, *BOTH)
    assert all(room.quality(3, name, found) > 0.8 for name in BOTH)


def test_an_object_may_be_followed_from_a_place_alone(room: Room) -> None:
    room.give(0, "red")
    fork = room.propagator.fork()
    fork.expect(room.encodings[2], {"red": room.scene.masks["red"][2]})
    assert room.quality(3, "red", room.step(3, "red", of=fork)) > 0.8
    assert 2 not in {one.frame for one in fork._bank.read(0)}


def test_encodings_with_padding_serve_as_well(room: Room) -> None:
    def padded(encoding: Encoding) -> Encoding:
        assert encoding.middle is not None
        assert encoding.fine is not None
        rows = 64 - encoding.embedding.shape[-2]
        embedding, middle, fine = (
            functional.pad(level, (0, 0, 0, n * rows))
            for level, n in ((encoding.embedding, 1), (encoding.middle, 2), (encoding.fine, 4))
        )
        return replace(encoding, embedding=embedding, middle=middle, fine=fine)

    room.encodings = [padded(encoding) for encoding in room.encodings[:2]]
    assert room.encodings[0].grid == (256, 256)
    room.give(0, "red")
    assert room.quality(1, "red", room.step(1, "red")) > 0.8


def test_an_object_too_small_to_follow_is_absent_rather_than_an_error(room: Room) -> None:
    speck = np.zeros(room.scene.frames[0].shape[:2], bool)
    speck[60, 80] = True
    room.propagator.step(0, room.encodings[0], {"speck": speck}, ())
    found = room.step(1, "speck")["speck"]
    assert found.mask is None or found.mask.sum() < 50


def test_keys_may_be_exact(mobile_sam: Segmenter, room: Room) -> None:
    room.propagator = SamTokenPropagator(mobile_sam, torch.float32)
    room.give(0, "red")
    assert room.quality(1, "red", room.step(1, "red")) > 0.9
