"""Which keyframes are a human's, and what a human hid."""

from __future__ import annotations

from typing import Any

import pytest

from backend.labelstudio.edits import closing, hidden_after, split_human

Item = dict[str, Any]


def item(frame: int, x: float = 10.0, enabled: bool = True, **more: Any) -> Item:
    return {"frame": frame, "enabled": enabled, "rotation": 0, "x": x, "y": 20.5, "width": 30, "height": 40} | more


EMITTED = [item(1, time=0.1), item(11, score=0.7, auto=True), item(21), item(31, enabled=False)]


def test_all_keyframes_are_a_humans_until_some_were_handed_out() -> None:
    incoming = [item(3), item(9, enabled=False)]
    edits = split_human(incoming, [])
    assert edits.human == tuple(incoming)
    assert edits.changed == edits.frames == {3, 9}
    assert edits.deleted == frozenset()


def test_what_comes_back_untouched_is_not_a_humans() -> None:
    edits = split_human([dict(one) for one in EMITTED], EMITTED)
    assert edits == split_human(EMITTED, EMITTED)
    assert (edits.human, edits.changed, edits.deleted) == ((), frozenset(), frozenset())


@pytest.mark.parametrize(
    "change",
    [
        {"x": 10.001},
        {"y": 20.4},
        {"width": 29},
        {"height": 40.0001},
        {"rotation": 5},
        {"enabled": False},
        {"x": 12, "score": 0.7, "auto": True},
    ],
)
def test_a_changed_keyframe_is_a_humans(change: Item) -> None:
    moved = EMITTED[1] | change
    edits = split_human([EMITTED[0], moved, *EMITTED[2:]], EMITTED)
    assert len(edits.human) == 1
    assert edits.human[0] is moved
    assert edits.changed == {11}


@pytest.mark.parametrize(
    "change",
    [
        {"time": 99.0},
        {"score": 0.1},
        {"auto": False},
        {"x": 10.0 + 1e-9},
        {"x": 10},
        {"rotation": 0.0},
        {"note": "mine"},
    ],
)
def test_what_the_browser_changes_by_itself_is_not_an_edit(change: Item) -> None:
    assert split_human([EMITTED[0], EMITTED[1] | change, *EMITTED[2:]], EMITTED).human == ()


def test_a_missing_rotation_is_none() -> None:
    bare = {key: value for key, value in EMITTED[0].items() if key != "rotation"}
    assert split_human([bare, *EMITTED[1:]], EMITTED).human == ()


def test_an_inserted_keyframe_is_a_humans_though_it_copies_its_neighbours_keys() -> None:
    inserted = item(16, x=11.0, score=0.7, auto=True)
    edits = split_human([*EMITTED[:2], inserted, *EMITTED[2:]], EMITTED)
    assert edits.human == (inserted,)


def test_deleted_keyframes_are_told() -> None:
    edits = split_human([EMITTED[0], EMITTED[3]], EMITTED, known=[21])
    assert edits.deleted == {11, 21}
    assert edits.human == ()


def test_human_keyframes_from_before_stay_a_humans() -> None:
    edits = split_human(EMITTED, EMITTED, known=[11, 500])
    assert edits.human == (EMITTED[1],)
    assert edits.human[0] is EMITTED[1]
    assert edits.frames == {11}
    assert edits.changed == frozenset()


@pytest.mark.parametrize(
    ("items", "human", "expected"),
    [
        pytest.param([], [], [], id="nothing"),
        pytest.param([item(1), item(50, enabled=False)], [1, 50], [(51, None)], id="ended: to the end of the video"),
        pytest.param([item(1), item(50, enabled=False)], [1], [], id="ended by a model"),
        pytest.param([item(1), item(50)], [1, 50], [], id="not ended"),
        pytest.param(
            [item(1), item(50, enabled=False), item(60), item(90, enabled=False)],
            [1, 50],
            [(51, 59)],
            id="an occlusion: up to the next keyframe, whoever made it",
        ),
        pytest.param([item(1), item(50, enabled=False), item(51)], [50], [], id="nothing in between"),
        pytest.param([item(50, enabled=False)], [50], [(51, None)], id="one frame only"),
        pytest.param(
            [item(1), item(50, enabled=False), item(80, enabled=False)],
            [1, 80],
            [],
            id="added where the model hides the object: it is there, no more is said",
        ),
        pytest.param(
            [item(1), item(50, enabled=False), item(80, enabled=False)],
            [1, 50, 80],
            [(51, 79)],
            id="added where the human hides the object",
        ),
    ],
)
def test_what_a_human_hid(items: list[Item], human: list[int], expected: list[tuple[int, int | None]]) -> None:
    assert hidden_after(items, closing(items, human)) == expected


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        pytest.param({"frame": 11, "enabled": False}, {11}, id="switched off"),
        pytest.param({"frame": 11, "enabled": False, "x": 5.0}, {11}, id="moved and switched off"),
        pytest.param({"frame": 15, "enabled": False}, {15}, id="added and switched off"),
        pytest.param({"frame": 31, "enabled": False, "x": 5.0}, set(), id="off before, and moved"),
        pytest.param({"frame": 31, "enabled": True}, set(), id="switched on"),
        pytest.param({"frame": 50, "enabled": False}, set(), id="added where the object is hidden"),
        pytest.param({"frame": 50, "enabled": True}, set(), id="added, and shown"),
    ],
)
def test_which_edits_hide_what_follows(change: Item, closed: set[int]) -> None:
    incoming = {one["frame"]: one for one in EMITTED}
    incoming[change["frame"]] = incoming.get(change["frame"], item(0)) | change
    edits = split_human([incoming[frame] for frame in sorted(incoming)], EMITTED)
    assert edits.closed == closed
    assert edits.frames == {change["frame"]}


def test_a_span_that_was_closed_before_is_no_new_edit() -> None:
    assert split_human(EMITTED, EMITTED, known=[31]).closed == frozenset()
