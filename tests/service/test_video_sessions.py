from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from backend.service.video_course import Course
from backend.service.video_sessions import Limits, Session, Sessions
from backend.tracks import Mask, Observation
from support.fake_tracker import PATIENCE
from support.service import Background
from support.video_client import eventually

TASK = ("1", "1")
AT_ONCE = Limits(first_wait=0, batch_wait=0)
PATIENT = Limits(first_wait=PATIENCE, batch_wait=PATIENCE)


def mask(pixels: int = 4) -> Mask:
    """Of a frame of 100 pixels."""
    return Mask.from_array(np.arange(100).reshape(10, 10) < pixels)


@pytest.fixture
def session() -> Session:
    return Session(TASK, time.monotonic, Limits().waiting_bytes)


def frames(session: Session, limits: Limits = AT_ONCE) -> list[tuple[int, bool]]:
    """What a poll returns: frames, and whether there is a mask."""
    return [(told.frame, told.mask is not None) for told in session.fetch(limits).told]


# --- fetching ------------------------------------------------------------------------------------


def test_no_more_than_a_batch_at_once_and_done_only_when_all_is_fetched(session: Session) -> None:
    for frame in range(70):
        session.add("a", frame, mask())
    session.end("broken")
    first, second, third = (session.fetch(Limits()) for _ in range(3))
    assert [len(batch.told) for batch in (first, second, third)] == [32, 32, 6]
    assert [told.frame for batch in (first, second, third) for told in batch.told] == list(range(70))
    assert [(batch.produced, batch.done, batch.error) for batch in (first, second, third)] == [
        (70, False, None),
        (70, False, None),
        (70, True, "broken"),
    ]


def test_a_poll_waits_for_the_first_mask(session: Session) -> None:
    fetched = Background(lambda: session.fetch(Limits(first_wait=PATIENCE, batch_wait=0)))
    session.add("a", 3, mask())
    assert [told.frame for told in fetched.result().told] == [3]


def test_a_poll_waits_no_longer_than_for_the_first_mask(session: Session) -> None:
    batch = session.fetch(Limits(first_wait=0.01, batch_wait=PATIENCE))
    assert (batch.told, batch.done, batch.error) == ([], False, None)


@pytest.mark.parametrize("enough", [lambda session: session.end(), lambda session: fill(session, 31)])
def test_a_poll_waits_for_more_until_there_is_enough(session: Session, enough) -> None:
    session.add("a", 1000, mask())
    fetched = Background(lambda: session.fetch(PATIENT))
    enough(session)
    assert fetched.result().told[0].frame == 1000


def fill(session: Session, count: int) -> None:
    for frame in range(count):
        session.add("a", frame, mask())


def test_a_second_poll_at_once_does_not_wait(session: Session) -> None:
    waiting = Background(lambda: session.fetch(PATIENT))
    eventually(lambda: session._polled)
    assert session.fetch(PATIENT).told == []
    session.end()
    waiting.result()


def test_what_is_told_anew_replaces_what_has_not_been_fetched(session: Session) -> None:
    session.add("a", 1, mask(4))
    session.add("a", 1, mask(5))
    (told,) = session.fetch(AT_ONCE).told
    assert told.mask is not None and told.mask.area == 5
    session.add("a", 1, mask(6))
    batch = session.fetch(AT_ONCE)
    assert ([told.frame for told in batch.told], batch.produced) == ([1], 1)


def test_what_is_taken_back_is_told_only_to_who_has_it(session: Session) -> None:
    session.add("a", 1, None)
    session.add("a", 2, mask())
    session.add("a", 2, None)
    assert frames(session) == []
    session.add("a", 3, mask())
    assert frames(session) == [(3, True)]
    session.add("a", 3, mask())
    session.add("a", 3, None)
    assert frames(session) == [(3, False)]


def test_nothing_comes_after_the_end(session: Session) -> None:
    session.end()
    session.add("a", 1, mask())
    session.end("later")
    batch = session.fetch(Limits())
    assert (batch.told, batch.done, batch.error) == ([], True, None)


def test_each_mask_is_fetched_once_however_many_poll(session: Session) -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def poll() -> None:
        while True:
            batch = session.fetch(Limits(first_wait=0.01, batch_wait=0.001, batch=3))
            with lock:
                seen.extend(told.frame for told in batch.told)
            if batch.done:
                return

    polls = [Background(poll) for _ in range(4)]
    fill(session, 200)
    session.end()
    for one in polls:
        one._thread.join(PATIENCE)
    assert sorted(seen) == list(range(200))


def test_sessions_are_counted() -> None:
    sessions = Sessions(Limits(sessions=3))
    one, two, three = (sessions.begin(TASK) for _ in range(3))
    assert one is not None and two is not None and three is not None
    assert len({one.id, two.id, three.id}) == 3
    one.end()
    two.add("a", 0, mask())
    two.end()
    assert sessions.count() == (1, 2)
    sessions.drop(three)
    assert (sessions.count(), three.live) == ((0, 1), False)
    assert sessions.find(TASK, three.id) is None
    assert sessions.find(TASK, one.id) is one


def test_a_track_of_which_too_much_waits_ends_and_what_waits_can_be_fetched() -> None:
    size = len(mask().counts)
    session = Session(TASK, time.monotonic, 3 * size)
    for frame in (0, 1, 0, 1, 2):  # what is new takes the place of what is old
        session.add("a", frame, mask())
    assert session.live
    assert len(frames(session)) == 3
    for frame in range(3, 8):
        session.add("a", frame, mask())
    assert not session.live
    found = session.fetch(AT_ONCE)
    assert [told.frame for told in found.told] == [3, 4, 5, 6]
    assert (found.done, found.error) == (
        True,
        "what was tracked is not fetched; track fewer objects or frames at a time",
    )


# --- when a track ends ---------------------------------------------------------------------------

THERE, AWAY, ALL, DOUBTFUL = "there", "away", "all", "doubtful"


def observed(frame: int, what: str, human: bool = False) -> Observation:
    shown = {THERE: mask(), AWAY: None, ALL: mask(71), DOUBTFUL: mask()}[what]
    return Observation("a", frame, shown, 0.1 if what == DOUBTFUL else 0.8, human)


def told(course: Course, *seen: tuple[int, str]) -> list[tuple[int, bool]]:
    """The frames that are told, and whether with a mask."""
    found = []
    for frame, what in seen:
        tell, shown = course.see(observed(frame, what))
        if tell:
            found.append((frame, shown is not None))
    return found


def test_an_object_that_is_away_for_long_ends_its_track() -> None:
    course = Course(0, 1, Limits())
    assert told(course, (1, THERE), (2, AWAY), (3, AWAY), (4, THERE), (5, AWAY), (6, AWAY)) == [
        (1, True),
        (2, False),
        (3, False),
        (4, True),
        (5, False),
        (6, False),
    ]
    assert not course.over
    assert told(course, (7, AWAY), (8, THERE)) == []
    assert course.over


def test_backwards_too() -> None:
    course = Course(9, -1, Limits(lost_frames=2))
    assert told(course, (8, THERE), (7, AWAY), (6, AWAY), (5, THERE)) == [(8, True), (7, False)]
    assert course.over


def test_frames_that_come_late_are_counted_in_their_place() -> None:
    course = Course(0, 1, Limits())
    told(course, (1, THERE), (5, AWAY), (3, AWAY), (2, AWAY))
    assert not course.over
    told(course, (4, AWAY))
    assert course.over
    assert told(course, (3, THERE)) == [(3, True)]  # before the end, it is told anew
    assert told(course, (4, THERE), (6, THERE)) == []


def test_a_mask_of_nearly_the_whole_frame_ends_a_track() -> None:
    course = Course(0, 1, Limits())
    assert told(course, (1, THERE), (2, ALL), (3, THERE)) == [(1, True)]
    assert course.over
    assert told(Course(0, 1, Limits(foreground=0.71)), (1, ALL)) == [(1, True)]


def test_a_score_that_is_too_low_counts_as_away() -> None:
    course = Course(0, 1, Limits(least_score=0.2, lost_frames=1))
    assert told(course, (1, THERE), (2, DOUBTFUL)) == [(1, True)]
    assert course.over
    assert told(Course(0, 1, Limits()), (1, DOUBTFUL)) == [(1, True)]


def test_between_marked_frames_an_object_is_followed_in_any_case() -> None:
    course = Course(5, 1, Limits(lost_frames=2))
    assert told(course, (1, AWAY), (2, AWAY), (3, AWAY), (4, THERE)) == [
        (1, False),
        (2, False),
        (3, False),
        (4, True),
    ]
    assert told(course, (4, ALL)) == [(4, True)]
    assert not course.over
    told(course, (6, AWAY), (7, AWAY))
    assert course.over
    assert told(course, (4, THERE)) == [(4, True)]


def test_what_a_human_has_marked_is_told_whatever_its_size() -> None:
    course = Course(0, 1, Limits())
    tell, shown = course.see(observed(0, ALL, human=True))
    assert tell and shown is not None and shown.area == 71
    assert not course.over
