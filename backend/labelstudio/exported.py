"""The tasks of Label Studio's JSON export, and which of a task's annotations counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BeforeValidator

from backend.errors import PayloadError
from backend.labelstudio.payload import Incoming, Text, parse

_NO_TIME = datetime.min.replace(tzinfo=UTC)
_CHOOSE_JSON = 'in Label Studio choose the export format "JSON"'


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class AnnotationItem(Incoming):
    """An annotation or a prediction of a task."""

    result: list[Any] | None
    was_cancelled: bool | None = False
    ground_truth: bool | None = False
    created_at: Text | None = None
    updated_at: Text | None = None


class TaskItem(Incoming):
    """A task; ``annotations`` and ``predictions`` are checked one by one, the latter may be mere numbers."""

    id: Annotated[Text | None, BeforeValidator(_as_text)] = None
    project: Annotated[Text | None, BeforeValidator(_as_text)] = None
    data: dict[str, Any]
    annotations: list[Any] | None = None
    predictions: list[Any] | None = None


@dataclass(frozen=True, eq=False)
class Labelling:
    """What was said of a task: the list of results, and where it was found."""

    result: Sequence[Any]
    path: str


@dataclass(frozen=True, eq=False)
class Task:
    """A task of an export.

    Attributes:
        id: its number in Label Studio; None where the file has none, as before an import.
        project: its project's number, where the file has it.
        name: tells it from the others: its id, else its position in the file, from 1.
        data: its data.
        path: where it was found.
        annotation: the one that counts: of those that were not skipped a ground truth before any other, and the one
            that was updated last. None without any.
        prediction: the newest; None without any.
        hidden_predictions: it has predictions, and only their numbers were found.
    """

    id: str | None
    project: str | None
    name: str
    data: Mapping[str, Any]
    path: str
    annotation: Labelling | None
    prediction: Labelling | None
    hidden_predictions: bool

    @property
    def place(self) -> str:
        """How messages call it."""
        return _place(self.id, self.path)


def parse_tasks(document: object) -> Iterator[Task]:
    """The tasks of a JSON export: a list of them, or a single one.

    Raises:
        PayloadError: it is something else, such as another of Label Studio's export formats; or a task, an annotation
            or a prediction has a wrong type or a missing field.
    """
    if isinstance(document, dict):
        _check_format(document, "")
        yield parse_task(document, "", 1)
    elif isinstance(document, list):
        for index, item in enumerate(document):
            if isinstance(item, dict):
                _check_format(item, f"[{index}]")
            yield parse_task(item, f"[{index}]", index + 1)
    else:
        raise PayloadError(f"expected a list of tasks, found {type(document).__name__}; {_CHOOSE_JSON}")


def parse_task(raw: object, path: str, number: int) -> Task:
    """One task, the ``number``-th; see :func:`parse_tasks`."""
    task = parse(TaskItem, raw, path)
    try:
        annotations = [
            (index, parse(AnnotationItem, item, f"{path}.annotations[{index}]"))
            for index, item in enumerate(task.annotations or ())
        ]
        predictions = [
            (index, parse(AnnotationItem, item, f"{path}.predictions[{index}]"))
            for index, item in enumerate(task.predictions or ())
            if not isinstance(item, int)
        ]
    except PayloadError as error:
        raise PayloadError(f"{_place(task.id, path)}: {error}", error.path) from error
    annotation = max((entry for entry in annotations if not entry[1].was_cancelled), key=standing, default=None)
    prediction = max(predictions, key=standing, default=None)
    return Task(
        id=task.id,
        project=task.project,
        name=str(number) if task.id is None else task.id,
        data=task.data,
        path=path,
        annotation=_labelling(annotation, f"{path}.annotations"),
        prediction=_labelling(prediction, f"{path}.predictions"),
        hidden_predictions=bool(task.predictions) and not predictions,
    )


def _place(task: str | None, path: str) -> str:
    return f"the task at {path or 'the top'}" if task is None else f"task {task}"


def _labelling(entry: tuple[int, AnnotationItem] | None, path: str) -> Labelling | None:
    if entry is None:
        return None
    index, item = entry
    return Labelling(item.result or (), f"{path}[{index}].result".removeprefix("."))


def standing(entry: tuple[int, AnnotationItem]) -> tuple[bool, datetime, int]:
    """Sorts a task's annotations, or its predictions, with their positions in the list: the one that counts is last."""
    index, item = entry
    return bool(item.ground_truth), _time(item.updated_at or item.created_at), index


def _time(text: str | None) -> datetime:
    try:
        time = datetime.fromisoformat(text or "")
    except ValueError:
        return _NO_TIME
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _check_format(item: Mapping[str, Any], path: str) -> None:
    """Refuse what Label Studio's other exports look like, by name."""
    if "data" in item:
        return
    where = f"{path}: " if path else ""
    if "annotation_id" in item or "annotator" in item:
        raise PayloadError(
            f"{where}this is the export format JSON-MIN, which leaves too much out; {_CHOOSE_JSON}", path
        )
    if {"images", "annotations"} <= item.keys():
        raise PayloadError(f"{where}this is a COCO file, no export of Label Studio's tasks; {_CHOOSE_JSON}", path)
    raise PayloadError(f"{where}there is no task: it has no data; {_CHOOSE_JSON}", path)
