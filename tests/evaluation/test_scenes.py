from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from backend.errors import DatasetError
from backend.evaluation.compose import Record, shots
from backend.evaluation.davis import find_sequences
from backend.evaluation.paths import MEETS, Stage, meeting
from backend.evaluation.scenes import Casting, Scene
from support import drawn
from support.davis import numbers, write_sequence


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    for name in drawn.COLOURS:
        drawn.write_drawn(root, name)
    return root


def casting(root: Path, seed: int = 0, frames: int = drawn.FRAMES, **which) -> Casting:
    return Casting(find_sequences(root, **which), frames, seed)


def visible(scene: Scene, number: int) -> list[int]:
    return [int(shot.visible(number).sum()) for shot in shots(scene)]


@pytest.mark.parametrize("index", range(3))
def test_those_who_cross_are_apart_at_both_ends(root: Path, index: int) -> None:
    scene = casting(root).scene("crossing", index, index)
    assert len(scene.guests) == (2, 3, 1)[index]
    names = {scene.host.sequence.name, *(guest.cutout.sequence.name for guest in scene.guests)}
    assert len(names) == 1 + len(scene.guests)
    assert sorted(scene.front_to_back) == list(range(1, 2 + len(scene.guests)))
    stage = Stage(drawn.WIDTH, drawn.HEIGHT, drawn.FRAMES)
    boxes = [scene.host.own_boxes(), *(guest.boxes for guest in scene.guests)]
    for one, other in combinations(boxes, 2):
        assert stage.apart_at_ends(one, other)
    # Each meets the host's object, and from the second one on another guest too.
    for guest in boxes[1:]:
        assert meeting(guest, boxes[0]) >= MEETS
    for guest in boxes[2:]:
        assert meeting(guest, boxes[1]) >= MEETS


def test_hosts_take_turns(root: Path) -> None:
    made = casting(root)
    hosts = [made.scene("crossing", 2, turn).host.sequence.name for turn in range(4)]
    assert sorted(hosts) == sorted(drawn.COLOURS)


def test_one_leaves_the_picture_and_comes_back(root: Path) -> None:
    scene = casting(root).scene("return", 0, 0)
    assert len(scene.guests) == 2
    seen = visible(scene, 2)
    gone = Stage(drawn.WIDTH, drawn.HEIGHT, drawn.FRAMES).gone
    assert not any(seen[frame] for frame in gone)
    assert seen[0] > 200 and seen[-1] > 200


def test_one_is_hidden_completely_by_another(root: Path) -> None:
    scene = casting(root).scene("return", 1, 0)
    assert len(scene.guests) == 2
    assert scene.front_to_back.index(2) < scene.front_to_back.index(3)
    seen = visible(scene, 3)
    gone = Stage(drawn.WIDTH, drawn.HEIGHT, drawn.FRAMES).gone
    assert not any(seen[frame] for frame in gone)
    assert seen[0] > 40 and seen[-1] > 40
    # It is in the picture all the time.
    assert all(shot.whole[3].sum() > 40 for shot in shots(scene))


def test_a_twin_is_the_hosts_object_mirrored_at_another_time(root: Path) -> None:
    scene = casting(root).scene("twins", 0, 1)
    (twin,) = scene.guests
    assert twin.cutout.sequence is scene.host.sequence
    assert twin.mirrored and twin.phase == drawn.FRAMES - 1
    assert meeting(twin.boxes, scene.host.own_boxes()) >= MEETS


def test_the_seed_decides(root: Path) -> None:
    def told(seed: int):
        scene = casting(root, seed).scene("crossing", 0, 0)
        record = Record(scene)
        for shot in shots(scene):
            record.add(shot)
        return scene.host.sequence.name, [guest.centres.tolist() for guest in scene.guests], record.summary()

    assert told(7) == told(7)
    assert told(7)[1] != told(8)[1]


def test_no_sequence_is_long_enough(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"none of 4 sequences shows one object whole on 21 frames .* fewer frames"):
        casting(root, frames=21).scene("crossing", 0, 0)


def test_hosts_that_are_too_short_go_forth_and_back(root: Path) -> None:
    made = Casting(find_sequences(root), 2 * drawn.FRAMES + 5, 0, forth_and_back=True)
    scene = made.scene("crossing", 2, 0)
    assert len(scene.host) == len(scene.guests[0].centres) == 2 * drawn.FRAMES + 5
    boxes = scene.host.own_boxes()
    turn = drawn.FRAMES - 1
    assert np.array_equal(boxes[turn : 2 * turn + 1], boxes[turn::-1])
    assert meeting(scene.guests[0].boxes, boxes) >= MEETS


def test_nobody_to_meet(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"crossing-1 could not be made: .*name more sequences"):
        casting(root, names=["red"]).scene("crossing", 0, 0)


def test_no_room(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_sequence(tmp_path, name, [numbers((255, 3, 3, 37, 27))] * 12, indexed=False)
    with pytest.raises(DatasetError, match="crossing-1 could not be made"):
        casting(tmp_path, frames=12).scene("crossing", 0, 0)


def test_others_than_those_with_one_object_are_not_used(root: Path, tmp_path: Path) -> None:
    for name in ("red", "green"):
        drawn.write_drawn(tmp_path, name)
    two = np.zeros((drawn.HEIGHT, drawn.WIDTH), np.uint8)
    two[20:50, 20:60], two[20:50, 90:130] = 1, 2
    write_sequence(tmp_path, "two", [two] * drawn.FRAMES)
    scene = casting(tmp_path).scene("crossing", 1, 0)
    assert {scene.host.sequence.name, *(guest.cutout.sequence.name for guest in scene.guests)} == {"red", "green"}
