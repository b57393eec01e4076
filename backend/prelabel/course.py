"""Which job comes next, and what the outcomes of jobs come to."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from backend.prelabel.jobs import (
    Failed,
    Job,
    JoinJob,
    Lost,
    Outcome,
    PieceJob,
    PieceTracked,
    Split,
    Tracked,
    VideoJob,
)
from backend.prelabel.pieces import PieceResult
from backend.prelabel.plan import Left

# How often a job is begun at most.
TRIES = 3


@dataclass(frozen=True, eq=False)
class Settled:
    """What came of a video in the end.

    Attributes:
        name: by which the run knows it.
        video: its file or address; "" where it is not known.
        found: what came of it.
        job: what was to be done; None where it did not come to that.
    """

    name: str
    video: str
    found: Tracked | Left | Failed
    job: VideoJob | None = None

    @classmethod
    def of(cls, job: VideoJob, found: Tracked | Left | Failed) -> Settled:
        """What came of a job."""
        return cls(job.name, str(job.video), found, job)


class Course:
    """Hands out jobs: what was begun goes before what was not, so that few long videos are in pieces at a time.

    Args:
        videos: what there is to do; taken from one at a time, when its turn comes. What needs no doing is given as it
            was settled.
    """

    def __init__(self, videos: Iterator[VideoJob | Settled]) -> None:
        self._videos = videos
        self._begun: deque[Job] = deque()
        self._tries: dict[str, int] = {}
        self._splits: dict[str, _Pieces] = {}

    def next(self) -> Job | Settled | None:
        """What to do next; None where there is nothing now: outcomes may bring more."""
        return self._begun.popleft() if self._begun else next(self._videos, None)

    def take(self, job: Job, outcome: Outcome) -> Settled | None:
        """Take in what came of a job; what that comes to for its video, if it is done with that."""
        whole = job.whole
        if isinstance(job, PieceJob) and whole.name not in self._splits:  # another piece failed
            return None
        if isinstance(outcome, Lost) or (isinstance(outcome, Failed) and outcome.again):
            tries = self._tries[str(job)] = self._tries.get(str(job), 0) + 1
            if tries < TRIES:
                self._begun.appendleft(job)
                return None
        self._tries.pop(str(job), None)
        if isinstance(outcome, Split):
            self._splits[whole.name] = _Pieces(len(outcome.pieces))
            self._begun.extend(PieceJob(whole, piece, len(outcome.pieces)) for piece in outcome.pieces)
            return None
        if isinstance(outcome, PieceTracked):
            joined = self._splits[whole.name].take(whole, outcome)
            if joined is not None:
                self._begun.appendleft(joined)
            return None
        if isinstance(outcome, Lost):
            outcome = Failed(f"its worker died {TRIES} times: {outcome.reason}")
        self._splits.pop(whole.name, None)
        self._begun = deque(other for other in self._begun if other.whole is not whole)
        return Settled.of(whole, outcome)


@dataclass(eq=False)
class _Pieces:
    """What was tracked of a long video so far."""

    of: int
    seconds: float = 0.0
    fetching: float = 0.0
    results: dict[int, PieceResult] = field(default_factory=dict)

    def take(self, whole: VideoJob, piece: PieceTracked) -> JoinJob | None:
        """Take in a piece; with the last one they are to be joined."""
        self.results[piece.result.piece.number] = piece.result
        self.seconds += piece.seconds
        self.fetching += piece.fetching
        if len(self.results) < self.of:
            return None
        results = tuple(self.results[number] for number in sorted(self.results))
        return JoinJob(whole, results, self.seconds, self.fetching)
