"""Predictions that Label Studio has not been given yet; they wait here, over restarts too."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from backend.service.database import Database
from backend.service.records import Item

Terms = Literal["first", "beside", "latest", "update"]
"""What a task may have already: for ``first`` neither a prediction of this version nor an annotation; for ``beside`` no
such prediction. The ``latest`` takes the place of such a prediction, if there is one, and an ``update`` is for that
alone; both are for tasks without an annotation."""


@dataclass(frozen=True)
class Parcel:
    """A task's prediction, as Label Studio takes it."""

    project: str
    task: str
    model_version: str
    score: float
    result: list[Item]
    terms: Terms = "first"

    @property
    def address(self) -> tuple[str, str]:
        """Project and task: a task has one parcel at a time."""
        return self.project, self.task

    def body(self, task: int) -> dict[str, Any]:
        """What is posted."""
        return {"task": task, "model_version": self.model_version, "score": self.score, "result": self.result}

    def __str__(self) -> str:
        return f"task {self.task} of project {self.project}"


class Parcels:
    """The store's parcels.

    Args:
        database: where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, parcel: Parcel) -> Terms:
        """Keep a parcel, in place of the task's older one; returns on what terms: where those of the older one are
        others, as the latest."""
        row = *parcel.address, parcel.model_version, parcel.score, json.dumps(parcel.result)
        with self._database.transaction() as db:
            older = db.execute("SELECT terms FROM parcels WHERE project = ? AND task = ?", parcel.address).fetchone()
            terms: Terms = parcel.terms if older in (None, (parcel.terms,)) else "latest"
            db.execute(
                "INSERT OR REPLACE INTO parcels (project, task, model_version, score, result, terms) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (*row, terms),
            )
        return terms

    def get(self, project: str, task: str) -> Parcel | None:
        """A task's parcel."""
        row = self._database.one(
            "SELECT model_version, score, result, terms FROM parcels WHERE project = ? AND task = ?", (project, task)
        )
        return None if row is None else Parcel(project, task, row[0], row[1], json.loads(row[2]), row[3])

    def drop(self, parcel: Parcel) -> None:
        """Keep it no longer; a newer one for the same task stays."""
        with self._database.transaction() as db:
            db.execute(
                "DELETE FROM parcels WHERE project = ? AND task = ? AND model_version = ? AND result = ? AND terms = ?",
                (*parcel.address, parcel.model_version, json.dumps(parcel.result), parcel.terms),
            )

    def addresses(self) -> list[tuple[str, str]]:
        """Projects and tasks that have one, the oldest first."""
        return [(project, task) for project, task in self._database.all("SELECT project, task FROM parcels")]
