"""The part of Label Studio's API that imports of cut videos need, in memory."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.formparser import parse_form_data

from support.http import Answer, Asked, WebServer, web_server

TOKEN = "f00d"
PROJECT = 3


@dataclass
class FramesStudio:
    """Project 3, or any other once it is created; ``uploads`` are the names and contents of files by their number,
    ``batches`` how many came in each request, ``storages`` the project's, ``served`` the local files by their
    ``d``, ``refuses`` the status that calls such as ``POST /api/tasks`` are answered with, ``deleted`` what was."""

    site: WebServer
    label_config: str
    title: str = "A project"
    uploads: dict[int, tuple[str, bytes]] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    storages: list[dict[str, Any]] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    deleted: list[int] = field(default_factory=list)
    served: dict[str, bytes] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.site.url

    @property
    def arguments(self) -> list[str]:
        return ["--label-studio-url", self.url, "--label-studio-token", TOKEN]

    def _project(self, asked: Asked) -> Any:
        if asked.method == "DELETE":
            self.deleted.append(PROJECT)
        return {"id": PROJECT, "label_config": self.label_config}

    def _projects(self, asked: Asked) -> Any:
        if asked.method == "GET":
            return {"results": [{"id": PROJECT, "title": self.title}]}
        made = json.loads(asked.body)
        self.title, self.label_config = made["title"], made["label_config"]
        return {"id": PROJECT, **made}

    def _import(self, asked: Asked) -> Any:
        if asked.headers["Content-Type"].startswith("application/json"):
            self.tasks += json.loads(asked.body)
            return {"task_count": 1, "task_ids": [len(self.tasks)]}
        environ = {
            "wsgi.input": io.BytesIO(asked.body),
            "CONTENT_LENGTH": str(len(asked.body)),
            "CONTENT_TYPE": asked.headers["Content-Type"],
            "REQUEST_METHOD": "POST",
        }
        files = list(parse_form_data(environ)[2].values())  # as in Label Studio: one of each field
        numbers = range(len(self.uploads) + 1, len(self.uploads) + len(files) + 1)
        self.uploads |= {n: (file.filename, file.read()) for n, file in zip(numbers, files, strict=True)}
        self.batches.append(len(files))
        return {"file_upload_ids": list(numbers), "task_count": 0}

    def _uploads(self, asked: Asked) -> Any:
        if asked.method == "DELETE":
            for number in json.loads(asked.body)["file_upload_ids"]:
                del self.uploads[number]
            return {}
        ids = json.loads(parse_qs(urlsplit(asked.path).query)["ids"][0])
        known = [number for number in reversed(ids) if number in self.uploads]
        return [{"id": n, "file": f"upload/{PROJECT}/{n:08x}-{self.uploads[n][0]}", "size": 1} for n in known]

    def _tasks(self, asked: Asked) -> Any:
        query = json.loads(parse_qs(urlsplit(asked.path).query)["query"][0])
        wanted = query["filters"]["items"][0]["value"]
        found = [{"id": n, **task} for n, task in enumerate(self.tasks, start=1) if task["data"]["cut"] == wanted]
        return {"tasks": found, "total": len(found)}

    def _storages(self, asked: Asked) -> Any:
        if asked.method == "POST":
            self.storages.append(json.loads(asked.body))
        return self.storages

    def _local_files(self, asked: Asked) -> Answer:
        body = self.served.get(parse_qs(urlsplit(asked.path).query)["d"][0])
        return Answer(404) if body is None else Answer(200, body)

    def routes(self) -> dict[str, Any]:
        project = f"/api/projects/{PROJECT}"
        answering = {
            "/api/projects": self._projects,
            project: self._project,
            f"{project}/import": self._import,
            f"{project}/file-uploads": self._uploads,
            "/api/tasks": self._tasks,
            "/api/storages/localfiles": self._storages,
        }
        routes = {path: self._json(path, answer) for path, answer in answering.items()}
        return {**routes, "/data/local-files/": self._local_files}

    def _json(self, path: str, answer: Any) -> Any:
        def route(asked: Asked) -> Answer:
            if asked.headers.get("Authorization") != f"Token {TOKEN}":
                return Answer(401, b'{"detail": "no"}')
            refused = self.refuses.get(f"{asked.method} {path}")
            if refused is not None:
                return Answer(refused, b'{"detail": "refused"}')
            return Answer(200 if asked.method != "POST" else 201, json.dumps(answer(asked)).encode())

        return route


@contextmanager
def frames_studio(label_config: str) -> Iterator[FramesStudio]:
    with web_server() as site:
        studio = FramesStudio(site, label_config)
        site.routes |= studio.routes()
        yield studio
