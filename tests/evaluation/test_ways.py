"""The three ways to make a track of an annotator's marks."""

from __future__ import annotations

import pytest

from backend.errors import PromptError
from backend.evaluation.ways import Drawing, Keytrack, Linear, Mark, Press, Reprompt
from backend.tracks import Box, Keyframe, Point
from support.fake_rooms import FakeVideo
from support.fake_tracker import FakeTracker

BOX: Box = (10.0, 10.0, 30.0, 30.0)


def moved(right: float) -> Box:
    return (BOX[0] + right, BOX[1], BOX[2] + right, BOX[3])


def press(tracker: FakeTracker, count: int = 11) -> Press:
    return Press(tracker, FakeVideo(count).as_reader, "thing")


def test_a_mark_as_a_keyframe_and_as_a_prompt():
    assert Mark(3, BOX).keyframe() == Keyframe(3, BOX)
    hiding = Mark(3, BOX, hides_until=7)
    assert hiding.keyframe() == Keyframe(3, BOX, enabled=False)
    assert (hiding.prompt("a").object_id, hiding.prompt("a").frame, hiding.prompt("a").box) == ("a", 3, BOX)
    clicks = Mark(3, points=(Point(1, 2),))
    assert clicks.keyframe() is None
    assert clicks.prompt("a").points == clicks.points


def test_linear_interpolation_is_label_studios():
    drawn = Linear(range(2, 9)).draw([Mark(2, BOX), Mark(4, moved(8)), Mark(6, moved(0), hides_until=9)])
    assert drawn == Drawing(
        {2: BOX, 3: moved(4), 4: moved(8), 5: moved(4), 6: moved(0), 7: None, 8: None}, propagated=0
    )
    assert Linear(range(2, 5)).draw([Mark(2, BOX)]).boxes == {2: BOX, 3: BOX, 4: BOX}


def test_keytrack_tracks_again_what_a_mark_touches_and_knows_all_marks():
    tracker = FakeTracker((1, 0))
    way = Keytrack(press(tracker), range(2, 11))
    assert way.draw([Mark(2, BOX)]) == Drawing({frame: moved(frame - 2) for frame in range(2, 11)}, propagated=8)
    drawn = way.draw([Mark(2, BOX), Mark(9, BOX)])
    # From frame 9 to the end, and back to frame 5, where the old track is met.
    assert drawn.propagated == 5
    assert {frame: drawn.boxes[frame] for frame in (2, 5, 6, 9, 10)} == {
        2: BOX,
        5: moved(3),
        6: moved(-3),
        9: BOX,
        10: moved(1),
    }
    assert [[prompt.frame for prompt in call.prompts] for call in tracker.calls] == [[2], [2, 9]]
    assert tracker.calls[1].direction == {"thing": "both"}
    assert [call.before["thing"].changed for call in tracker.calls[1:]] == [{9}]


def test_reprompting_knows_one_mark_at_a_time_and_keeps_what_it_tracked():
    tracker = FakeTracker((1, 0))
    way = Reprompt(press(tracker), range(11))
    assert way.draw([Mark(0, BOX)]).propagated == 10
    drawn = way.draw([Mark(0, BOX), Mark(6, BOX)])
    assert drawn.propagated == 4
    assert drawn.boxes == {frame: moved(frame if frame < 6 else frame - 6) for frame in range(11)}
    between = way.draw([Mark(0, BOX), Mark(4, moved(1)), Mark(6, BOX)])
    assert between.propagated == 1
    assert [between.boxes[frame] for frame in (3, 4, 5, 6)] == [moved(3), moved(1), moved(2), BOX]
    assert [[prompt.frame for prompt in call.prompts] for call in tracker.calls] == [[0], [6], [4]]
    assert all(call.direction == {"thing": "forward"} for call in tracker.calls)


def test_reprompting_tracks_again_from_a_mark_that_was_changed():
    tracker = FakeTracker((1, 0))
    way = Reprompt(press(tracker), range(4))
    way.draw([Mark(0, BOX)])
    hidden = way.draw([Mark(0, BOX, hides_until=2)])  # the same box: nothing else to be found
    assert hidden.propagated == 0
    assert way.draw([Mark(0, moved(5))]).boxes[1] == moved(6)


def test_absent_frames_have_no_box():
    tracker = FakeTracker((0, 0))
    tracker.absent = frozenset({3})
    for way in (Keytrack(press(tracker, 5), range(5)), Reprompt(press(tracker, 5), range(5))):
        assert way.draw([Mark(0, BOX)]).boxes[3] is None


def test_a_press_tells_each_frame_and_can_be_cancelled():
    told: list[int] = []
    tracker = FakeTracker((0, 0))
    work = Press(tracker, FakeVideo(9).as_reader, "thing", lambda: len(told) == 4, lambda: told.append(1))
    assert len(work.track([Mark(0, BOX)], range(9), "both")) == 4


def test_a_mark_that_cannot_be_made_out_is_refused():
    tracker = FakeTracker()
    tracker.fails_at[0] = PromptError("nothing there")
    with pytest.raises(PromptError, match="nothing there"):
        Keytrack(press(tracker), range(11)).draw([Mark(0, BOX)])
