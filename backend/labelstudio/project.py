"""A project's configuration and tasks through Label Studio's API."""

from __future__ import annotations

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
    client: LabelStudioClient, project: int, cancelled: Callable[[], bool] = lambda: False
) -> Iterator[dict[str, Any]]:
    """All tasks with their annotations and predictions, each once, a page at a time.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or tasks went away meanwhile.
        PayloadError: the answer is not what Label Studio's is.
    """
    seen: set[object] = set()
    page = 1
    while not cancelled():
        answer = client.get("/api/tasks", project=project, fields="all", page=page, page_size=PAGE_SIZE)
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
