"""Corrections as an annotator makes them, by mouse and keyboard, in Chromium against a real Label Studio.

The tracker is a fake, so that what is right is known exactly on every frame.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from backend.demo.project import Clip, make_project
from backend.tracks import Box
from support.browser import LabelingPage, browser_page
from support.crossing import Swapping, left, right
from support.fake_tracker import PATIENCE, FakeTracker, Uneven
from support.service import ALL, HEIGHT, WIDTH
from support.service import clip as make_numbered_clip
from support.studio import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

DRAWN_ON, FIXED_ON = 5, 15
BOX = (20.0, 20.0, 60.0, 50.0)
UNDO_AT_MOST = 40  # a drag is several steps
Region = dict[str, Any]


@pytest.fixture
def opened(studio, tmp_path: Path, request) -> Iterator[Callable[[FakeTracker], LabelingPage]]:
    """Opens a task of its own, with a backend that has this tracker."""

    def open_task(tracker: FakeTracker) -> LabelingPage:
        url = enter(serving(studio, tmp_path / "backend", lambda: tracker, budget_seconds=PATIENCE))
        clip = Clip.of("numbered", make_numbered_clip(tmp_path))
        project = make_project(studio.client, url, [clip], title=f"{request.node.name} {tmp_path.name}"[:50])
        page = LabelingPage(enter(browser_page()), studio.url)
        page.sign_in(studio.account)
        page.open(project.task_url("numbered"))
        page.switch_auto_annotation_on()
        page.select_regions_after_creating_them()
        return page

    with ExitStack() as stack:
        enter = stack.enter_context
        yield open_task


def draw(page: LabelingPage, frame: int, box: Box) -> Region:
    page.go_to(frame)
    page.choose_label("Car")
    page.draw(box)
    return page.regions()[-1]


def only(page: LabelingPage) -> Region:
    (region,) = page.regions()
    return region


def keyframe(region: Region, frame: int) -> dict[str, float]:
    """What a keyframe draws."""
    (found,) = [item for item in region["sequence"] if item["frame"] == frame]
    return {name: found[name] for name in ("enabled", "rotation", "x", "y", "width", "height")}


def shown(page: LabelingPage, region: Region) -> dict[int, Box]:
    """The boxes that the page draws, by frame."""
    boxes = {frame: page.shown_box(region["id"], frame, WIDTH, HEIGHT) for frame in ALL}
    return {frame: box for frame, box in boxes.items() if box is not None}


def up_to(boxes: dict[int, Box], frame: int) -> dict[int, Box]:
    return {at: box for at, box in boxes.items() if at <= frame}


def near(box: Box, tolerance: float = 1.6) -> Any:
    return pytest.approx(box, abs=tolerance)


def follows(page: LabelingPage, region: Region, path: Callable[[int], Box]) -> bool:
    """Whether a region is on every frame where the object on that path is."""
    boxes = shown(page, region)
    return set(boxes) == set(ALL) and all(boxes[frame] == near(path(frame - 1), 3) for frame in ALL)


def test_what_is_dragged_stays_and_what_follows_goes_with_it(opened):
    page = opened(FakeTracker((2, 1)))
    drawn = draw(page, DRAWN_ON, BOX)
    page.press_track()
    first = shown(page, drawn)
    assert first[30] == near((70, 45, 110, 75))

    page.go_to(FIXED_ON)
    page.select(drawn["id"])
    dragged = page.drag(drawn["id"], -12, 9)
    fixed = keyframe(only(page), FIXED_ON)
    page.press_track()
    region, boxes = only(page), shown(page, drawn)
    assert region["id"] == drawn["id"]
    assert keyframe(region, FIXED_ON) == fixed
    assert keyframe(region, DRAWN_ON) == keyframe(drawn, DRAWN_ON)
    assert up_to(boxes, DRAWN_ON) == up_to(first, DRAWN_ON)
    x0, y0, x1, y1 = dragged
    for frame in range(FIXED_ON, 31):
        gone = frame - FIXED_ON
        assert boxes[frame] == near((x0 + 2 * gone, y0 + gone, x1 + 2 * gone, y1 + gone))

    page.go_to(25)
    page.drag_corner(drawn["id"], 10, 6)
    larger = keyframe(only(page), 25)
    page.press_track()
    region = only(page)
    assert keyframe(region, 25) == larger
    assert keyframe(region, FIXED_ON) == fixed
    assert keyframe(region, DRAWN_ON) == keyframe(drawn, DRAWN_ON)
    assert up_to(shown(page, drawn), FIXED_ON) == up_to(boxes, FIXED_ON)
    assert larger["width"] == pytest.approx(fixed["width"] + 100 * 10 / WIDTH, abs=0.5)


def test_after_switching_off_the_object_is_looked_for(opened):
    tracker = Uneven((2, 1))
    page = opened(tracker)
    drawn = draw(page, DRAWN_ON, BOX)
    page.press_track()
    first = shown(page, drawn)
    page.go_to(FIXED_ON)
    if all(item["frame"] != FIXED_ON for item in only(page)["sequence"]):
        page.toggle_keyframe(drawn["id"])
    page.toggle_span(drawn["id"])
    ended = keyframe(only(page), FIXED_ON)
    assert not ended["enabled"]
    assert 20 in shown(page, drawn)  # Label Studio hides it up to the next keyframe only

    tracker.absent = frozenset(range(FIXED_ON, 25))
    page.press_track()
    region, boxes = only(page), shown(page, drawn)
    assert [frame for frame in ALL if frame not in boxes] == list(range(FIXED_ON + 1, 26))
    assert keyframe(region, FIXED_ON) == ended
    assert keyframe(region, DRAWN_ON) == keyframe(drawn, DRAWN_ON)
    assert up_to(boxes, DRAWN_ON) == up_to(first, DRAWN_ON)
    call = tracker.calls[-1]
    assert {prompt.frame: prompt.ends for prompt in call.prompts} == {DRAWN_ON - 1: False, FIXED_ON - 1: True}
    assert min(call.frames) == FIXED_ON
    assert region["note"] == [f"Keytrack: tracked 1-30, absent {FIXED_ON + 1}-25"]

    page.go_to(21)
    page.toggle_keyframe(drawn["id"])  # what is hidden cannot be dragged
    page.drag(drawn["id"], 6, 4)
    back = keyframe(only(page), 21)
    tracker.absent = frozenset(range(FIXED_ON, 20))
    page.press_track()
    region, boxes = only(page), shown(page, drawn)
    assert [frame for frame in ALL if frame not in boxes] == list(range(FIXED_ON + 1, 21))
    assert keyframe(region, 21) == back
    assert keyframe(region, FIXED_ON) == ended


def test_a_keyframe_that_is_deleted_leaves_no_trace(opened):
    page = opened(FakeTracker((2, 1)))
    drawn = draw(page, DRAWN_ON, BOX)
    page.press_track()
    first = shown(page, drawn)
    page.go_to(FIXED_ON)
    page.drag(drawn["id"], -12, 9)
    page.press_track()
    assert shown(page, drawn)[20] != near(first[20])

    page.toggle_keyframe(drawn["id"])
    assert FIXED_ON not in [item["frame"] for item in only(page)["sequence"]]
    page.press_track()
    boxes = shown(page, drawn)
    assert keyframe(only(page), DRAWN_ON) == keyframe(drawn, DRAWN_ON)
    assert up_to(boxes, DRAWN_ON) == up_to(first, DRAWN_ON)
    assert all(boxes[frame] == near(first[frame]) for frame in ALL)


def test_undo_brings_the_track_back_and_t_keeps_it(opened):
    page = opened(FakeTracker((2, 1)))
    drawn = draw(page, DRAWN_ON, BOX)
    page.press_track()
    first = only(page)["sequence"]
    page.go_to(FIXED_ON)
    page.drag(drawn["id"], -12, 9)
    page.press_track()
    assert only(page)["sequence"] != first
    for _ in range(UNDO_AT_MOST):
        if only(page)["sequence"] == first:
            break
        page.undo()
    assert only(page)["sequence"] == first
    page.press_track()
    assert only(page)["sequence"] == first


def test_one_correction_puts_swapped_objects_right_and_says_so(opened):
    page = opened(Swapping())
    one = draw(page, 1, right(0))
    page.unselect()
    other = draw(page, 1, left(0))
    page.press_track()
    assert shown(page, one)[25] == near(left(24), 3)
    assert shown(page, other)[25] == near(right(24), 3)

    page.go_to(25)
    page.select(one["id"])
    (x0, y0, *_), (x1, y1, *_) = left(24), right(24)
    page.drag(one["id"], x1 - x0, y1 - y0)
    corrected = {region["id"]: region for region in page.regions()}
    page.press_track()
    after = {region["id"]: region for region in page.regions()}
    assert set(after) == {one["id"], other["id"]}
    assert follows(page, one, right)
    assert follows(page, other, left)
    for drawn in (one, other):
        assert keyframe(after[drawn["id"]], 1) == keyframe(drawn, 1)
    assert keyframe(after[one["id"]], 25) == keyframe(corrected[one["id"]], 25)
    notes = ["\n".join(after[region["id"]]["note"]).splitlines() for region in (one, other)]
    assert notes == [
        ["Keytrack: tracked 1-30", f"Keytrack: exchanged with Car {partner['id']} from frame 16 on"]
        for partner in (other, one)
    ]

    page.select(other["id"])
    page.delete(other["id"])
    page.select(one["id"])
    page.press_track()
    assert only(page)["sequence"] == after[one["id"]]["sequence"]
