"""What is to be done after a while."""

from __future__ import annotations

import threading
from collections.abc import Callable

Alarm = Callable[[float, Callable[[], None]], None]
"""Calls a function after so many seconds, on a thread of its own."""


def call_later(seconds: float, function: Callable[[], None]) -> None:
    """Call a function after a while, on a thread that nobody waits for."""
    timer = threading.Timer(seconds, function)
    timer.daemon = True
    timer.start()


def backoff(first: float, failures: int, longest: float) -> float:
    """Seconds to wait after so many failures beside the one that was just met: doubled each time, up to the longest,
    for months too."""
    return min(first * 2.0 ** min(failures, 64), longest)


class Wake:
    """Calls a function that looks for what is due, does that, and asks to be called again when the next thing is.

    So one call that comes early enough is enough, and a thread more waits only where an earlier time is asked for.

    Args:
        function: what is called.
        clock: in seconds; one that nobody sets, since a clock on the wall may jump.
        alarm: see :data:`Alarm`.
    """

    def __init__(self, function: Callable[[], None], clock: Callable[[], float], alarm: Alarm = call_later) -> None:
        self._function = function
        self._clock = clock
        self._alarm = alarm
        self._lock = threading.Lock()
        self._asked: set[float] = set()

    def at(self, due: float) -> None:
        """Call the function at a time of the clock, unless it is called before that anyway."""
        with self._lock:
            if any(other <= due for other in self._asked):
                return
            self._asked.add(due)
        self._alarm(max(0.0, due - self._clock()), lambda: self._ring(due))

    def _ring(self, due: float) -> None:
        with self._lock:
            self._asked.discard(due)
        self._function()
