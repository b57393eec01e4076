"""Predictions that Label Studio has not been given yet; they wait here, over restarts too."""

from __future__ import annotations

import json
import sqlite3
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
    """A task's prediction, as Label Studio takes it. ``missing`` are the regions that would belong to it and could not
    be tracked: it takes the place of none that has one of them."""

    project: str
    task: str
    model_version: str
    score: float
    result: list[Item]
    terms: Terms = "first"
    missing: frozenset[str] = frozenset()

    @property
    def address(self) -> tuple[str, str]:
        """Project and task: a task has one parcel at a time."""
        return self.project, self.task

    @property
    def regions(self) -> set[str]:
        """The ids of its regions."""
        return {item["id"] for item in self.result}

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
        others, as the latest. An older one that has what this one is missing stays."""
        row = *parcel.address, parcel.model_version, parcel.score, json.dumps(parcel.result)
        with self._database.transaction() as db:
            older = _read(db, *parcel.address)
            if older is not None and older.model_version == parcel.model_version and parcel.missing & older.regions:
                return older.terms
            terms: Terms = parcel.terms if older is None or older.terms == parcel.terms else "latest"
            db.execute(
                "INSERT OR REPLACE INTO parcels (project, task, model_version, score, result, terms, missing) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*row, terms, json.dumps(sorted(parcel.missing))),
            )
        return terms

    def get(self, project: str, task: str) -> Parcel | None:
        """A task's parcel."""
        with self._database.transaction() as db:
            return _read(db, project, task)

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


def _read(db: sqlite3.Connection, project: str, task: str) -> Parcel | None:
    row = db.execute(
        "SELECT model_version, score, result, terms, missing FROM parcels WHERE project = ? AND task = ?",
        (project, task),
    ).fetchone()
    if row is None:
        return None
    version, score, result, terms, missing = row
    return Parcel(project, task, version, score, json.loads(result), terms, frozenset(json.loads(missing)))
