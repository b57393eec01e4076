"""A server that ends lets those have their answers whom it is answering."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from werkzeug.test import Client
from werkzeug.wrappers import Response

from backend.service.answering import Answering
from support.fake_tracker import PATIENCE
from support.service import Background


def test_it_is_waited_for_until_the_answer_has_been_made() -> None:
    asked, go_on = threading.Event(), threading.Event()

    def slow(environ: Any, start_response: Any) -> Iterable[bytes]:
        asked.set()
        assert go_on.wait(PATIENCE)
        return Response("done")(environ, start_response)

    app = Answering(slow)
    assert app.wait(0)
    reply = Background(lambda: Client(app).get("/"))
    assert asked.wait(PATIENCE)
    assert not app.wait(0)
    go_on.set()
    assert reply.result().text == "done"
    reply.result().close()  # as a server does it, when all is sent
    assert app.wait(0)


def test_one_that_is_sent_in_pieces_counts_until_the_last() -> None:
    def pieces(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        return iter([b"a", b"b"])

    app = Answering(pieces)
    reply = Client(app).get("/", buffered=False)
    assert not app.wait(0)
    assert reply.data == b"ab"
    reply.close()
    assert app.wait(0)


def test_one_that_fails_is_over() -> None:
    def broken(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("broken")

    app = Answering(broken)
    with pytest.raises(RuntimeError, match="broken"):
        Client(app).get("/")
    assert app.wait(0)
