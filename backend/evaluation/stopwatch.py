"""Where the time goes: a wall-clock time split into stages that exclude one another.

A stage within a stage takes its time from it, so that the stages of a thread add up to that thread's time. What other
threads do in stages overlaps with that and is counted apart.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

REST = "rest"
"""What lies in no stage."""


@dataclass
class _Lane:
    """One thread's stages, the innermost last, and the time up to which all is accounted for."""

    stages: list[str] = field(default_factory=list)
    settled: float = 0.0


class Stopwatch:
    """Times one piece of work: a context manager, entered once, by the thread that does the work.

    Attributes:
        wall: seconds from entering to leaving.
        own: seconds by stage of that thread; they add up to ``wall``.
        beside: seconds by stage of all other threads together.
    """

    def __init__(
        self, now: Callable[[], float] = time.perf_counter, synchronise: Callable[[], None] = lambda: None
    ) -> None:
        """
        Args:
            now: a clock, in seconds.
            synchronise: waits for a device that works asynchronously; called before the clock is read wherever a
                stage of the entering thread, which drives the device, begins or ends.
        """
        self.wall = 0.0
        self.own: defaultdict[str, float] = defaultdict(float)
        self.beside: defaultdict[str, float] = defaultdict(float)
        self._now = now
        self._synchronise = synchronise
        self._between = REST
        self._owner = _Lane()
        self._owner_thread: int | None = None
        self._others = threading.local()
        self._lock = threading.Lock()

    def __enter__(self) -> Stopwatch:
        if self._owner_thread is not None:
            raise RuntimeError("a stopwatch is entered once")
        self._owner_thread = threading.get_ident()
        self._synchronise()
        self._started = self._owner.settled = self._now()
        return self

    def __exit__(self, *exception: object) -> None:
        self._settle(self._owner)
        self.wall = self._owner.settled - self._started

    @contextmanager
    def stage(self, name: str, then: str | None = None) -> Iterator[None]:
        """Time a block of the calling thread as the stage ``name``.

        Args:
            name: of the stage; one that is entered again goes on adding up.
            then: what the entering thread's time outside of any stage counts as from the end of the block on, until
                another stage says otherwise. It is for what cannot be put into a block from outside.
        """
        lane = self._lane()
        self._settle(lane)
        lane.stages.append(name)
        try:
            yield
        finally:
            self._settle(lane)
            lane.stages.pop()
            if then is not None and lane is self._owner:
                self._between = then

    def _lane(self) -> _Lane:
        if threading.get_ident() == self._owner_thread:
            return self._owner
        if not hasattr(self._others, "lane"):
            self._others.lane = _Lane()
        lane: _Lane = self._others.lane
        return lane

    def _settle(self, lane: _Lane) -> None:
        """Account for the lane's time since the last border."""
        if lane is self._owner:
            self._synchronise()
        now = self._now()
        passed, lane.settled = now - lane.settled, now
        if lane is self._owner:
            self.own[lane.stages[-1] if lane.stages else self._between] += passed
        elif lane.stages:
            with self._lock:
                self.beside[lane.stages[-1]] += passed
