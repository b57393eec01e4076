"""In which order jobs are done, and what their outcomes come to; no video is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import pytest

from backend.labelstudio.config import parse_config
from backend.prelabel.course import TRIES, Course, Settled
from backend.prelabel.jobs import (
    Failed,
    Job,
    JoinJob,
    Lost,
    Manner,
    Outcome,
    PieceJob,
    PieceTracked,
    Split,
    Tracked,
    VideoJob,
)
from backend.prelabel.pieces import Piece, PieceResult
from backend.prelabel.plan import Left, Plan
from support.service import CONFIG

PIECES = tuple(
    Piece(number, range(first, first + 12), range(first, first + 10)) for number, first in enumerate((0, 10, 20))
)
TRACKED = Tracked(cast(Any, None), cast(Any, None))


def video(name: str) -> VideoJob:
    return VideoJob(name, "a.mp4", Plan(None, "Car"), "r", parse_config(CONFIG), None, Manner("keytrack-1", 0.95))


def found(piece: Piece) -> PieceTracked:
    return PieceTracked(PieceResult(piece, 10.0, ()), 2.0, 0.5)


class Taken(Iterable[Any]):
    """Videos, and how many of them were taken."""

    def __init__(self, *videos: VideoJob | Settled) -> None:
        self.count = 0
        self._videos = videos

    def __iter__(self) -> Iterator[Any]:
        for one in self._videos:
            self.count += 1
            yield one


def take(course: Course, outcome: Outcome) -> tuple[Job, Settled | None]:
    job = course.next()
    assert isinstance(job, Job)
    return job, course.take(job, outcome)


def test_videos_are_taken_when_their_turn_comes() -> None:
    left = Settled("b", "", Left("it is done"))
    taken = Taken(video("a"), left)
    course = Course(iter(taken))
    assert taken.count == 0
    job, settled = take(course, TRACKED)
    assert settled is not None
    assert (str(job), settled.name, settled.found, taken.count) == ("a", "a", TRACKED, 1)
    assert course.next() is left
    assert course.next() is None


def test_pieces_go_before_other_videos_and_are_joined_in_their_order() -> None:
    course = Course(iter([video("long"), video("short")]))
    assert take(course, Split(PIECES))[1] is None
    pieces = [cast(PieceJob, course.next()) for _ in PIECES]
    assert [str(job) for job in pieces] == [f"long, piece {number} of 3" for number in (1, 2, 3)]
    other = course.next()
    assert str(other) == "short"
    for job in reversed(pieces):
        assert course.take(job, found(job.piece)) is None
    joined, settled = take(course, TRACKED)
    assert isinstance(joined, JoinJob)
    assert [one.piece.number for one in joined.pieces] == [0, 1, 2]
    assert (joined.seconds, joined.fetching) == (6.0, 1.5)
    assert settled is not None and settled.name == "long"


def test_one_piece_that_fails_fails_the_video_once() -> None:
    course = Course(iter([video("long"), video("short")]))
    take(course, Split(PIECES))
    first, second = (cast(PieceJob, course.next()) for _ in range(2))
    settled = course.take(first, Failed("it is broken"))
    assert settled is not None and settled.found == Failed("it is broken")
    assert course.take(second, found(second.piece)) is None
    assert str(course.next()) == "short"


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(Lost("killed"), "its worker died 3 times: killed"), (Failed("no memory", again=True), "no memory")],
)
def test_what_may_go_well_elsewhere_is_tried_again_but_not_for_ever(outcome: Outcome, reason: str) -> None:
    course = Course(iter([video("a"), video("b")]))
    for _ in range(TRIES - 1):
        job, settled = take(course, outcome)
        assert (str(job), settled) == ("a", None)
    job, settled = take(course, outcome)
    assert settled is not None and isinstance(settled.found, Failed)
    assert (str(job), settled.found.reason) == ("a", reason)
    assert str(course.next()) == "b"


def test_what_fails_for_good_is_not_tried_again() -> None:
    course = Course(iter([video("a"), video("b")]))
    assert take(course, Failed("it is broken"))[1] is not None
    assert str(course.next()) == "b"
