"""What people are told of a failure."""

from __future__ import annotations

import gc
import sys

from backend.errors import KeytrackError
from backend.memory import ran_out

_UNEXPECTED = "an internal error; the log of the backend has the details. Try it again"
_NO_MEMORY = (
    "there was not enough memory, on the device or on the machine; try again when less is at work, or run the backend "
    "with a smaller --embedding-cache-bytes"
)


def reason(error: Exception) -> str:
    """Why something was not done, in words for those who asked for it."""
    if isinstance(error, KeytrackError):
        return str(error)
    return _NO_MEMORY if ran_out(error) else _UNEXPECTED


def relieve(error: Exception) -> None:
    """Where ``error`` says that memory ran out, give back what torch keeps of the device's for the next time."""
    torch = sys.modules.get("torch")
    if torch is not None and ran_out(error) and torch.cuda.is_available():
        gc.collect()
        torch.cuda.empty_cache()
