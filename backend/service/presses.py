"""Presses whose tracks were not complete when they were answered: after a restart they are taken up again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend.service.database import Database


@dataclass(frozen=True)
class PressBody:
    """A press as it came: the task's data, the regions of one class, and the labeling configuration."""

    label: str
    data: dict[str, Any]
    result: list[Any]
    label_config: str


@dataclass(frozen=True)
class KeptPress:
    """A press that is kept. Its tracks are those of the task that were pressed for last under its ``number``."""

    project: str
    task: str
    number: int
    body: PressBody


class Presses:
    """The store's presses.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def keep(self, press: KeptPress) -> None:
        """Keep a press whose tracks are stored. Older ones on the task go, all of whose tracks newer ones asked for; of
        the others somebody may still want the rest."""
        body = press.body
        row = press.project, press.task, press.number, body.label
        with self._database.transaction() as db:
            db.execute(
                "INSERT INTO presses (project, task, number, label, body) VALUES (?, ?, ?, ?, ?)",
                (*row, json.dumps([body.data, body.result, body.label_config])),
            )
            db.execute(
                "DELETE FROM presses WHERE project = ? AND task = ? AND NOT EXISTS (SELECT 1 FROM tracks t "
                "WHERE t.project = presses.project AND t.task = presses.task AND t.pressed = presses.number)",
                (press.project, press.task),
            )

    def drop(self, project: str, task: str, number: int) -> None:
        """Keep a press no longer."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM presses WHERE project = ? AND task = ? AND number = ?", (project, task, number))

    def of(self, project: str, task: str) -> list[KeptPress]:
        """Those on a task, the oldest first."""
        return list(self._found("WHERE project = ? AND task = ?", project, task))

    def __iter__(self) -> Iterator[KeptPress]:
        return self._found("")

    def _found(self, where: str, *values: str) -> Iterator[KeptPress]:
        rows = self._database.all(
            f"SELECT project, task, number, label, body FROM presses {where} ORDER BY id",  # noqa: S608
            values,
        )
        for project, task, number, label, body in rows:
            yield KeptPress(project, task, number, PressBody(label, *json.loads(body)))
