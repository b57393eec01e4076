"""What goes on keeps the media that it was given: nothing makes room on the disk that it needs still."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar


class Uses:
    """The files that a job, or a request, has in use until it is closed. Several threads may work at it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: set[Hashable] = set()
        self._stack = ExitStack()
        self._over = False

    def add(self, file: Hashable, use: Callable[[], AbstractContextManager[object]]) -> None:
        """Have a file in use from now on; nothing is done where it is already, or where all is over."""
        with self._lock:
            if file not in self._files and not self._over:
                self._stack.enter_context(use())
                self._files.add(file)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Media that are found meanwhile, on this thread, are in use."""
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    def close(self) -> None:
        """Nothing is in use any more, nor will be."""
        with self._lock:
            self._over = True
            self._files.clear()
            self._stack.close()


_active: ContextVar[Uses | None] = ContextVar("uses", default=None)


def active() -> Uses | None:
    """Whatever goes on on this thread; None where nobody said."""
    return _active.get()


@contextmanager
def media_in_use() -> Iterator[None]:
    """Media that are found inside, on this thread, are in use until its end."""
    uses = Uses()
    try:
        with uses.active():
            yield
    finally:
        uses.close()
