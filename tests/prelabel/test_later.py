"""One function that is called in time, by as few threads as can be."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from backend.prelabel.later import Wake, backoff
from support.fake_tracker import PATIENCE


@pytest.mark.parametrize(("failures", "wait"), [(0, 10), (1, 20), (3, 80), (9, 1800), (100_000, 1800)])
def test_waits_grow_and_have_an_end(failures: int, wait: float) -> None:
    assert backoff(10, failures, 1800) == wait


class Clock:
    """Stands still; alarms ring when told to."""

    def __init__(self) -> None:
        self.now = 5.0
        self.alarms: list[tuple[float, Callable[[], None]]] = []
        self.called: list[float] = []
        self.wake = Wake(lambda: self.called.append(self.now), lambda: self.now, self._set)

    def _set(self, seconds: float, ring: Callable[[], None]) -> None:
        self.alarms.append((self.now + seconds, ring))

    def ring(self) -> None:
        """The alarm that is next rings."""
        self.alarms.sort(key=lambda one: one[0])
        self.now, ring = self.alarms.pop(0)
        ring()


def test_what_comes_later_needs_no_alarm_of_its_own() -> None:
    clock = Clock()
    for due in (9.0, 9.0, 12.0, 7.0, 8.0):
        clock.wake.at(due)
    assert [due for due, _ in clock.alarms] == [9.0, 7.0]
    clock.ring()
    clock.wake.at(8.0)  # what the function asks for when it has seen what waits
    clock.ring()
    clock.ring()
    assert (clock.called, clock.alarms) == ([7.0, 8.0, 9.0], [])
    clock.wake.at(12.0)
    clock.ring()
    assert clock.called[-1] == 12.0


def test_what_is_due_is_called_at_once() -> None:
    called = threading.Event()
    Wake(called.set, lambda: 10.0).at(3.0)
    assert called.wait(PATIENCE)
