"""Predictions of one task in Label Studio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from pydantic import SecretStr

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, Text, parse
from backend.service.records import Item, Project
from backend.settings import Settings


class Posted(Protocol):
    """What is posted: a prediction."""

    @property
    def model_version(self) -> str:
        """Under which Label Studio keeps it."""

    @property
    def score(self) -> float:
        """By which tasks can be sorted."""

    @property
    def result(self) -> list[Item]:
        """The regions as Label Studio has them."""

    def body(self, task: int) -> dict[str, Any]:
        """What is sent."""


class _WithResult(Incoming):
    result: Any

    @property
    def regions(self) -> set[str]:
        """The ids of its regions."""
        items = self.result if isinstance(self.result, list) else ()
        return {item["id"] for item in items if isinstance(item, dict) and isinstance(item.get("id"), str)}


class PredictionItem(_WithResult):
    """What is needed of a prediction."""

    id: int
    model_version: Text | None = None
    score: float | None = None


class _Predictions(Incoming):
    predictions: list[PredictionItem] | None = None


class _Shown(Incoming):
    predictions: list[_WithResult] | None = None
    annotations: list[_WithResult] | None = None
    drafts: list[_WithResult] | None = None


def make_client(settings: Settings, reported: Project | None = None) -> LabelStudioClient | None:
    """A client of the Label Studio that is configured, else of the one that reported itself; None without a token.

    The configured token goes to the configured address and to none else.
    """
    url, token = settings.label_studio_url, settings.label_studio_token
    if url is None:
        url, token = (reported.hostname, None) if reported is not None else ("", None)
    if token is None and reported is not None and reported.token:
        token = SecretStr(reported.token)
    return LabelStudioClient(url, token) if url and token is not None else None


def predictions_of(client: LabelStudioClient, task: int, model_version: str) -> list[PredictionItem]:
    """A task's predictions of a version, the oldest first.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
        PayloadError: the answer is not what Label Studio's is.
    """
    where = f"predictions of task {task}"
    return _of_version(
        [parse(PredictionItem, raw, where) for raw in client.items("/api/predictions", task=task)], model_version
    )


def predictions_in(task: object, model_version: str) -> list[PredictionItem]:
    """The same, of a task as Label Studio's API gives it.

    Raises:
        PayloadError: what should be a prediction is none.
    """
    return _of_version(parse(_Predictions, task, "task").predictions or (), model_version)


def latest_alone(client: LabelStudioClient, there: Sequence[PredictionItem]) -> int:
    """Delete all predictions but the newest, the last one; how many these were. A run that was killed may have left an
    older one, and so may two who post at once.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
    """
    old = there[:-1]
    for item in old:
        client.delete(f"/api/predictions/{item.id}")
    return len(old)


def _of_version(predictions: Iterable[PredictionItem], model_version: str) -> list[PredictionItem]:
    found = {item.id: item for item in predictions if item.model_version == model_version}
    return [found[number] for number in sorted(found)]


def shown_regions(task: object) -> set[str]:
    """The ids of all regions that a task's predictions, annotations and drafts have.

    Raises:
        PayloadError: one of them is not there with its results.
    """
    shown = parse(_Shown, task, "task")
    found = [*(shown.predictions or ()), *(shown.annotations or ()), *(shown.drafts or ())]
    return set().union(*(one.regions for one in found))


def post(
    client: LabelStudioClient,
    task: int,
    prediction: Posted,
    *,
    again: bool = False,
    there: Sequence[PredictionItem] | None = None,
) -> bool:
    """Give a task its prediction, if it has none of this version. To be called again where an answer got lost.

    Args:
        client: of Label Studio.
        task: its number.
        prediction: what to post, an empty one too: it tells that the task was tracked.
        again: in the place of the prediction of this version that it has; of several one stays. That keeps its number:
            an annotation that was begun with it can be submitted still, which Label Studio refuses once the prediction
            is deleted.
        there: its predictions of this version, the oldest first; by default Label Studio is asked.

    Returns:
        False where it had one, and nothing was done.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
        PayloadError: its answer is not what Label Studio's is.
    """
    if there is None:
        there = predictions_of(client, task, prediction.model_version)
    if not there:
        client.post("/api/predictions", prediction.body(task))
        return True
    if not again:
        # An answer that got lost: nobody else's regions have these ids.
        return any(item.regions == {one["id"] for one in prediction.result} for item in there)
    newest = there[-1]
    # What a press brings up to date has the ids that it had.
    if (newest.result, newest.score) != (prediction.result, prediction.score):
        client.patch(f"/api/predictions/{newest.id}", prediction.body(task))
    latest_alone(client, there)
    return True


def number_of(task: str) -> int:
    """A task's number; raises LabelStudioError where it has none."""
    if not (task.isascii() and task.isdecimal() and len(task) < 19):
        raise LabelStudioError(f"task {task[:40]!r} has no number, by which Label Studio would know it")
    return int(task)
