"""Presses beyond what the service takes on at a time."""

from __future__ import annotations

from collections.abc import Callable

from support.fake_tracker import FakeTracker
from support.service import Background, Service, keyframe, notes_of, region, sequence_of

DRAWN = keyframe(10, 40, 30, 32, 24)


def test_a_press_too_many_is_told_at_its_region_and_the_next_one_is_tracked(start: Callable[..., Service]) -> None:
    tracker = FakeTracker(paced=True)
    service = start(tracker, max_jobs=1)
    waiting = Background(lambda: service.press_one(region("a", DRAWN)))
    tracker.until(lambda: len(tracker.calls) == 1)

    refused = service.press_one(region("b", DRAWN), number=2)
    assert sequence_of(refused) == [DRAWN]
    (note,) = notes_of(refused)
    assert "busy" in note
    assert "at a time (1)" in note

    tracker.release()
    assert notes_of(waiting.result()) == ["tracked 1-30"]
    assert notes_of(service.press_one(refused, number=2)) == ["tracked 1-30"]
