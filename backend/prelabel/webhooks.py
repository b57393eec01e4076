"""What Label Studio tells by itself: that somebody annotated, that tasks came, that a project is to be trained.

A webhook is acknowledged before anything is done; each may come twice, late, or not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backend.errors import KeytrackError, PayloadError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming
from backend.labelstudio.project import iter_tasks
from backend.prelabel.studio import number_of
from backend.service.jobs import Job, Jobs
from backend.service.payloads import Identifier, parse_body, parse_tasks, project_of

logger = logging.getLogger(__name__)

Consider = Callable[[object, str, str], None]
"""Of a task as Label Studio has it, its project, and the labeling configuration."""

ANNOTATED = "somebody annotated it meanwhile"
DELETED = "it was deleted meanwhile"


class _Project(Incoming):
    id: Identifier
    label_config: str | None = None


class _Task(Incoming):
    id: Identifier


class _Told(Incoming):
    project: _Project | None = None
    task: _Task | list[_Task] | None = None  # a list where several annotations were made of predictions at once
    tasks: list[Any] | None = None


class Webhooks:
    """What each event leads to.

    Args:
        jobs: beside whose worker tasks are considered.
        consider: has a task tracked without a press, if there is something to track it by.
        leave: has it left, and says why.
        outdated: has those of a project's tasks left that wait under another labeling configuration than this one;
            whether there were any.
        client: makes a client of a project's Label Studio; None where no token is known.
    """

    def __init__(
        self,
        jobs: Jobs,
        *,
        consider: Consider,
        leave: Callable[[str, str, str], None],
        outdated: Callable[[str, str], bool],
        client: Callable[[str], LabelStudioClient | None],
    ) -> None:
        self._jobs = jobs
        self._consider = consider
        self._leave = leave
        self._outdated = outdated
        self._client = client

    def handle(self, event: str, data: Mapping[str, Any]) -> bool:
        """Do what an event asks for; returns at once, and whether there was anything to do.

        Created or updated annotations, deleted tasks: such a task is not tracked without a press any more, nor is
        anything posted for it. New tasks, or the start of a training: those of them that can be tracked without a press
        are. A project with another labeling configuration: what waits is looked at anew. Everything else is nothing to
        do, and deleted annotations leave their tracks to those who press again.

        Each may come twice, or before one that it follows: what is posted is decided by the task as it is then.
        """
        try:
            told = parse_body(_Told, dict(data))
        except PayloadError as error:
            logger.warning("webhook %s: %s", event, error)
            return False
        project = told.project
        if project is None:
            return False
        number = project_of(project.id)
        if event in ("ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED") and told.task is not None:
            for annotated in told.task if isinstance(told.task, list) else [told.task]:
                self._leave(number, annotated.id, ANNOTATED)
            return True
        if event == "TASKS_DELETED" and told.tasks:
            for deleted in parse_tasks(told.tasks):
                self._leave(number, deleted.id, DELETED)
            return True
        if event == "TASKS_CREATED" and told.tasks and project.label_config:
            tasks, config = told.tasks, project.label_config
            new = _Considering(number, lambda: ((one, config) for one in tasks), self._consider)
            self._jobs.submit(f"new tasks of project {number}", new, idle=True)
            return True
        newer = project.label_config if event == "PROJECT_UPDATED" else None
        if event == "START_TRAINING" or (newer is not None and self._outdated(number, newer)):
            every = _Considering(number, lambda: self._all(number), self._consider)
            self._jobs.submit(f"the tasks of project {number}", every, [("training", number)], idle=True)
            return True
        return False

    def _all(self, project: str) -> Iterator[tuple[object, str]]:
        client = self._client(project)
        if client is None:
            logger.warning("project %s: its tasks cannot be read: no token is known", project)
            return
        try:
            found = client.get(f"/api/projects/{number_of(project)}")
            config = found.get("label_config") if isinstance(found, dict) else None
            if isinstance(config, str):
                yield from ((task, config) for task in iter_tasks(client, number_of(project)))
        finally:
            client.close()


class _Considering:
    """The work of looking at tasks: all of it beside the worker."""

    def __init__(self, project: str, tasks: Callable[[], Iterator[tuple[object, str]]], consider: Consider) -> None:
        self._project = project
        self._tasks = tasks
        self._consider = consider

    def prepare(self, job: Job) -> None:
        """Look at one after the other; one that is none is left out."""
        for task, config in self._tasks():
            if job.cancelled():
                return
            try:
                self._consider(task, self._project, config)
            except KeytrackError as error:
                logger.warning("a task of project %s is left out: %s", self._project, error)

    def steps(self, job: Job) -> Iterator[None]:
        """Nothing is left to do."""
        return iter(())
