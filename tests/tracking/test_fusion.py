from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from backend.tracking.fusion import AGREE_FRAMES, Fusion, overlap
from backend.tracking.stretches import Stretch
from backend.tracks import FrameResult, Mask, Observation

FRAMES = range(1, 21)


def at(frame: int, x: int | None, score: float = 0.8, name: str = "a") -> Observation:
    """A square of 10 x 10 pixels from ``x`` on; None where the object is absent."""
    if x is None:
        return Observation(name, frame, None, score)
    mask = np.zeros((20, 100), bool)
    mask[5:15, x : x + 10] = True
    return Observation(name, frame, Mask.from_array(mask), score)


def between(old: Mapping[int, Observation] | None = None, *, forward: bool = True, backward: bool = True) -> Fusion:
    return Fusion([Stretch("a", FRAMES, forward, backward, True, old or {})])


def walk(fusion: Fusion, step: int, found: Mapping[int, int | None], scores: float = 0.8) -> list[int]:
    """Let a pass find the object where it is told; the frames that it was wanted on."""
    route = fusion.passes()[0 if step == 1 else 1]
    visited = []
    for frame in route.frames:
        if fusion.wanted(route, frame):
            visited.append(frame)
            fusion.see(step, FrameResult(frame, (at(frame, found[frame], scores),)))
    return visited


def left_of(observation: Observation) -> int | None:
    return None if observation.box is None else int(observation.box[0])


def settled(fusion: Fusion) -> dict[int, int | None]:
    return {result.frame: left_of(result.observations[0]) for result in fusion.settle()}


def test_overlap() -> None:
    assert overlap(at(1, 0), at(1, 0)) == 1
    assert overlap(at(1, 0), at(1, 5)) == 50 / 150
    assert overlap(at(1, None), at(1, 5)) == overlap(at(1, 5), at(1, None)) == 0
    assert overlap(at(1, None), at(1, None)) == 1


def test_the_second_pass_ends_where_it_agrees_with_the_first() -> None:
    fusion = between()
    assert walk(fusion, 1, dict.fromkeys(FRAMES, 3)) == list(FRAMES)
    assert walk(fusion, -1, dict.fromkeys(FRAMES, 3)) == list(reversed(FRAMES))[:AGREE_FRAMES]
    assert settled(fusion) == {}


def test_agreement_must_last() -> None:
    fusion = between()
    walk(fusion, 1, dict.fromkeys(FRAMES, 3))
    # Every third frame differs.
    visited = walk(fusion, -1, {frame: 3 if frame % 3 else 60 for frame in FRAMES})
    assert visited == list(reversed(FRAMES))


def test_absence_is_something_to_agree_on() -> None:
    fusion = between()
    walk(fusion, 1, {frame: 3 if frame < 10 else None for frame in FRAMES})
    visited = walk(fusion, -1, {frame: 50 if frame > 15 else None for frame in FRAMES})
    assert visited[-1] == 16 - AGREE_FRAMES
    # The forward pass had lost what came back; both are right on their side.
    assert settled(fusion) == {}
    told = {frame: fusion._told["a", frame].present for frame in FRAMES}
    assert [frame for frame, present in told.items() if present] == [*range(1, 10), *range(16, 21)]


def test_what_went_wrong_on_the_way_is_replaced_from_the_other_side() -> None:
    fusion = between()
    # Forward is on something else from frame 8 on; backward is right until it loses the object before frame 5.
    walk(fusion, 1, {frame: 3 if frame < 8 else 70 for frame in FRAMES})
    walk(fusion, -1, {frame: 3 if frame >= 5 else 40 for frame in FRAMES})
    final = {frame: left_of(fusion._told["a", frame]) for frame in FRAMES} | settled(fusion)
    assert final == dict.fromkeys(FRAMES, 3)


def test_sides_that_never_agree_meet_in_the_middle() -> None:
    fusion = between()
    walk(fusion, 1, dict.fromkeys(FRAMES, 3))
    walk(fusion, -1, dict.fromkeys(FRAMES, 70))
    assert settled(fusion) == dict.fromkeys(range(1, 11), 3)


def test_sides_that_never_agree_meet_nearer_to_the_one_that_is_not_sure() -> None:
    fusion = between()
    walk(fusion, 1, dict.fromkeys(FRAMES, 3), scores=0.9)
    walk(fusion, -1, dict.fromkeys(FRAMES, 70), scores=0.3)
    assert max(settled(fusion)) > 12


def test_the_change_comes_where_both_sides_overlap_most() -> None:
    fusion = between()
    walk(fusion, 1, {frame: 3 if frame != 6 else 36 for frame in FRAMES})
    walk(fusion, -1, {frame: 70 if frame != 6 else 40 for frame in FRAMES})
    assert settled(fusion) == {**dict.fromkeys(range(1, 6), 3)}


def test_a_chance_overlap_of_what_is_not_sure_decides_nothing() -> None:
    """As where one of two that look the same is corrected behind their crossing, and takes in the other before it."""
    fusion = between()
    forward = {frame: at(frame, 3, 0.85) if frame <= 12 else at(frame, 70, 0.5) for frame in FRAMES}
    backward = {frame: at(frame, 3, 0.75) if frame > 12 else at(frame, 36, 0.5) for frame in FRAMES}
    backward[1] = at(1, 5, 0.5)
    for step, found in ((1, forward), (-1, backward)):
        for frame in FRAMES[::step]:
            fusion.see(step, FrameResult(frame, (found[frame],)))
    final = {frame: left_of(fusion._told["a", frame]) for frame in FRAMES} | settled(fusion)
    assert final == dict.fromkeys(FRAMES, 3)


def test_only_one_side_changed() -> None:
    old = {frame: at(frame, 3 if frame < 12 else 70) for frame in FRAMES}
    fusion = between(old, forward=False)
    assert fusion.passes()[0].frames == ()
    visited = walk(fusion, -1, dict.fromkeys(FRAMES, 3))
    assert visited == list(range(20, 11 - AGREE_FRAMES, -1))
    # Where they agree the old ones stay as they were.
    assert all(result.observations[0] is old[result.frame] for result in fusion.settle())
    assert set(settled(fusion)) <= set(range(12 - AGREE_FRAMES, 12))


def test_old_frames_come_back_where_a_new_pass_went_wrong() -> None:
    old = dict.fromkeys(FRAMES)
    fusion = between({frame: at(frame, 3) for frame in old}, forward=False)
    # The new one starts right, but not where the old one is, and ends on something else.
    walk(fusion, -1, {frame: 8 if frame > 16 else 60 for frame in FRAMES})
    back = settled(fusion)
    assert set(range(1, 9)) <= back.keys()
    assert set(back.values()) == {3}
    assert 17 not in back


def test_open_ends_have_one_side() -> None:
    old = {frame: at(frame, 70) for frame in FRAMES}
    fusion = Fusion([Stretch("a", FRAMES, True, False, False, old)])
    assert walk(fusion, 1, dict.fromkeys(FRAMES, 3)) == list(FRAMES)
    assert settled(fusion) == {}


def test_a_cancelled_pass_leaves_what_is_known() -> None:
    fusion = between()
    route, _ = fusion.passes()
    for frame in (1, 2, 3):
        fusion.see(1, FrameResult(frame, (at(frame, 3),)))
    assert fusion.wanted(route, 4) == {"a"}
    assert settled(fusion) == {}


def test_objects_meet_each_for_itself() -> None:
    fusion = Fusion([Stretch(name, FRAMES, True, True, True) for name in "ab"])
    forward, backward = fusion.passes()
    for frame in FRAMES:
        fusion.see(1, FrameResult(frame, (at(frame, 3), at(frame, 3, name="b"))))
    for frame in backward.frames:
        wanted = fusion.wanted(backward, frame)
        assert wanted == ({"a", "b"} if frame > 20 - AGREE_FRAMES else {"b"})
        fusion.see(-1, FrameResult(frame, tuple(at(frame, 3 if n == "a" else 70, name=n) for n in sorted(wanted))))
    assert forward.wanted[1] == {"a", "b"}
    assert {one.object_id for result in fusion.settle() for one in result.observations} == {"b"}


def test_where_a_human_said_that_it_is_gone_it_is_back_where_that_is_sure() -> None:
    """From behind it is followed ever farther into the gap, and ever less surely."""
    for gone in (False, True):
        fusion = Fusion([Stretch("a", FRAMES, forward=True, backward=True, bounded=True, gone=gone)])
        walk(fusion, 1, dict.fromkeys(FRAMES))
        for frame in reversed(FRAMES):
            fusion.see(-1, FrameResult(frame, (at(frame, 50 if frame > 8 else None, 0.3 if frame < 15 else 0.8),)))
        shown = {frame: found.present for (_, frame), found in fusion._told.items()}
        shown |= {result.frame: result.observations[0].present for result in fusion.settle()}
        assert [frame for frame in FRAMES if shown[frame]] == list(range(15 if gone else 9, 21))
