"""Predictions of one task in Label Studio."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from pydantic import SecretStr

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, Text, parse
from backend.service.records import Project
from backend.settings import Settings


class Posted(Protocol):
    """What is posted: a prediction."""

    @property
    def model_version(self) -> str:
        """Under which Label Studio keeps it."""

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


class _Predictions(Incoming):
    predictions: list[PredictionItem]


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


def latest_alone(client: LabelStudioClient, task: object, model_version: str) -> int:
    """Delete a task's predictions of a version but the newest: a run that was killed may have left an older one.

    Args:
        client: of Label Studio.
        task: as Label Studio's API gives it.
        model_version: of the models.

    Returns:
        how many were deleted.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
        PayloadError: what should be a prediction is none.
    """
    old = _of_version(parse(_Predictions, task, "task").predictions, model_version)[:-1]
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


def post(client: LabelStudioClient, task: int, prediction: Posted, *, again: bool = False) -> bool:
    """Give a task its prediction, if it has none of this version. To be called again where an answer got lost: what was
    posted then is known by its regions, whose ids are new each time.

    Args:
        client: of Label Studio.
        task: its number.
        prediction: what to post, an empty one too: it tells that the task was tracked.
        again: in the place of the prediction of this version that it has. That keeps its number: an annotation that was
            begun with it can be submitted still, which Label Studio refuses once the prediction is deleted.

    Returns:
        False where it had one, and nothing was done.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
    """
    body = prediction.body(task)
    regions = {item["id"] for item in body["result"]}
    there = predictions_of(client, task, prediction.model_version)
    kept = next((item for item in there if item.regions == regions), None)
    if kept is None:
        if there and not again:
            return False
        if there:
            kept = there[-1]
            client.patch(f"/api/predictions/{kept.id}", body)
        else:
            client.post("/api/predictions", body)
    for item in there if again else ():
        if item is not kept:
            client.delete(f"/api/predictions/{item.id}")
    return True


def number_of(task: str) -> int:
    """A task's number; raises LabelStudioError where it has none."""
    if not (task.isascii() and task.isdecimal() and len(task) < 19):
        raise LabelStudioError(f"task {task[:40]!r} has no number, by which Label Studio would know it")
    return int(task)
