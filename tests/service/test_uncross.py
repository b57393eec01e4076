"""Two objects that cross, whose tracks go on with each other's object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from backend.tracks import Box, box_iou
from support.crossing import Swapping, left, right
from support.service import FRAMES, Item, Service, box_at, keyframe, moved, notes_of, region, sequence_of

Start = Callable[..., Service]


def drawn(path: Callable[[int], Box], frame: int, **further: Any) -> Item:
    """A keyframe on a path, at Label Studio's frame."""
    x0, y0, x1, y1 = path(frame - 1)
    return keyframe(frame, x0, y0, x1 - x0, y1 - y0, **further)


def follows(item: Item, path: Callable[[int], Box], frames: range) -> bool:
    """Whether the region is where the path is."""
    for frame in frames:
        found = box_at(item, frame)
        if found is None or box_iou((*found[:2], found[0] + found[2], found[1] + found[3]), path(frame - 1)) < 0.7:
            return False
    return True


def corrected(item: Item, path: Callable[[int], Box], frame: int) -> Item:
    return moved(item, frame, **drawn(path, frame))


BEFORE, AFTER, ALL = range(1, 14), range(17, FRAMES + 1), range(1, FRAMES + 1)


@pytest.fixture
def crossed(start: Start) -> Service:
    return start(Swapping())


def swapped(service: Service, *further: Item) -> list[Item]:
    """Regions a and b after the first press: right up to where they cross, and swapped from there on."""
    items = service.press(region("a", drawn(right, 1)), region("b", drawn(left, 1), *further))
    assert follows(items[0], right, BEFORE) and follows(items[0], left, AFTER)
    return items


def test_one_correction_puts_both_tracks_right(crossed: Service) -> None:
    a, b = swapped(crossed)
    assert follows(b, right, AFTER)
    first, second = crossed.press(corrected(a, right, 25), b)
    assert follows(first, right, ALL)
    assert follows(second, left, ALL)
    assert notes_of(first) == ["tracked 1-30", "exchanged with Car b from frame 16 on"]
    assert notes_of(second) == ["tracked 1-30", "exchanged with Car a from frame 16 on"]
    assert sequence_of(second)[0] == sequence_of(b)[0]
    again = crossed.tracker.calls[1]
    assert {prompt.object_id for prompt in again.prompts} == {"a"}
    assert sorted(again.frames) == [23, 24, 25]  # it agrees at once with what was the other's
    assert crossed.press(first, second) == [first, second]
    assert len(crossed.tracker.calls) == 2


def test_the_other_track_holds_what_it_got_in_exchange(crossed: Service) -> None:
    a, b = swapped(crossed)
    crossed.press(corrected(a, right, 25), b)
    standing = crossed.tracker.calls[1].standing
    assert standing is not None
    for frame in (5, 18, 26):
        (other,) = standing.at(frame).values()
        assert other.object_id == "b"
        assert other.box is not None
        assert box_iou(other.box, left(frame)) > 0.9


def test_the_prediction_has_both(crossed: Service) -> None:
    a, b = swapped(crossed)
    after = crossed.press(corrected(a, right, 25), b)
    (entry,) = crossed.batch({"id": 1, "data": {"video": "clip.mp4", "fps": 10}, "project": 1})
    assert entry["result"] == after


def test_what_was_exchanged_is_there_after_a_restart_and_to_build_on(start: Start) -> None:
    before = start(Swapping())
    a, b = swapped(before)
    first, second = before.press(corrected(a, right, 25), b)
    before.close()
    after = start(Swapping())
    assert after.press(first, second) == [first, second]
    b_again = after.press(first, corrected(second, left, 28))[1]
    (call,) = after.tracker.calls
    assert sorted(call.frames) == [26, 27, 28]
    assert follows(b_again, left, ALL)
    assert notes_of(b_again)[-1] == "exchanged with Car a from frame 16 on"


def test_a_human_who_drew_the_other_object_there_is_believed(crossed: Service) -> None:
    a, b = crossed.press(region("a", drawn(right, 1)), region("b", drawn(left, 1), drawn(right, 22)))
    first, second = crossed.press(corrected(a, right, 25), b)
    assert follows(first, right, range(20, FRAMES + 1))
    assert second == b
    assert notes_of(first) == ["tracked 1-30"]


def test_tails_end_where_a_human_has_drawn_either(crossed: Service) -> None:
    a, b = crossed.press(region("a", drawn(right, 1)), region("b", drawn(left, 1), drawn(right, 28)))
    first, second = crossed.press(corrected(a, right, 21), b)
    assert follows(first, right, range(1, 28))
    assert follows(first, left, range(28, FRAMES + 1))
    assert follows(second, left, range(17, 26))
    assert follows(second, right, range(28, FRAMES + 1))
    assert drawn(right, 28)["x"] == next(one["x"] for one in sequence_of(second) if one["frame"] == 28)


def test_an_object_that_the_press_did_not_bring_stays_as_it_was(crossed: Service) -> None:
    a, b = swapped(crossed)
    (first,) = crossed.press(corrected(a, right, 25))
    assert follows(first, right, AFTER)
    assert notes_of(first) == ["tracked 1-30"]
    assert crossed.press(first, b)[1] == b


def test_objects_that_are_both_corrected_need_no_exchange(crossed: Service) -> None:
    a, b = swapped(crossed)
    first, second = crossed.press(corrected(a, right, 25), corrected(b, left, 25))
    assert follows(first, right, AFTER) and follows(second, left, AFTER)
    assert [notes_of(item) for item in (first, second)] == [["tracked 1-30"]] * 2


def test_two_corrections_at_once_are_one_exchange(crossed: Service) -> None:
    a, b = swapped(crossed)
    first, second = crossed.press(corrected(corrected(a, right, 20), right, 25), b)
    assert follows(first, right, ALL)
    assert follows(second, left, ALL)
    assert notes_of(second) == ["tracked 1-30", "exchanged with Car a from frame 16 on"]


def test_an_exchange_is_told_no_more_once_its_correction_is_undone(crossed: Service) -> None:
    a, b = swapped(crossed)
    second = crossed.press(corrected(a, right, 25), b)[1]
    undone, other = crossed.press(a, second)
    assert notes_of(undone) == ["tracked 1-30"]
    assert other == second


def test_an_exchange_is_told_though_another_keyframe_was_deleted(crossed: Service) -> None:
    a, b = crossed.press(region("a", drawn(right, 1), drawn(right, 4)), region("b", drawn(left, 1)))
    kept = [one for one in sequence_of(corrected(a, right, 25)) if one["frame"] != 4]
    first = crossed.press({**a, "value": {**a["value"], "sequence": kept}}, b)[0]
    assert notes_of(first) == ["tracked 1-30", "exchanged with Car b from frame 16 on"]
    assert follows(first, right, AFTER)


def test_objects_that_were_drawn_at_the_end_are_exchanged_backwards(crossed: Service) -> None:
    a, b = crossed.press(region("a", drawn(right, 30)), region("b", drawn(left, 30)))
    assert follows(a, left, BEFORE)
    first, second = crossed.press(corrected(a, right, 5), b)
    assert follows(first, right, ALL)
    assert follows(second, left, ALL)
    assert notes_of(second)[-1] == "exchanged with Car a up to frame 15"
