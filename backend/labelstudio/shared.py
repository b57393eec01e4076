"""Things that several threads share for as long as one of them needs them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")


class Shared(Generic[Key, Thing]):
    """Things by name. Each is made when somebody needs it, and forgotten when nobody does any more.

    Args:
        make: makes one.
    """

    def __init__(self, make: Callable[[], Thing]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._things: dict[Key, tuple[Thing, int]] = {}

    def __len__(self) -> int:
        return len(self._things)

    @contextmanager
    def use(self, key: Key) -> Iterator[Thing]:
        """The thing of a name, the same for all who use it at a time."""
        with self._lock:
            thing, users = self._things.get(key) or (self._make(), 0)
            self._things[key] = thing, users + 1
        try:
            yield thing
        finally:
            with self._lock:
                _, users = self._things.pop(key)
                if users > 1:
                    self._things[key] = thing, users - 1
