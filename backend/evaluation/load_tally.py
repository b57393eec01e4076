"""What all annotators of a load test met with, counted together."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from backend.evaluation.load_checks import Wrong

EXAMPLES = 20


class Tally:
    """Counts from any thread.

    Attributes:
        seconds: of each press that was answered.
        opened: tasks.
        busy: regions that were told that the service is busy.
        finished: tracks that came back complete, each time that they did after a change.
        frames: of those, summed up.
        errors: by kind, what is neither an answer nor "busy".
        wrong: answers' mistakes, by kind.
        examples: the first of them, in words.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.opened = 0
        self.busy = 0
        self.finished = 0
        self.frames = 0
        self.errors: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.examples: list[str] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """A task was opened."""
        with self._lock:
            self.opened += 1

    def press(self, seconds: float) -> None:
        """A press was answered."""
        with self._lock:
            self.seconds.append(seconds)

    def finish(self, frames: int) -> None:
        """A track of so many frames is complete."""
        with self._lock:
            self.finished += 1
            self.frames += frames

    def refuse(self) -> None:
        """A region was not tracked because the service is busy."""
        with self._lock:
            self.busy += 1

    def fail(self, kind: str) -> None:
        """Something went wrong."""
        with self._lock:
            self.errors[kind] += 1

    def mistake(self, where: str, wrong: Sequence[Wrong]) -> None:
        """An answer is not what it should be."""
        with self._lock:
            for kind, detail in wrong:
                self.wrong[kind] += 1
                if len(self.examples) < EXAMPLES:
                    self.examples.append(f"{where}: {kind}: {detail}")
