"""How many requests are being answered: a server that ends lets them have their answers first."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class Answering:
    """A WSGI application around another one; any number of threads may call it.

    Args:
        app: the other one.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app
        self._count = 0
        self._changed = threading.Condition()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """What the other application answers; until the server has closed that, it counts."""
        with self._changed:
            self._count += 1
        try:
            return ClosingIterator(self._app(environ, start_response), self._answered)
        except BaseException:
            self._answered()
            raise

    def wait(self, seconds: float) -> bool:
        """Wait until no request is being answered, so many seconds at most; whether that came about."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._count, seconds)

    def _answered(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()
