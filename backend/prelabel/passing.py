"""Which failures may pass by themselves, so that the same is worth another try."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from backend.errors import KeytrackError
from backend.memory import ran_out

FIRST_WAIT = 2.0
TRIES = 6  # in all a minute
_NAP = 0.25

Result = TypeVar("Result")


def is_passing(error: BaseException) -> bool:
    """Whether a failure may pass: something could not be reached, was busy, or had no memory left. A video that is not
    there or cannot be read stays so, and so does a fault."""
    if isinstance(error, KeytrackError):
        return error.passing
    return ran_out(error) or isinstance(error, ConnectionError | TimeoutError | sqlite3.OperationalError)


def patiently(
    call: Callable[[], Result],
    *,
    cancelled: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Call, and where that fails and may pass, again after a while that doubles.

    Args:
        call: what to do; to be done again it must not mind that it may have been done.
        cancelled: asked while waiting; True ends it with the failure.
        sleep: waits so many seconds.

    Raises:
        Exception: what the last call raised.
    """
    wait = FIRST_WAIT
    for _ in range(TRIES - 1):
        try:
            return call()
        except Exception as error:
            if not is_passing(error) or not _doze(wait, cancelled, sleep):
                raise
        wait *= 2
    return call()


def _doze(seconds: float, cancelled: Callable[[], bool], sleep: Callable[[float], None]) -> bool:
    """Wait; False where that was cancelled."""
    for _ in range(round(seconds / _NAP)):
        if cancelled():
            return False
        sleep(_NAP)
    return True
