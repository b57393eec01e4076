"""What an annotator of a load test does to a region."""

from __future__ import annotations

from backend.evaluation.load_regions import is_tracked, new_region, problem_of
from backend.evaluation.load_videos import Target, make_videos

(VIDEO,) = make_videos(1, 10, 320, 240)
TARGET = Target(VIDEO, 0)
BOX = (32.0, 24.0, 64.0, 72.0)


def frames(held):
    return [(item["frame"], item["enabled"]) for item in held.item["value"]["sequence"]]


def test_a_new_region_is_as_the_browser_sends_it():
    held = new_region("a", "Car", TARGET, 3, BOX)
    assert (held.id, held.item["type"], held.item["value"]["labels"]) == ("a", "videorectangle", ["Car"])
    assert held.item["value"]["framesCount"] == 10
    keyframe = {"frame": 3, "enabled": True, "rotation": 0, "x": 10.0, "y": 10.0, "width": 10.0, "height": 20.0}
    assert held.item["value"]["sequence"] == [{**keyframe, "time": 0.1}]
    assert held.drawn == {3: {**keyframe, "time": 0.1}}


def test_edits_leave_what_was_there():
    first = new_region("a", "Car", TARGET, 3, BOX)
    second = first.with_box(6, BOX).with_box(1, BOX)
    assert frames(second) == [(1, True), (3, True), (6, True)]
    assert sorted(second.drawn) == [1, 3, 6]
    assert frames(first) == [(3, True)]
    ended = second.ended(5, BOX)
    assert frames(ended) == [(1, True), (3, True), (5, False)]
    assert (sorted(ended.drawn), ended.last, ended.tracked) == ([1, 3, 5], 5, False)


def test_what_came_back_is_told_by_its_notes():
    held = new_region("a", "Car", TARGET, 3, BOX)
    done = {**held.item, "meta": {"text": ["a car\nKeytrack: tracked 1-10\nKeytrack: look at frame 4 next"]}}
    busy = {**held.item, "meta": {"text": ["Keytrack: not tracked: the backend is busy"]}}
    assert held.answered(done).tracked
    assert not held.answered(done).with_box(4, BOX).tracked
    assert not is_tracked(held.item)
    assert not is_tracked(busy)
    assert (problem_of(done), problem_of(busy)) == (None, "not tracked: the backend is busy")
