from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.service import notes
from backend.service.records import StoredFrame
from backend.service.timeline import Timeline
from backend.video.clock import FrameClock


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], ""),
        ([7], "7"),
        ([1, 2], "1-2"),
        ([3, 1, 2, 9], "1-3, 9"),
        (range(1, 14, 2), "1, 3, 5, 7, 9, 11, and 1 more"),
        ([1, 3, 5, 7, 9, 11, 13, *range(20, 30)], "1, 3, 5, 7, 9, 20-29, and 2 more"),
    ],
)
def test_ranges(numbers: Any, expected: str) -> None:
    assert notes.ranges(numbers) == expected


@pytest.fixture
def timeline() -> Timeline:
    """Ten frames at 10 fps on a timeline of 20 fps: Label Studio shows each twice."""
    clock = FrameClock(np.arange(10) / 10, 1.0, 20)
    return Timeline(clock, (160, 120), tuple(clock.shown().tolist()), ())


def found(score: float = 0.9, *, revision: int = 2, present: bool = True, human: bool = False) -> StoredFrame:
    return StoredFrame(revision, score, human, (0.0, 0.0, 5.0, 5.0) if present else None)


def test_frames_are_label_studios(timeline: Timeline) -> None:
    frames = {4: found(), 5: found(present=False), 6: found(0.3)}
    assert notes.partial(frames, 2, timeline) == "tracking: frames 9-14 of 20 done, press t again for more"
    assert notes.complete(frames, timeline) == "tracked 9-14, doubtful at 13-14, absent 11-12"


def test_what_an_older_revision_left_is_not_counted_as_done(timeline: Timeline) -> None:
    frames = {4: found(), 5: found(revision=1)}
    assert notes.partial(frames, 2, timeline).startswith("tracking: frames 9-10 of 20 done")
    assert notes.problem("broken", frames, 2, timeline) == "stopped after frames 9-10 of 20: broken"
    assert notes.problem("broken", {5: found(revision=1)}, 2, timeline) == "not tracked: broken"
    assert notes.problem("broken", frames, 2, None) == "not tracked: broken"


def test_what_a_human_drew_is_not_doubtful(timeline: Timeline) -> None:
    frames = {0: found(0.1, human=True), 1: found(0.1)}
    assert notes.complete(frames, timeline) == "tracked 1-4, doubtful at 3-4"
    assert notes.score(frames) == pytest.approx(0.1)


def test_a_single_doubtful_frame() -> None:
    clock = FrameClock(np.arange(3) / 10, 0.3, 10)
    timeline = Timeline(clock, (160, 120), tuple(clock.shown().tolist()), ())
    assert notes.complete({0: found(), 1: found(0.2), 2: found()}, timeline) == "tracked 1-3, doubtful at 2"


@pytest.mark.parametrize(
    ("present", "human", "told"),
    [
        (range(6), 0, "tracked 1-20, lost at 13"),
        ([0, 1, 2, 5, 6], 0, "tracked 1-20, absent 7-10, lost at 15"),
        (range(4, 10), 5, "tracked 1-20, absent 1-8"),
        (range(6), 5, "tracked 1-20, absent 13-20"),  # a human drew it last: there it ends
        ([], None, "tracked 1-20, absent 1-20"),
    ],
)
def test_lost_is_what_was_not_found_again(timeline: Timeline, present: Any, human: int | None, told: str) -> None:
    frames = {index: found(present=index in present, human=index == human) for index in range(10)}
    assert notes.complete(frames, timeline) == told


def test_where_to_look_next_is_told_in_label_studios_frames(timeline: Timeline) -> None:
    frames = {index: found(0.2 if 5 <= index <= 7 else 0.9, human=index == 0) for index in range(10)}
    assert notes.look(frames, timeline) == ["look at frame 15 next: 11-16 doubtful"]
    assert notes.finished(frames, timeline, ["more"]) == [
        "tracked 1-20, doubtful at 11-16",
        "look at frame 15 next: 11-16 doubtful",
        "more",
    ]
    assert notes.look({0: found()}, timeline) == []


def test_frames_that_label_studio_does_not_show_are_not_to_be_looked_at() -> None:
    clock = FrameClock(np.arange(10) / 10, 1.0, 5)  # shows every other frame
    timeline = Timeline(clock, (160, 120), tuple(clock.shown().tolist()), ())
    hidden = {index: found(0.2 if index not in timeline.shown else 0.9) for index in range(10)}
    assert notes.look(hidden, timeline) == []
