from __future__ import annotations

from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.evaluation.compose import Record, Shot, shots
from backend.evaluation.cutouts import Cutout, cut_out
from backend.evaluation.davis import find_sequences
from backend.evaluation.scenes import Guest, Scene
from support import drawn

COUNT = 9


@pytest.fixture(scope="module")
def cutouts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cutout]:
    root: Path = tmp_path_factory.mktemp("drawn")
    for name in ("red", "green", "blue"):
        drawn.write_drawn(root, name, COUNT)
    found = {sequence.name: cut_out(sequence) for sequence in find_sequences(root)}
    return {name: cutout for name, cutout in found.items() if cutout is not None}


def passing(cutout: Cutout, start: tuple[float, float], end: tuple[float, float]) -> Guest:
    return Guest(cutout, 1.0, False, 3, np.linspace(start, end, COUNT))


def scene_of(cutouts: dict[str, Cutout], front_to_back: tuple[int, ...]) -> Scene:
    """Green (2) passes the red host's object (1) from left to right, blue (3) the other way."""
    guests = passing(cutouts["green"], (30, 60), (165, 60)), passing(cutouts["blue"], (160, 64), (32, 64))
    return Scene("made", "crossing", cutouts["red"], guests, front_to_back)


ORDERS = [(1, 2, 3), (3, 1, 2), (2, 3, 1)]
NAMES = {1: "red", 2: "green", 3: "blue"}


@pytest.mark.parametrize("order", ORDERS)
def test_what_shows_is_the_object_that_the_truth_says(cutouts, order) -> None:
    for shot in shots(scene_of(cutouts, order)):
        assert set(np.unique(shot.numbers)) <= {0, 1, 2, 3}
        for number, name in NAMES.items():
            # Edges are soft: two pixels of them are left out.
            inner = cv2.erode(shot.visible(number).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            assert drawn.looks_like(name, shot.image)[inner].all()
        far = cv2.dilate((shot.numbers > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
        assert not any(drawn.looks_like(name, shot.image)[far].any() for name in NAMES.values())


@pytest.mark.parametrize("order", ORDERS)
def test_who_is_in_front_has_the_pixels_that_two_share(cutouts, order) -> None:
    shared = dict.fromkeys(combinations(sorted(order), 2), 0)
    for shot in shots(scene_of(cutouts, order)):
        for pair in shared:
            front, behind = sorted(pair, key=order.index)
            both = shot.whole[front] & shot.whole[behind]
            shared[pair] += int(both.sum())
            assert not (shot.visible(behind) & both).any()
        assert np.array_equal(shot.visible(order[0]), shot.whole[order[0]])
        union = np.logical_or.reduce(list(shot.whole.values()))
        assert np.array_equal(shot.numbers > 0, union)
    assert all(shared.values())


def test_the_hosts_truth_is_its_annotation(cutouts) -> None:
    for frame, shot in enumerate(shots(scene_of(cutouts, (1, 2, 3)))):
        assert np.array_equal(shot.visible(1), cutouts["red"].truth(frame))
        assert shot.visibility(1) == 1


def test_nothing_of_a_host_without_guests_is_changed(cutouts) -> None:
    scene = Scene("alone", "crossing", cutouts["red"], (), (1,))
    for frame, shot in enumerate(shots(scene)):
        assert np.array_equal(shot.image, cutouts["red"].image(frame))


def test_visibility_counts_what_is_beyond_the_border(cutouts) -> None:
    half_out = Guest(cutouts["green"], 1.0, False, 0, np.tile((0.0, 60.0), (COUNT, 1)))
    away = Guest(cutouts["blue"], 1.0, False, 0, np.tile((-100.0, 60.0), (COUNT, 1)))
    for shot in shots(Scene("edge", "return", cutouts["red"], (half_out, away), (1, 2, 3))):
        assert shot.visibility(2) == pytest.approx(0.5, abs=0.06)
        assert shot.visibility(3) == 0
        assert shot.areas[3] > 500


def test_the_record_tells_who_covers_whom_and_who_is_away(cutouts) -> None:
    scene = scene_of(cutouts, (3, 1, 2))
    record = Record(scene)
    seen: list[Shot] = list(shots(scene))
    for shot in seen:
        record.add(shot)
    told = record.summary()
    assert (told["kind"], told["frames"], told["front_to_back"]) == ("crossing", COUNT, [3, 1, 2])
    assert told["objects"]["1"] == {"sequence": "red", "host": True, "absent": []}
    assert told["objects"]["2"] == {"sequence": "green", "scale": 1.0, "mirrored": False, "absent": []}
    met = {(meeting["front"], meeting["behind"]): meeting for meeting in told["meetings"]}
    assert set(met) == {(1, 2), (3, 2), (3, 1)}
    for (front, behind), meeting in met.items():
        common = [(shot.whole[front] & shot.whole[behind]).sum() / shot.whole[behind].sum() for shot in seen]
        assert meeting["most"] == pytest.approx(max(common), abs=1e-3)
        ((first, last),) = meeting["frames"]
        assert [part >= 0.02 for part in common] == [first <= frame <= last for frame in range(COUNT)]
        assert 0 < first <= last < COUNT - 1


def test_the_record_of_an_object_that_is_away(cutouts) -> None:
    centres = np.tile((30.0, 30.0), (COUNT, 1))
    centres[3:6] = (-60, 30)
    scene = Scene("away", "return", cutouts["red"], (Guest(cutouts["green"], 1.0, True, 0, centres),), (1, 2))
    record = Record(scene)
    for shot in shots(scene):
        record.add(shot)
    assert record.summary()["objects"]["2"]["absent"] == [(3, 5)]
