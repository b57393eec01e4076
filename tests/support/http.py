"""A web server for tests: loopback, one thread a request, answers from a table, remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # declared, where it differs from what is sent


Route = Answer | Callable[[Asked], Answer]


@dataclass
class WebServer:
    """``routes`` maps a path (without query) to an answer, or to a function that makes one."""

    url: str
    routes: dict[str, Route] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def requests(self, path: str) -> list[Asked]:
        return [request for request in self.asked if request.path.partition("?")[0] == path]


@contextmanager
def web_server(routes: dict[str, Route] | None = None) -> Iterator[WebServer]:
    site: WebServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(self.command, self.path, dict(self.headers), body)
            site.asked.append(asked)
            route = site.routes.get(self.path.partition("?")[0], Answer(404, b"not here"))
            answer = route(asked) if callable(route) else route
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            self.wfile.write(answer.body)

        do_POST = do_PATCH = do_DELETE = do_GET

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = WebServer(f"http://127.0.0.1:{server.server_address[1]}", dict(routes or {}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
