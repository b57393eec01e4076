"""The part of Label Studio's API that predictions need, in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http import Answer, Asked, WebServer, web_server

TOKEN = "f00d"


@dataclass
class FakeStudio:
    """``predictions`` are all that were made, by their number; ``tasks`` what a list of the project's tasks has. A task
    that is asked for by its number is there in any case, with nothing in it, unless it is ``gone``. ``refuses`` is what
    every call is answered with: a status, or an answer."""

    site: WebServer
    label_config: str = ""
    tasks: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    refuses: int | Answer | None = None
    made: int = 100

    @property
    def url(self) -> str:
        return self.site.url

    def of(self, task: int) -> list[dict[str, Any]]:
        return [one for one in self.predictions.values() if one["task"] == task]

    def writes(self) -> list[str]:
        """The methods of all requests that change something, in their order."""
        return [asked.method for asked in self.site.asked if asked.method != "GET"]

    def add(self, task: int, **prediction: Any) -> int:
        """A prediction, as if somebody had posted it."""
        self.made += 1
        self.predictions[self.made] = {"id": self.made, "task": task, "result": [], **prediction}
        self.site.routes[f"/api/predictions/{self.made}"] = self._guarded(self._prediction)
        return self.made

    def _guarded(self, route: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
        def answer(asked: Asked) -> Answer:
            if self.refuses is not None:
                return self.refuses if isinstance(self.refuses, Answer) else Answer(self.refuses, b'{"detail": "no"}')
            if asked.headers.get("Authorization") != f"Token {TOKEN}":
                return Answer(401, b'{"detail": "Invalid token."}')
            return route(asked)

        return answer

    def _predictions(self, asked: Asked) -> Answer:
        if asked.method == "POST":
            self.add(**json.loads(asked.body))
            return Answer(201, json.dumps(self.predictions[self.made]).encode())
        task = int(parse_qs(urlsplit(asked.path).query)["task"][0])
        return Answer(200, json.dumps(self.of(task)).encode())

    def _prediction(self, asked: Asked) -> Answer:
        number = int(asked.path.rpartition("/")[2])
        if number not in self.predictions:
            return Answer(404, b'{"detail": "Not found."}')
        if asked.method == "PATCH":
            self.predictions[number] |= json.loads(asked.body)
            return Answer(200, json.dumps(self.predictions[number]).encode())
        assert asked.method == "DELETE"
        del self.predictions[number]
        return Answer(204)

    def _tasks(self, asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        whole = query.get("fields") == ["all"]
        known = {task["id"]: task for task in self.tasks}
        chosen = json.loads(query["query"][0])["selectedItems"]["included"] if "query" in query else list(known)
        bare: dict[str, Any] = {"data": {}, "annotations": [], "predictions": [], "drafts": []}
        found = [known.get(number) or {"id": number, **bare} for number in chosen if number not in self.gone]
        tasks = [
            {**task, "predictions": [*task["predictions"], *self.of(task["id"])]}
            if whole
            else {"id": task["id"], "data": task["data"]}
            for task in found
        ]
        return Answer(200, json.dumps({"tasks": tasks, "total": len(tasks)}).encode())

    def _project(self, asked: Asked) -> Answer:
        return Answer(200, json.dumps({"id": 1, "label_config": self.label_config}).encode())


@contextmanager
def fake_studio() -> Iterator[FakeStudio]:
    with web_server() as site:
        studio = FakeStudio(site)
        site.routes |= {
            "/api/predictions": studio._guarded(studio._predictions),
            "/api/tasks": studio._guarded(studio._tasks),
            "/api/projects/1": studio._guarded(studio._project),
        }
        yield studio
