"""A project's tasks, page by page."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from backend.errors import LabelStudioError, PayloadError
from backend.labelstudio import project
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.project import iter_tasks, read_label_config, read_task
from support.http import Answer, Asked, web_server


def server(pages: dict[int, dict]):
    def serve(asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        assert query["project"] == ["3"] and query["fields"] == ["all"]
        page = pages.get(int(query["page"][0]))
        return Answer(404, b'{"detail": "Invalid page."}') if page is None else Answer(200, json.dumps(page).encode())

    return web_server({"/api/tasks": serve, "/api/projects/3": Answer(200, b'{"label_config": "<View/>"}')})


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(project, "PAGE_SIZE", 2)


def test_all_pages_each_task_once(small_pages):
    """A task that came in meanwhile pushes another one to the next page."""
    pages = {
        1: {"total": 5, "tasks": [{"id": 1}, {"id": 2}]},
        2: {"total": 5, "tasks": [{"id": 2}, {"id": 3}]},
        3: {"total": 5, "tasks": [{"id": 4}]},
    }
    with server(pages) as site:
        client = LabelStudioClient(site.url, "token")
        assert [task["id"] for task in iter_tasks(client, 3)] == [1, 2, 3, 4]
        assert read_label_config(client, 3) == "<View/>"
        assert len(site.requests("/api/tasks")) == 3


def test_it_stops_on_demand(small_pages):
    with server({1: {"total": 5, "tasks": [{"id": 1}, {"id": 2}]}}) as site:
        answers = iter([False, True])
        found = list(iter_tasks(LabelStudioClient(site.url, "token"), 3, lambda: next(answers)))
        assert [task["id"] for task in found] == [1, 2]


def test_tasks_that_went_away_are_an_error(small_pages):
    pages = {1: {"total": 9, "tasks": [{"id": 1}, {"id": 2}]}, 2: {"total": 9, "tasks": []}}
    with server(pages) as site, pytest.raises(LabelStudioError, match="changed while they were read"):
        list(iter_tasks(LabelStudioClient(site.url, "token"), 3))


def test_what_is_no_label_studio_is_refused():
    with server({1: {"count": 3}}) as site, pytest.raises(PayloadError, match=r"tasks of project 3\.tasks: Field"):
        list(iter_tasks(LabelStudioClient(site.url, "token"), 3))


def test_tasks_without_what_was_said_of_them():
    page = Answer(200, json.dumps({"total": 1, "tasks": [{"id": 1}]}).encode())
    with web_server({"/api/tasks": page}) as site:
        assert list(iter_tasks(LabelStudioClient(site.url, "token"), 3, whole=False)) == [{"id": 1}]
        assert "fields" not in parse_qs(urlsplit(site.asked[0].path).query)


def test_one_task_as_it_is_now():
    def serve(asked: Asked) -> Answer:
        query = parse_qs(urlsplit(asked.path).query)
        (number,) = json.loads(query["query"][0])["selectedItems"]["included"]
        found = [{"id": 5, "annotations": []}] if number == 5 and query["fields"] == ["all"] else []
        return Answer(200, json.dumps({"total": len(found), "tasks": found}).encode())

    with web_server({"/api/tasks": serve}) as site:
        client = LabelStudioClient(site.url, "token")
        assert read_task(client, 3, 5) == {"id": 5, "annotations": []}
        assert read_task(client, 3, 6) is None
