"""What Label Studio tells by itself: that somebody annotated, that tasks came, that a project is to be trained.

A webhook is acknowledged before anything is done; each may come twice, late, or not at all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from backend.errors import BusyError, KeytrackError, NotLabelStudioError, PayloadError, UnavailableError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming
from backend.labelstudio.project import iter_tasks
from backend.prelabel.later import Wake, backoff
from backend.prelabel.passing import is_passing
from backend.prelabel.studio import number_of
from backend.service.failures import reason
from backend.service.jobs import Job, Jobs
from backend.service.payloads import Identifier, parse_body, parse_tasks, project_of

logger = logging.getLogger(__name__)

Consider = Callable[[object, str, str], None]
"""Of a task as Label Studio has it, its project, and the labeling configuration."""

ANNOTATED = "somebody annotated it meanwhile"
DELETED = "it was deleted meanwhile"
# Seconds after which a project's tasks that could not be read are read again: doubled each time, up to the longest.
FIRST_WAIT = 10.0
LONGEST_WAIT = 1800.0


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
        outdated: has those of a project's tasks have no turn that wait under another labeling configuration than this
            one; whether there are any.
        considered: told of a project when all its tasks were considered, or why they cannot be.
        client: makes a client of a project's Label Studio; None where no token is known.
    """

    def __init__(
        self,
        jobs: Jobs,
        *,
        consider: Consider,
        leave: Callable[[str, str, str], None],
        outdated: Callable[[str, str], bool],
        considered: Callable[[str, str], None],
        client: Callable[[str], LabelStudioClient | None],
    ) -> None:
        self._jobs = jobs
        self._consider = consider
        self._leave = leave
        self._outdated = outdated
        self._considered = considered
        self._client = client
        self._lock = threading.Lock()
        self._due: dict[str, tuple[float, int]] = {}  # when a project is looked at again, and how often that failed
        self._wake = Wake(self._next, time.monotonic)

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
            self._look(number)
            return True
        return False

    def _look(self, project: str, failures: int = 0) -> None:
        """Consider all tasks of a project; again after a while where Label Studio, or this service, cannot now."""
        with self._lock:
            self._due.pop(project, None)
        ended = partial(self._looked, project, failures)
        every = _Considering(project, lambda: self._all(project), self._consider, ended)
        try:
            self._jobs.submit(f"the tasks of project {project}", every, [("training", project)], idle=True)
        except BusyError as error:
            ended(error)

    def _looked(self, project: str, failures: int, error: Exception | None) -> None:
        if error is None or not (is_passing(error) or isinstance(error, NotLabelStudioError)):
            self._considered(project, "" if error is None else reason(error))
            return
        wait = backoff(FIRST_WAIT, failures, LONGEST_WAIT)
        logger.warning("the tasks of project %s cannot be read now: %s; tried again in %g s", project, error, wait)
        due = time.monotonic() + wait
        with self._lock:
            self._due[project] = due, failures + 1
        self._wake.at(due)

    def _next(self) -> None:
        """Look at those projects whose time it is."""
        now = time.monotonic()
        with self._lock:
            found = [(project, failures) for project, (due, failures) in self._due.items() if due <= now]
            later = min((due for due, _ in self._due.values() if due > now), default=None)
        for project, failures in found:
            try:
                self._look(project, failures)
            except UnavailableError:  # the service is stopping
                return
        if later is not None:
            self._wake.at(later)

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
    """The work of looking at tasks: all of it beside the worker. ``ended`` is told when they were looked at, or what
    kept them from it; not where it was cancelled."""

    def __init__(
        self,
        project: str,
        tasks: Callable[[], Iterator[tuple[object, str]]],
        consider: Consider,
        ended: Callable[[Exception | None], None] = lambda error: None,
    ) -> None:
        self._project = project
        self._tasks = tasks
        self._consider = consider
        self._ended = ended

    def prepare(self, job: Job) -> None:
        """Look at one after the other; one that is none is left out."""
        try:
            self._look(job)
        except Exception as error:
            if not job.cancelled():
                self._ended(error)
            raise
        if not job.cancelled():
            self._ended(None)

    def _look(self, job: Job) -> None:
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
