"""Encodings kept for the next track of the same video, within a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Protocol, TypeVar


class Held(Protocol):
    """An encoding of any encoder."""

    @property
    def nbytes(self) -> int:
        """Bytes that its tensors hold."""


Made = TypeVar("Made", bound=Held)


class EncodingCache:
    """The encodings last used, as many as fit; safe to share between threads.

    Args:
        budget: bytes; one encoding that is larger alone is not kept.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._held: OrderedDict[Hashable, Any] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._bytes

    def get(self, key: Hashable, encode: Callable[[], Made]) -> Made:
        """The encoding under ``key``, made by ``encode`` where it is not held. A key belongs to one encoder."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                held: Made = self._held[key]
                return held
        encoding = encode()
        with self._lock:
            if key not in self._held and encoding.nbytes <= self._budget:
                self._held[key] = encoding
                self._bytes += encoding.nbytes
                while self._bytes > self._budget:
                    _, dropped = self._held.popitem(last=False)
                    self._bytes -= dropped.nbytes
        return encoding

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._held

    def drop(self, condition: Callable[[Hashable], bool]) -> None:
        """Let go of the encodings under the keys that meet a condition."""
        with self._lock:
            for key in [key for key in self._held if condition(key)]:
                self._bytes -= self._held.pop(key).nbytes
