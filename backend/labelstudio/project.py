"""A project's configuration and tasks through Label Studio's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, parse

PAGE_SIZE = 50


class ProjectItem(Incoming):
    """What is needed of a project."""

    label_config: str


class TaskPage(Incoming):
    """A page of a project's tasks; ``total`` counts all."""

    tasks: list[Any]
    total: int


def read_label_config(client: LabelStudioClient, project: int) -> str:
    """The project's labeling configuration.

    Raises:
        LabelStudioError: there is no such project, or Label Studio cannot be reached.
        PayloadError: the answer is not what Label Studio's is.
    """
    return parse(ProjectItem, client.get(f"/api/projects/{project}"), f"project {project}").label_config


def iter_tasks(
    client: LabelStudioClient, project: int, cancelled: Callable[[], bool] = lambda: False, *, whole: bool = True
) -> Iterator[dict[str, Any]]:
    """All tasks, each once, a page at a time.

    Args:
        client: of Label Studio.
        project: its number.
        cancelled: asked between pages; True ends it.
        whole: with their annotations, predictions and drafts.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or tasks went away meanwhile.
        PayloadError: the answer is not what Label Studio's is.
    """
    seen: set[object] = set()
    fields = {"fields": "all"} if whole else {}
    page = 1
    while not cancelled():
        answer = client.get("/api/tasks", project=project, page=page, page_size=PAGE_SIZE, **fields)
        found = parse(TaskPage, answer, f"tasks of project {project}")
        for task in found.tasks:
            if isinstance(task, dict) and task.get("id") not in seen:
                seen.add(task.get("id"))
                yield task
        if page * PAGE_SIZE >= found.total:
            return
        if not found.tasks:
            raise LabelStudioError(f"project {project}: its tasks changed while they were read; start again")
        page += 1


def read_task(client: LabelStudioClient, project: int, task: int) -> dict[str, Any] | None:
    """One task with its annotations, predictions and drafts as they are now; None where the project has none of that
    number.

    Raises:
        LabelStudioError: Label Studio cannot be reached.
        PayloadError: the answer is not what Label Studio's is.
    """
    # Not from /api/tasks/<id>, which is what opening a task calls: it asks the project's model for predictions first.
    query = json.dumps({"selectedItems": {"all": False, "included": [task]}})
    answer = client.get("/api/tasks", project=project, page=1, page_size=1, fields="all", query=query)
    found = parse(TaskPage, answer, f"task {task} of project {project}").tasks
    return next((item for item in found if isinstance(item, dict) and item.get("id") == task), None)
