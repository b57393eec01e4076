"""What a load test finds wrong in answers that are made up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from backend.evaluation.load_checks import check_answer, check_opened
from backend.evaluation.load_regions import Held, new_region
from backend.evaluation.load_videos import Target, make_videos, targets

VIDEOS = make_videos(2, 10, 320, 240)
OTHERS = targets(VIDEOS)
OWN = Target(VIDEOS[0], 3)
DRAWN = 2

Item = dict[str, Any]


def drawn() -> Held:
    return new_region("a", "Car", OWN, DRAWN, OWN.box(DRAWN - 1))


def answer(held: Held, target: Target = OWN, *, note: str = "tracked 1-10") -> Item:
    """The region tracked over all frames that are not hidden, with the human's keyframes as they are."""
    item = copy.deepcopy(held.item)
    found = {frame: held.target_keyframe(frame, target.box(frame - 1)) for frame in range(1, (held.last or 10) + 1)}
    item["value"]["sequence"] = copy.deepcopy(list((found | dict(held.drawn)).values()))
    item["meta"] = {"text": [f"mine\nKeytrack: {note}"]}
    return item


def kinds(held: Held, *results: Item) -> list[str]:
    return [wrong.kind for wrong in check_answer([held], results, OTHERS)]


def test_a_right_answer() -> None:
    held = drawn()
    assert kinds(held, answer(held)) == []
    assert kinds(held, held.item) == []
    ended = held.answered(answer(held)).ended(7, OWN.box(6))
    assert kinds(ended, answer(ended)) == []


def shift(item: Item) -> None:
    item["value"]["sequence"][DRAWN - 1]["x"] += 1e-9


def drop(item: Item) -> None:
    del item["value"]["sequence"][DRAWN - 1]


def rename(item: Item) -> None:
    item["id"] = "b"


def relabel(item: Item) -> None:
    item["value"]["labels"] = ["Person"]


def reverse(item: Item) -> None:
    item["value"]["sequence"].reverse()


def lengthen(item: Item) -> None:
    sequence = item["value"]["sequence"]
    sequence.append({**sequence[-1], "frame": 11})


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (shift, ["human keyframe changed"]),
        (drop, ["human keyframe lost"]),
        (rename, ["foreign region", "region lost"]),
        (relabel, ["class changed"]),
        (reverse, ["keyframes out of order"]),
        (lengthen, ["keyframes out of order"]),
    ],
)
def test_what_was_changed_on_the_way(change: Callable[[Item], None], found: list[str]) -> None:
    held = drawn()
    item = answer(held)
    change(item)
    assert kinds(held, item) == found


def test_nothing_and_too_much() -> None:
    held = drawn()
    assert kinds(held) == ["region lost"]
    assert kinds(held, answer(held), answer(held)) == ["region twice"]


@pytest.mark.parametrize("other", [Target(VIDEOS[0], 4), Target(VIDEOS[1], 3)])
def test_the_track_of_another_object_is_crossed(other: Target) -> None:
    held = drawn()
    assert kinds(held, answer(held, other)) == ["crossed"]
    assert kinds(held, answer(held, other, note="tracking: frames 1-4 of 10 done, press t again for more")) == []


def test_a_track_of_nothing_is_off_its_object() -> None:
    held = drawn()
    item = answer(held)
    for keyframe in item["value"]["sequence"]:
        if keyframe["frame"] != DRAWN:
            keyframe |= {"x": 0.0, "y": 0.0, "width": 4.0, "height": 4.0}
    assert kinds(held, item) == ["track off its object"]


def test_what_a_human_hid_stays_hidden() -> None:
    held = drawn()
    ended = held.answered(answer(held)).ended(7, OWN.box(6))
    item = answer(ended)
    item["value"]["sequence"].append(held.target_keyframe(9, OWN.box(8)))
    assert kinds(ended, item) == ["shown where a human hid it"]


def test_an_opened_task_has_no_others_regions() -> None:
    entry = {"result": [{"id": "a"}, {"id": "b"}]}
    assert check_opened(["a", "b"], entry) == []
    assert check_opened(["a"], []) == []
    assert [wrong.kind for wrong in check_opened(["a"], entry)] == ["foreign region"]
