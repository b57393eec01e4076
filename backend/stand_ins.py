"""Stand-ins for what training leaves in a checkpoint beside its tensors, so that these are read and it is not run.

mmengine keeps the course of training there: objects of its own, which hold NumPy arrays and methods. torch refuses a
file that names any of them; with stand-ins it makes objects of these instead, which drop what they are given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

_NAMES = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",  # how a method is named
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",  # of NumPy 2
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
)

# torch's list of what may be read is the whole process's.
_reading = Lock()


class _Dropped:
    """Takes whatever it is made of, and keeps nothing."""

    def __new__(cls, *_: Any) -> _Dropped:
        return object.__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


@contextmanager
def stand_ins() -> Iterator[None]:
    """Within this, ``torch.load(weights_only=True)`` reads files of mmengine's training too."""
    import torch

    with _reading, torch.serialization.safe_globals([_stand_in(name) for name in _NAMES]):
        yield


def _stand_in(full_name: str) -> type[_Dropped]:
    module, _, name = full_name.rpartition(".")
    return type(name, (_Dropped,), {"__module__": module})
