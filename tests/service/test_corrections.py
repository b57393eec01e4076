"""What a person does to a track that is there already, and presses again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from support.clips import coded_frames, make_clip
from support.fake_tracker import PATIENCE, FakeTracker, Uneven
from support.service import (
    ALL,
    DRAWN,
    FPS,
    WIDTH,
    Background,
    Item,
    Service,
    advance,
    box_at,
    choice,
    finish,
    keyframe,
    moved,
    notes_of,
    region,
    sequence_of,
    shown,
)

Start = Callable[..., Service]

AWAY = {"x": 10.0, "y": 10.0, "width": 20.0, "height": 20.0}


def without(item: Item, *frames: int) -> Item:
    """The region without some of its keyframes, as an annotator deletes them."""
    kept = [one for one in sequence_of(item) if one["frame"] not in frames]
    return {**item, "value": {**item["value"], "sequence": kept}}


def between(item: Item, first: int, last: int) -> list[Item]:
    """The keyframes on some frames, the ends included."""
    return [one for one in sequence_of(item) if first <= one["frame"] <= last]


def hold(service: Service) -> FakeTracker:
    """From here on a tracker that waits for permission is behind the service."""
    service.tracker = FakeTracker(service.tracker.velocity, paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    return service.tracker


# --- only what a change touches ------------------------------------------------------------------


def test_what_a_correction_does_not_touch_comes_back_bit_for_bit(start: Start) -> None:
    service = start(Uneven())
    first = service.press_one(region("a", keyframe(8, 40, 30, 32, 24), keyframe(18, 52, 30, 32, 24)))
    second = service.press_one(moved(first, 26, x=10.0, y=10.0, width=20.0, height=20.0))
    assert between(second, 1, 18) == between(first, 1, 18) != []
    assert between(second, 19, 30) != between(first, 19, 30)
    assert set(range(25, 30)) <= set(service.tracker.calls[1].frames) <= set(range(18, 30))
    assert notes_of(second) == ["tracked 1-30"]
    assert service.press_one(second) == second


def test_a_correction_costs_less_than_a_track(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    service.press_one(moved(first, 28, x=30.0, y=30.0, width=20.0, height=20.0))
    assert service.tracker.calls[1].frames != []
    assert len(service.tracker.calls[1].frames) < len(service.tracker.calls[0].frames) / 2


def test_what_was_not_touched_is_there_to_build_on_after_a_correction(service: Service) -> None:
    item = service.press_one(region("a", DRAWN))
    for frame in (20, 30, 26):
        item = service.press_one(moved(item, frame, x=frame / 2.0, y=10.0, width=20.0, height=20.0))
    last = service.tracker.calls[3]
    assert set(last.before["a"].observations) == set(range(30))
    assert last.before["a"].changed == {25}
    assert set(last.frames) <= set(range(20, 29))


def test_an_unfinished_press_is_nothing_to_agree_with(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    tracker = hold(service)
    corrected = moved(first, 20, x=30.0, y=30.0, width=20.0, height=20.0)
    service.press_one(corrected)
    tracker.until(lambda: len(tracker.calls) == 1)
    advance(service, 4)  # frames 18 to 21
    service.press_one(moved(corrected, 25, x=1.0))
    tracker.until(lambda: len(tracker.calls) == 2)
    known = tracker.calls[1].before["a"]
    assert sorted(set(range(30)) - set(known.observations)) == [17, 18, 19, 20]
    assert known.changed == {19, 24}
    assert all(one.mask is not None and one.frame not in range(17, 21) for one in known.observations.values())
    service.budget(PATIENCE)
    finish(service)
    final = service.press_one(moved(corrected, 25, x=1.0))
    assert shown(final) == ALL
    assert set(range(10, 30)) <= set(tracker.calls[1].frames) | {24, 19}
    assert between(final, 1, 10) == between(first, 1, 10)


def test_a_region_that_is_tracked_again_tells_what_is_done(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    tracker = hold(service)
    corrected = moved(first, 20, x=30.0, y=30.0, width=20.0, height=20.0)
    service.press_one(corrected)
    tracker.until(lambda: len(tracker.calls) == 1)
    early = service.press_one(corrected)
    assert notes_of(early) == ["tracking: tracking, press t again for more"]
    assert shown(early) == ALL
    assert between(early, 1, 10) == between(first, 1, 10)


# --- keyframes deleted, switched, undone ---------------------------------------------------------


def test_a_keyframe_of_the_human_that_is_deleted_leaves_no_trace(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    corrected = service.press_one(moved(first, 20, x=10.0, y=10.0, width=20.0, height=20.0))
    again = service.press_one(without(corrected, 20))
    call = service.tracker.calls[2]
    assert (call.before["a"].removed, call.before["a"].changed) == ({19}, set())
    assert list(call.boxes_of("a")) == [9]
    assert sorted(call.frames) == list(range(10, 30))
    for frame in ALL:
        assert box_at(again, frame) == pytest.approx(box_at(first, frame), abs=0.5)
    assert between(again, 1, 10) == between(first, 1, 10)


def test_switching_a_keyframe_off_and_on_tracks_what_follows_and_no_more(service: Service) -> None:
    first = service.press_one(region("a", DRAWN, keyframe(30, 60, 30, 32, 24)))
    closed = without(moved(first, 10, enabled=False), *range(11, 30))
    second = service.press_one(closed)
    assert shown(second) == [*range(1, 11), 30]
    assert notes_of(second) == ["tracked 1-30"]
    assert service.press_one(second) == second
    third = service.press_one(moved(second, 10, enabled=True))
    assert shown(third) == ALL
    again = service.press_one(moved(third, 10, enabled=False))
    assert [frame for frame in ALL if frame not in shown(again)] != []
    first, *others = service.tracker.calls
    assert len(others) == 3
    for call, ends in zip(others, (True, False, True), strict=True):
        assert {prompt.frame: prompt.ends for prompt in call.prompts} == {9: ends, 29: False}
        assert (call.before["a"].changed, call.before["a"].switched) == (set(), {9})
        assert set(call.frames) <= set(range(10, 29))


def test_an_end_whose_box_is_drawn_anew_stays_the_end(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    ended = without(moved(first, 15, **AWAY, enabled=False), *range(16, 31))
    second = service.press_one(ended)
    assert shown(second) == list(range(1, 16))
    third = service.press_one(moved(second, 15, x=12.0))
    assert shown(third) == list(range(1, 16))
    assert [prompt.frame for prompt in service.tracker.calls[2].prompts if prompt.ends] == [14]
    assert shown(service.press_one(moved(third, 15, enabled=True))) == ALL


def test_switching_off_a_keyframe_of_the_model_hides_what_follows(start: Start) -> None:
    service = start(Uneven())
    first = service.press_one(region("a", DRAWN))
    frames = [one["frame"] for one in between(first, 11, 30)]
    frame, following = next((one, other) for one, other in pairwise(frames) if other > one + 1)
    second = service.press_one(moved(first, frame, enabled=False))
    assert [one for one in ALL if one not in shown(second)] == list(range(frame + 1, following))
    assert between(second, 1, 9) == between(first, 1, 9)
    assert [prompt.frame for prompt in service.tracker.calls[1].prompts if prompt.ends] == [frame - 1]
    assert min(service.tracker.calls[1].frames) == frame


def test_switching_off_is_answered_without_models_after_a_restart(start: Start) -> None:
    before = start()
    first = before.press_one(region("a", DRAWN, keyframe(30, 60, 30, 32, 24)))
    before.close()
    after = start()
    second = after.press_one(moved(first, 30, enabled=False))
    assert (after.built, after.tracker.calls) == (0, [])
    assert sequence_of(second)[-1]["enabled"] is False


def test_a_switched_keyframe_of_the_model_is_a_humans_from_then_on(service: Service) -> None:
    service.tracker.velocity = (2, 0)
    service.tracker.doubtful = frozenset({20})
    first = service.press_one(region("a", DRAWN))
    (last,) = [one for one in sequence_of(first) if one["frame"] == 30]
    off = service.press_one(moved(first, 30, enabled=False))
    third = service.press_one(moved(off, 20, x=5.0))
    call = service.tracker.calls[1]
    assert set(call.boxes_of("a")) == {9, 19, 29}
    assert call.before["a"].observations[29].human
    assert call.before["a"].changed == {19}
    assert between(third, 30, 30) == [{**last, "enabled": False}]


def test_undo_is_a_state_like_any_other(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    corrected = service.press_one(moved(first, 20, x=10.0, y=10.0, width=20.0, height=20.0))
    undone = service.press_one(first)
    assert sequence_of(undone) == sequence_of(first)
    redone = service.press_one(corrected)
    assert sequence_of(redone) == sequence_of(corrected)
    assert [sorted(call.boxes_of("a")) for call in service.tracker.calls] == [[9], [9, 19], [9], [9, 19]]


def test_undo_while_the_correction_is_being_tracked(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    tracker = hold(service)
    corrected = moved(first, 20, x=10.0, y=10.0, width=20.0, height=20.0)
    service.press_one(corrected)
    tracker.until(lambda: len(tracker.calls) == 1)
    advance(service, 6)
    service.budget(PATIENCE)
    waiting = Background(lambda: service.press_one(first))
    tracker.until(lambda: len(tracker.calls) == 2)
    tracker.release()
    assert sequence_of(waiting.result()) == sequence_of(first)
    assert len(tracker.calls[0].frames) < 12


def test_an_object_that_is_deleted_and_drawn_anew_is_a_new_one(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    anew = service.press_one(region("b", keyframe(20, 90, 60, 20, 20)))
    assert service.tracker.calls[1].before == {}
    assert box_at(anew, 10) == pytest.approx((80, 60, 20, 20), abs=1)
    (stored,) = service.batch({"id": 1, "data": {"video": "clip.mp4", "fps": 10}, "project": 1})
    assert [item["id"] for item in stored["result"]] == ["b"]


def test_an_object_drawn_anew_under_its_old_name_has_nothing_of_the_old_track(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    anew = service.press_one(region("a", keyframe(20, 90, 60, 20, 20)))
    call = service.tracker.calls[1]
    assert call.boxes_of("a") == {19: pytest.approx((90, 60, 110, 80))}
    assert sorted(call.frames) == list(range(30))
    for frame in ALL:
        assert box_at(anew, frame) == pytest.approx((90 + frame - 20, 60, 20, 20), abs=1)


def test_another_direction_builds_on_nothing(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    turned, _ = service.press(first, choice(first, "forward"))
    assert service.tracker.calls[1].before == {}
    assert shown(turned) == list(range(10, 31))


def test_a_deleted_first_keyframe_shortens_a_forward_track(service: Service) -> None:
    drawn = region("a", keyframe(5, 35, 30, 32, 24), keyframe(15, 45, 30, 32, 24))
    first, mode = service.press(drawn, choice(drawn, "forward"))
    later, _ = service.press(without(first, *range(1, 15)), mode)
    assert shown(later) == list(range(15, 31))
    assert between(later, 15, 30) == between(first, 15, 30)
    assert len(service.tracker.calls) == 1  # what is left was tracked already


# --- several people, several processes -----------------------------------------------------------


def test_two_annotators_on_copies_of_one_region_do_not_see_each_others_keyframes(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    mine = service.press_one(moved(first, 20, x=10.0, y=10.0, width=20.0, height=20.0))
    yours = service.press_one(moved(first, 25, x=60.0, y=60.0, width=20.0, height=20.0))
    assert sorted(service.tracker.calls[2].boxes_of("a")) == [9, 24]
    assert service.tracker.calls[2].before["a"].removed == {19}
    assert sequence_of(service.press_one(mine)) == sequence_of(mine)
    assert sorted(service.tracker.calls[3].boxes_of("a")) == [9, 19]
    assert sequence_of(service.press_one(yours)) == sequence_of(yours)
    again = service.press_one(moved(mine, 28, x=1.0))
    assert sorted(service.tracker.calls[-1].boxes_of("a")) == [9, 19, 27]
    assert box_at(again, 20) == pytest.approx(box_at(mine, 20))


def test_a_correction_after_a_restart_builds_on_what_was_there(start: Start) -> None:
    before = start()
    first = before.press_one(region("a", DRAWN))
    before.close()
    after = start()
    second = after.press_one(moved(first, 28, x=30.0, y=30.0, width=20.0, height=20.0))
    assert set(after.tracker.calls[0].before["a"].observations) == set(range(30))
    assert len(after.tracker.calls[0].frames) < 15
    assert between(second, 1, 10) == between(first, 1, 10)


def test_a_correction_that_a_restart_cut_off_is_taken_up_again(start: Start) -> None:
    before = start()
    first = before.press_one(region("a", DRAWN))
    tracker = hold(before)
    corrected = moved(first, 20, x=10 / WIDTH * 100, y=10.0, width=20.0, height=20.0)
    before.press_one(corrected)
    tracker.until(lambda: len(tracker.calls) == 1)
    advance(before, 5)
    before.close()
    after = start()
    final = after.press_one(corrected)
    (call,) = after.tracker.calls
    assert call.before["a"].changed == {19}
    assert set(range(20, 30)) <= set(call.frames)
    assert notes_of(final) == ["tracked 1-30"]
    assert between(final, 1, 10) == between(first, 1, 10)


@pytest.mark.parametrize(("frames", "width", "height"), [(12, 160, 120), (30, 320, 240)])
def test_a_file_that_was_replaced_is_tracked_anew(
    service: Service, tmp_path: Path, frames: int, width: int, height: int
) -> None:
    first = service.press_one(region("a", keyframe(3, 40, 30, 32, 24), keyframe(25, 60, 30, 32, 24)))
    make_clip(tmp_path / "media" / "clip.mp4", coded_frames(frames, width, height), fps=FPS)
    again = service.press_one(without(moved(first, 8, x=20.0), *range(9, 31)))
    assert notes_of(again)[0] == f"tracked 1-{frames}"
    assert sorted(service.tracker.calls[1].frames) == list(range(frames))
