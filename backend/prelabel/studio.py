"""Predictions of one task in Label Studio."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, Text, parse
from backend.prelabel.prediction import Prediction
from backend.service.records import Project
from backend.settings import Settings


class PredictionItem(Incoming):
    """What is needed of a prediction."""

    id: int
    model_version: Text | None = None


class PredictionList(Incoming):
    """All predictions of a task."""

    predictions: list[Any]


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


def predictions_of(client: LabelStudioClient, task: int, model_version: str) -> list[int]:
    """The ids of a task's predictions of a version.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
        PayloadError: the answer is not what Label Studio's is.
    """
    answer = client.get("/api/predictions", task=task)
    raw = answer.get("results") if isinstance(answer, dict) else answer  # later versions give pages
    items = parse(PredictionList, {"predictions": raw}, f"predictions of task {task}").predictions
    found = [parse(PredictionItem, item, f"predictions of task {task}") for item in items]
    return [item.id for item in found if item.model_version == model_version]


def post(client: LabelStudioClient, task: int, prediction: Prediction, *, again: bool = False) -> bool:
    """Give a task its prediction, if it has none of this version.

    Args:
        client: of Label Studio.
        task: its number.
        prediction: what to post, an empty one too: it tells that the task was tracked.
        again: instead of the predictions of this version that it has.

    Returns:
        False where it had one, and nothing was done.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
    """
    old = predictions_of(client, task, prediction.model_version)
    if old and not again:
        return False
    client.post("/api/predictions", prediction.body(task))
    for number in old:
        client.delete(f"/api/predictions/{number}")
    return True


def number_of(task: str) -> int:
    """A task's number; raises LabelStudioError where it has none."""
    if not (task.isascii() and task.isdecimal() and len(task) < 19):
        raise LabelStudioError(f"task {task[:40]!r} has no number, by which Label Studio would know it")
    return int(task)
