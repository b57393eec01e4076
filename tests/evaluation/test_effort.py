"""The simulated annotator, with motions and mistakes whose cost can be counted by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from backend.errors import PromptError
from backend.evaluation.effort import (
    MOST_CLICKS,
    ByClick,
    Run,
    Step,
    Stopped,
    Target,
    annotate,
    box_ious,
    by_box,
    show,
)
from backend.evaluation.ways import Drawing, Keytrack, Linear, Mark, Press, Way
from backend.tracks import BoolArray, Box, FrameResult, Keyframe, Mask, Observation, Point, Prompt
from support.fake_rooms import HEIGHT, WIDTH, FakeVideo
from support.fake_tracker import FakeTracker

EXACT = 1.0  # thinned so, a track is shown as it is
BOX: Box = (0.0, 0.0, 20.0, 20.0)


def moved(right: float) -> Box:
    return (BOX[0] + right, BOX[1], BOX[2] + right, BOX[3])


def filled(box: Box | None) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    if box is not None:
        x0, y0, x1, y1 = (int(side) for side in box)
        mask[y0:y1, x0:x1] = True
    return mask


def target(*boxes: Box | None) -> Target:
    return Target("thing", boxes, lambda frame: filled(boxes[frame]))


def press(tracker: object, thing: Target) -> Press:
    return Press(tracker, FakeVideo(len(thing.boxes)).as_reader, thing.name)  # type: ignore[arg-type]


def run(thing: Target, way: Way, *, most: int = 100, keyframe_iou: float = EXACT) -> Run:
    return annotate(thing, way, by_box(thing), most=most, keyframe_iou=keyframe_iou)


def marked(found: Run) -> list[int]:
    return [mark.frame for mark in found.marks]


class Fixed:
    """A way that finds the same boxes whatever is marked."""

    def __init__(self, boxes: Mapping[int, Box | None]) -> None:
        self.boxes = boxes
        self.drawings = 0

    def draw(self, marks: Sequence[Mark]) -> Drawing:
        self.drawings += 1
        return Drawing(self.boxes, 3)


# --- linear interpolation ----------------------------------------------------------------------


def test_linear_motion_takes_two_keyframes():
    thing = target(*(moved(frame) for frame in range(11)))
    found = run(thing, Linear(thing.frames))
    assert (found.reached("mean"), found.reached("share")) == (2, 2)
    assert marked(found) == [0, 10]
    assert found.steps[0].iou == pytest.approx(sum((20 - d) / (20 + d) for d in range(11)) / 11)
    assert (found.steps[1].iou, found.steps[1].share) == (pytest.approx(1), 1)


def test_an_object_that_stays_takes_one():
    thing = target(*[BOX] * 5)
    assert run(thing, Linear(thing.frames)).interactions("mean") == 1


def test_a_bounce_takes_three():
    thing = target(*(moved(2 * min(frame, 16 - frame)) for frame in range(15)))
    found = run(thing, Linear(thing.frames))
    assert (found.reached("mean"), found.reached("share")) == (3, 3)
    assert marked(found) == [0, 8, 14]  # where it turns, and where it ends


# --- a tracker that drifts ---------------------------------------------------------------------


def test_a_tracker_that_drifts_by_a_pixel_a_frame():
    # The box is 20 pixels wide: at a distance d from the nearest mark its IoU is (20 - d) / (20 + d), above 0.9 for
    # d = 0 and 1 only. Nine frames: from frame 0 alone d is 0 to 8.
    thing = target(*[moved(20)] * 9)
    found = run(thing, Keytrack(press(FakeTracker((1, 0)), thing), thing.frames))

    def mean(*distances: int) -> float:
        return sum((20 - d) / (20 + d) for d in distances) / len(distances)

    # The worst frame is 8; then 4, in the middle; then 2 and 6, between them.
    assert marked(found) == [0, 2, 4, 6, 8]
    expected = [
        mean(0, 1, 2, 3, 4, 5, 6, 7, 8),
        mean(0, 1, 2, 3, 4, 3, 2, 1, 0),
        mean(0, 1, 2, 1, 0, 1, 2, 1, 0),
        mean(0, 1, 0, 1, 0, 1, 2, 1, 0),
        mean(0, 1, 0, 1, 0, 1, 0, 1, 0),
    ]
    assert [step.iou for step in found.steps] == pytest.approx(expected)
    assert [step.interactions for step in found.steps] == [1, 2, 3, 4, 5]
    # Outwards from each new mark to where the old track is met.
    assert [step.propagated for step in found.steps] == [8, 4, 5, 2, 2]
    assert [round(9 * step.share) for step in found.steps] == [2, 4, 7, 8, 9]
    assert found.reached("mean") == 3  # 0.915 after 0.843
    assert found.reached("share") == 5  # 8 of 9 are not 90 % yet
    assert found.frames == 9


def test_ties_go_to_the_earliest_frame_and_no_frame_is_marked_twice():
    thing = target(*[BOX] * 6)
    found = run(thing, Fixed({frame: moved(10) for frame in range(6)}))
    assert marked(found) == [0, 1, 2, 3, 4, 5]
    assert [step.interactions for step in found.steps] == [1, 2, 3, 4, 5, 6]


def test_what_is_shown_is_thinned_with_the_marks_fixed():
    # The track jitters by a pixel of 20, an IoU of 0.905: drawn straight where 0.9 will do.
    boxes = {frame: moved(20 + frame % 2) for frame in range(12)}
    marks = [Mark(0, moved(20)), Mark(5, moved(23))]
    assert len(show(boxes, marks, 12, 0.9)) < len(show(boxes, marks, 12, EXACT)) == 12
    assert Keyframe(5, moved(23)) in show(boxes, marks, 12, 0.9)


def test_clicks_fix_nothing():
    boxes = {frame: moved(frame) for frame in range(3)}
    shown = show(boxes, [Mark(0, moved(0)), Mark(2, points=(Point(1, 1),))], 3, EXACT)
    assert box_ious(target(moved(0), moved(1), moved(2)), shown) == pytest.approx({0: 1, 1: 1, 2: 1})


def test_the_cap():
    thing = target(*(moved(10 * frame) for frame in range(4)))
    found = run(thing, Fixed(dict.fromkeys(range(4))), most=2)
    assert [step.interactions for step in found.steps] == [1, 2]
    assert (found.reached("mean"), found.reached("share")) == (None, None)
    assert (found.interactions("mean"), found.interactions("share")) == (2, 2)


def test_a_goal_that_was_met_before_the_cap_stays_met():
    steps = (Step(1, 0.5, 0.2, 0, 0.0), Step(2, 0.91, 0.3, 0, 0.0), Step(3, 0.89, 0.4, 0, 0.0))
    found = Run(steps, (), 10, 3)
    assert (found.reached("mean"), found.interactions("share")) == (2, 3)


def test_what_took_more_than_the_cap_does_not_count():
    steps = (Step(1, 0.5, 0.2, 0, 0.0), Step(4, 1.0, 1.0, 0, 0.0))
    assert Run(steps, (), 10, 3).reached("mean") is None


def test_the_same_again_gives_the_same():
    thing = target(*(moved(20 + 3 * (frame % 5)) for frame in range(12)))

    def once() -> Run:
        found = run(thing, Keytrack(press(FakeTracker((1, 1)), thing), thing.frames), keyframe_iou=0.95)
        return replace(found, steps=tuple(replace(step, seconds=0.0) for step in found.steps))

    assert once() == once()


def test_cancelling():
    thing = target(*[BOX] * 5)
    with pytest.raises(Stopped):
        annotate(thing, Linear(thing.frames), by_box(thing), most=5, keyframe_iou=EXACT, cancelled=lambda: True)


def test_a_press_that_is_refused_leaves_what_was_there():
    class Refusing(Fixed):
        def draw(self, marks: Sequence[Mark]) -> Drawing:
            if len(marks) in (1, 3):
                raise PromptError("nothing there")
            return super().draw(marks)

    thing = target(*(moved(10 * frame) for frame in range(4)))
    found = run(thing, Refusing({frame: moved(10 * frame + 2) for frame in range(4)}))
    # At first the box stays where it is, as Label Studio shows it; of the second drawing frames 0 and 3 are marked, and
    # after the third, which was refused, frame 1 too.
    near = 18 / 22
    assert [step.iou for step in found.steps[:3]] == pytest.approx(
        [(1 + 1 / 3) / 4, (2 + 2 * near) / 4, (3 + near) / 4]
    )
    assert (found.refused, found.steps[2].propagated) == (2, 0)


# --- absence -----------------------------------------------------------------------------------

GONE = target(BOX, BOX, BOX, BOX, None, None, None, None, BOX, BOX)


def test_an_object_that_goes_and_comes_back():
    found = run(GONE, Linear(GONE.frames))
    # It shows on four frames where it is not: hidden from frame 3 on, and then drawn where it returns.
    assert found.marks == (Mark(0, BOX), Mark(3, BOX, hides_until=10), Mark(8, BOX))
    assert [step.iou for step in found.steps] == pytest.approx([0.6, 0.8, 1])
    assert (found.reached("mean"), found.reached("share")) == (3, 3)


def test_a_tracker_that_knows_of_the_absence_needs_no_correction():
    tracker = FakeTracker((0, 0))
    tracker.absent = frozenset({4, 5, 6, 7})
    found = run(GONE, Keytrack(press(tracker, GONE), GONE.frames))
    assert (found.reached("mean"), found.marks) == (1, (Mark(0, BOX),))


BRIEFLY_GONE = target(BOX, BOX, BOX, None, None, None, BOX)


def test_hiding_lasts_to_the_next_keyframe_and_one_in_the_gap_is_deleted_for_an_interaction():
    tracker = FakeTracker((0, 0))
    tracker.absent = frozenset({5})
    found = run(BRIEFLY_GONE, Keytrack(press(tracker, BRIEFLY_GONE), BRIEFLY_GONE.frames))
    # Shown are 0 to 4, where the model has a keyframe that ends the span, and 6. Hiding from 2 on reaches to that
    # keyframe, which still shows; then it is deleted.
    assert [step.interactions for step in found.steps] == [1, 2, 3]
    assert [step.iou for step in found.steps] == pytest.approx([5 / 7, 6 / 7, 1])
    assert found.marks == (Mark(0, BOX), Mark(2, BOX, hides_until=6))


def test_hiding_and_deleting_a_keyframe_are_two_interactions():
    boxes = {0: BOX, 1: BOX, 2: BOX, 3: None, 4: moved(9), 5: BOX, 6: BOX}
    found = run(BRIEFLY_GONE, Fixed(boxes))
    # The model has keyframes on 4 and on 5, which lasts to the end. Frame 4 is the first that is wrong: the span ends
    # on 2, and the keyframe on 4 goes. Then that on 5 goes, and the object is drawn again on 6.
    assert [step.interactions for step in found.steps] == [1, 3, 4, 5]
    assert [step.iou for step in found.steps] == pytest.approx([5 / 7, 6 / 7, 6 / 7, 1])
    assert found.marks == (Mark(0, BOX), Mark(2, BOX, hides_until=7), Mark(6, BOX))


def test_a_mark_within_what_is_hidden_shows_again():
    marks = [Mark(0, BOX, hides_until=8), Mark(4, moved(2))]
    shown = show(dict.fromkeys(range(8), BOX), marks, 8, EXACT)
    assert [iou > 0 for iou in box_ious(target(*[BOX] * 8), shown).values()] == [True, *[False] * 3, *[True] * 4]


def test_frames_before_the_object_shows_are_not_its_own():
    thing = target(None, None, BOX, BOX)
    assert thing.frames == range(2, 4)
    found = run(thing, Linear(thing.frames))
    assert (found.frames, found.marks) == (2, (Mark(2, BOX),))


# --- clicks ------------------------------------------------------------------------------------


class Clicked:
    """Makes of so many clicks on a frame the mask of ``looks``, or refuses; elsewhere it finds ``boxes``."""

    def __init__(self, looks: Sequence[Box | None], boxes: Sequence[Box]) -> None:
        self.looks, self.boxes = looks, boxes
        self.looked: list[Prompt] = []

    def track(
        self, video: FakeVideo, prompts: Sequence[Prompt], *, span: tuple[int, int], **options: object
    ) -> Iterator[FrameResult]:
        given = {prompt.frame: prompt for prompt in prompts}
        self.looked += [prompt for prompt in prompts if span == (prompt.frame, prompt.frame)]
        for frame in range(span[0], span[1] + 1):
            prompt = given.get(frame)
            box = self.boxes[frame] if prompt is None else prompt.box or self.looks[len(prompt.points) - 1]
            if box is None:
                raise PromptError("nothing there")
            yield FrameResult(
                frame, (Observation("thing", frame, Mask.from_array(filled(box)), 1.0, prompt is not None),)
            )


def clicking(thing: Target, tracker: Clicked, most: int = 100) -> Run:
    work = press(tracker, thing)
    return annotate(thing, Keytrack(work, thing.frames), ByClick(work, thing), most=most, keyframe_iou=EXACT)


WHOLE: Box = (10.0, 10.0, 30.0, 20.0)


def test_clicks_go_to_the_largest_error_until_the_box_is_good():
    thing = target(WHOLE, WHOLE)
    # The first click makes the left half, the second too much, the third all but a row of pixels.
    tracker = Clicked(((10, 10, 20, 20), (10, 10, 40, 20), (10, 11, 30, 20)), (WHOLE, BOX))
    found = clicking(thing, tracker)
    middle, right, beyond = found.marks[1].points
    # The first pixel in reading order of those that lie five deep.
    assert (middle, right) == (Point(14.5, 14.5), Point(24.5, 14.5))
    assert (beyond.x, beyond.y, beyond.positive) == (34.5, 14.5, False)
    assert [len(prompt.points) for prompt in tracker.looked] == [1, 2, 3]
    assert [step.interactions for step in found.steps] == [1, 4]
    assert found.steps[-1].iou == pytest.approx((1 + 0.9) / 2)
    assert found.reached("mean") == 4


def test_clicks_on_one_frame_come_to_an_end():
    thing = target(WHOLE, WHOLE, WHOLE)
    found = clicking(thing, Clicked([BOX] * 20, (WHOLE, BOX, BOX)))
    assert [len(mark.points) for mark in found.marks] == [0, MOST_CLICKS, MOST_CLICKS]
    # Nothing is left to correct that was not marked; what clicks could not mend is not reached.
    assert found.steps[-1].interactions == 1 + 2 * MOST_CLICKS
    assert found.reached("mean") is None
    capped = clicking(thing, Clicked([BOX] * 20, (WHOLE, BOX, BOX)), most=4)
    assert [step.interactions for step in capped.steps] == [1, 4]


def test_where_clicks_make_out_nothing_the_box_is_drawn():
    thing = target(WHOLE, WHOLE)
    found = clicking(thing, Clicked((None,), (WHOLE, BOX)))
    assert found.marks[1] == Mark(1, WHOLE)
    assert [step.interactions for step in found.steps] == [1, 3]


def test_a_click_that_ruins_the_mask_is_undone():
    thing = target(WHOLE, WHOLE)
    found = clicking(thing, Clicked(((10, 10, 20, 20), None), (WHOLE, BOX)))
    assert len(found.marks[1].points) == 1
    assert found.steps[-1].interactions == 3
