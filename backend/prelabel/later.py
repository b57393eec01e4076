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
