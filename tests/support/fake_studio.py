"""The part of Label Studio's API that predictions need, in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from support.http import Answer, Asked, WebServer, web_server

TOKEN = "f00d"


@dataclass
class FakeStudio:
    """``predictions`` are all that were made, by their number; ``tasks`` what the project has; ``refuses`` is a status
    that every call is answered with."""

    site: WebServer
    label_config: str = ""
    tasks: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[int, dict[str, Any]] = field(default_factory=dict)
    refuses: int | None = None
    made: int = 100

    @property
    def url(self) -> str:
        return self.site.url

    def of(self, task: int) -> list[dict[str, Any]]:
        return [one for one in self.predictions.values() if one["task"] == task]

    def add(self, task: int, **prediction: Any) -> int:
        """A prediction, as if somebody had posted it."""
        self.made += 1
        self.predictions[self.made] = {"id": self.made, "task": task, "result": [], **prediction}
        self.site.routes[f"/api/predictions/{self.made}"] = self._delete
        return self.made

    def _predictions(self, asked: Asked) -> Answer:
        if self.refuses is not None or asked.headers.get("Authorization") != f"Token {TOKEN}":
            return Answer(self.refuses or 401, b'{"detail": "no"}')
        if asked.method == "POST":
            self.add(**json.loads(asked.body))
            return Answer(201, json.dumps(self.predictions[self.made]).encode())
        task = int(parse_qs(urlsplit(asked.path).query)["task"][0])
        return Answer(200, json.dumps(self.of(task)).encode())

    def _delete(self, asked: Asked) -> Answer:
        assert asked.method == "DELETE"
        del self.predictions[int(asked.path.rpartition("/")[2])]
        return Answer(204)

    def _tasks(self, asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        whole = query.get("fields") == ["all"]
        chosen = json.loads(query["query"][0])["selectedItems"]["included"] if "query" in query else None
        tasks = [
            {**task, "predictions": [*task["predictions"], *self.of(task["id"])]}
            if whole
            else {"id": task["id"], "data": task["data"]}
            for task in self.tasks
            if chosen is None or task["id"] in chosen
        ]
        return Answer(200, json.dumps({"tasks": tasks, "total": len(tasks)}).encode())

    def _project(self, asked: Asked) -> Answer:
        return Answer(200, json.dumps({"id": 1, "label_config": self.label_config}).encode())


@contextmanager
def fake_studio() -> Iterator[FakeStudio]:
    with web_server() as site:
        studio = FakeStudio(site)
        site.routes |= {
            "/api/predictions": studio._predictions,
            "/api/tasks": studio._tasks,
            "/api/projects/1": studio._project,
        }
        yield studio
