"""Tracks under way for the interactive video protocol, and what waits to be fetched of each."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backend.service.jobs import Job
from backend.tracks import Mask

TaskKey = tuple[str, str]
"""A project's id and a task's."""


@dataclass(frozen=True)
class Limits:
    """Bounds of the protocol.

    Attributes:
        patience: seconds that an answer may take, while media are fetched and models are loaded.
        window: frames that are encoded ahead of one request.
        frames: frames that are tracked in each direction.
        sessions: tracks that are under way, or of which something has not been fetched, at once.
        first_wait: seconds that a poll waits for something new.
        batch_wait: seconds that it waits for more of it.
        batch: frames that it returns.
        done_seconds: how long a track that is done can be polled.
        seconds: how long any track can.
        lost_frames: so many frames in a row without the object end its track.
        least_score: the object is not there where its score, from 0 to 1, is below.
        foreground: a mask that covers more than this part of the frame ends its track.
        waiting_bytes: of masks of one track that have not been fetched; more end it.
    """

    patience: float = 30.0
    window: int = 20
    frames: int = 300
    sessions: int = 8
    first_wait: float = 5.0
    batch_wait: float = 0.25
    batch: int = 32
    done_seconds: float = 300.0
    seconds: float = 1800.0
    lost_frames: int = 3
    least_score: float = 0.0
    foreground: float = 0.7
    waiting_bytes: int = 128 << 20


@dataclass(frozen=True)
class Told:
    """What is told of an object on a frame: ``mask`` is None where an earlier one no longer holds."""

    name: str
    frame: int
    mask: Mask | None


@dataclass(frozen=True)
class Batch:
    """What a poll returns: ``produced`` counts all masks so far, ``done`` says that there is nothing left to fetch."""

    told: list[Told]
    produced: int
    total: int
    done: bool
    error: str | None


class Session:
    """A track under way. One thread adds masks, others fetch them; each mask is fetched once.

    Attributes:
        id: 12 characters.
        task: whose it is.
        begun, ended: when, by the clock; ``ended`` is None meanwhile.
        total: masks that there will be if no object is lost.
        job: does the work.
        size: the frames' (height, width).
        timestamps: ``(N,)`` seconds of all frames.
    """

    def __init__(self, task: TaskKey, clock: Callable[[], float], waiting_bytes: int) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.task = task
        self.begun = clock()
        self.ended: float | None = None
        self.total = 0
        self.job: Job | None = None
        self.size = (0, 0)
        self.timestamps: npt.NDArray[np.float64] = np.zeros(0)
        self._clock = clock
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, int], Mask | None] = {}
        self._waiting_bytes = 0
        self._most_bytes = waiting_bytes
        self._fetched: set[tuple[str, int]] = set()
        self._error: str | None = None
        self._polled = False

    @property
    def live(self) -> bool:
        """Whether more may come."""
        return self.ended is None

    @property
    def resident(self) -> bool:
        """Whether it takes up room: more may come, or something has not been fetched."""
        return self.live or bool(self._waiting)

    def add(self, name: str, frame: int, mask: Mask | None) -> None:
        """A mask, or None where there is nothing: then what was said of the frame before is taken back."""
        key = name, frame
        with self._changed:
            if self.ended is not None:
                return
            if mask is None and key not in self._fetched:  # nobody has seen it yet
                self._take(key)
                return
            self._waiting_bytes += _bytes(mask) - _bytes(self._waiting.get(key))
            self._waiting[key] = mask
            self._changed.notify_all()
            if self._waiting_bytes > self._most_bytes:
                self.end("what was tracked is not fetched; track fewer objects or frames at a time")

    def end(self, error: str | None = None) -> None:
        """Nothing more will come."""
        with self._changed:
            if self.ended is None:
                self.ended = self._clock()
                self._error = error
                self._changed.notify_all()

    def fetch(self, limits: Limits) -> Batch:
        """What is new, after a wait for it; a second poll of the same track at once does not wait."""
        with self._changed:
            waits, self._polled = not self._polled, True
            try:
                if waits:
                    self._changed.wait_for(lambda: self._waiting or not self.live, limits.first_wait)
                    if self._waiting:
                        self._changed.wait_for(
                            lambda: len(self._waiting) >= limits.batch or not self.live, limits.batch_wait
                        )
            finally:
                if waits:
                    self._polled = False
            keys = list(self._waiting)[: limits.batch]
            told = [Told(*key, self._take(key)) for key in keys]
            self._fetched.update(keys)
            produced = len(self._fetched.union(self._waiting))
            done = not self.live and not self._waiting
            return Batch(told, produced, self.total, done, self._error if done else None)

    def _take(self, key: tuple[str, int]) -> Mask | None:
        """What waits, which does so no longer."""
        mask = self._waiting.pop(key, None)
        self._waiting_bytes -= _bytes(mask)
        return mask


class Sessions:
    """All of them, bounded in number and in time."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, task: TaskKey) -> Session | None:
        """A new one; None where there is no room."""
        with self._lock:
            self._expire()
            if sum(one.resident for one in self._sessions.values()) >= self._limits.sessions:
                return None
            session = Session(task, self._clock, self._limits.waiting_bytes)
            self._sessions[session.id] = session
            return session

    def find(self, task: TaskKey, session_id: object) -> Session | None:
        """A task's own."""
        with self._lock:
            self._expire()
            found = self._sessions.get(session_id) if isinstance(session_id, str) else None
            return found if found is not None and found.task == task else None

    def of(self, task: TaskKey | None = None) -> list[Session]:
        """Those of a task, or all."""
        with self._lock:
            return [one for one in self._sessions.values() if task is None or one.task == task]

    def drop(self, session: Session) -> None:
        """End one, and forget it."""
        session.end()
        with self._lock:
            self._sessions.pop(session.id, None)

    def count(self) -> tuple[int, int]:
        """How many are under way, and how many take up room."""
        with self._lock:
            sessions = list(self._sessions.values())
        return sum(one.live for one in sessions), sum(one.resident for one in sessions)

    def _expire(self) -> None:
        now = self._clock()
        for session in list(self._sessions.values()):
            since = now - session.begun if session.ended is None else now - session.ended
            if since >= (self._limits.seconds if session.ended is None else self._limits.done_seconds):
                session.end("the track took too long")
                del self._sessions[session.id]


def _bytes(mask: Mask | None) -> int:
    return 0 if mask is None else len(mask.counts)
