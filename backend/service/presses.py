"""Presses whose tracks were not complete when they were answered: after a restart they are taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend.service.database import Database


@dataclass(frozen=True)
class KeptPress:
    """A press as it came: the task's data, the regions of one class, and the labeling configuration."""

    project: str
    task: str
    label: str
    data: dict[str, Any]
    result: list[Any]
    label_config: str


class Presses:
    """The store's presses: the last one on each class of each task.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, press: KeptPress) -> None:
        """Keep a press, in place of the one before it."""
        row = press.project, press.task, press.label
        body = json.dumps([press.data, press.result, press.label_config])
        with self._database.transaction() as db:
            db.execute("INSERT OR REPLACE INTO presses (project, task, label, body) VALUES (?, ?, ?, ?)", (*row, body))

    def drop(self, press: KeptPress) -> None:
        """Keep it no longer; a newer one on the same class that came meanwhile goes as well if it is equal."""
        body = json.dumps([press.data, press.result, press.label_config])
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM presses WHERE project = ? AND task = ? AND label = ? AND body = ?",
                (press.project, press.task, press.label, body),
            )

    def of(self, project: str, task: str) -> list[KeptPress]:
        """Those on a task."""
        rows = self._database.all("SELECT label, body FROM presses WHERE project = ? AND task = ?", (project, task))
        return [KeptPress(project, task, label, *json.loads(body)) for label, body in rows]

    def __iter__(self) -> Iterator[KeptPress]:
        rows = self._database.all("SELECT project, task, label, body FROM presses ORDER BY rowid")
        return (KeptPress(project, task, label, *json.loads(body)) for project, task, label, body in rows)
