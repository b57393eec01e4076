"""A task gets its prediction, on the terms of the parcel; done twice it is as if it was done once."""

from __future__ import annotations

from typing import Any

from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.payload import Incoming, parse
from backend.labelstudio.project import read_task
from backend.labelstudio.task_boxes import is_annotated
from backend.prelabel.studio import PredictionItem, number_of
from backend.service.parcels import Parcel


class _Prediction(PredictionItem):
    score: float | None = None


class _Predicted(Incoming):
    predictions: list[Any] | None = None


def give(client: LabelStudioClient, parcel: Parcel) -> str:
    """Post a parcel, or put it in the place of the task's prediction of this version.

    That prediction keeps its number: whoever has begun an annotation with it can still submit that, which Label Studio
    refuses once the prediction is deleted. Of several of this version, as two who post at once leave them, one stays.

    Args:
        client: of Label Studio.
        parcel: what to post.

    Returns:
        what came of it, in words.

    Raises:
        LabelStudioError: Label Studio cannot be reached, or refuses.
        PayloadError: its answer is not what Label Studio's is.
    """
    number = number_of(parcel.task)
    task = read_task(client, number_of(parcel.project), number)
    if task is None:
        return "not posted: the project does not have it any more"
    if parcel.terms != "beside" and is_annotated(task):
        return "not posted: somebody has annotated it"
    ours = _ours(task, parcel.model_version)
    if any(parcel.missing & one.regions for one in ours):
        return "not posted: a track failed that its prediction has"
    if parcel.terms in ("latest", "update"):
        return _replace(client, number, parcel, ours)
    if ours:
        # An answer that got lost: its regions have ids that are new each time.
        posted = any(item.regions == _regions(parcel) for item in ours)
        return _posted(parcel) if posted else "not posted: it has a prediction meanwhile"
    client.post("/api/predictions", parcel.body(number))
    return _posted(parcel)


def _replace(client: LabelStudioClient, number: int, parcel: Parcel, ours: list[_Prediction]) -> str:
    if not ours:
        if parcel.terms == "update":
            return "not posted: it has no prediction that this would bring up to date"
        client.post("/api/predictions", parcel.body(number))
        return _posted(parcel)
    *older, newest = ours
    if (newest.result, newest.score) != (parcel.result, parcel.score):
        client.patch(f"/api/predictions/{newest.id}", parcel.body(number))
    for item in older:
        client.delete(f"/api/predictions/{item.id}")
    return _posted(parcel)


def _ours(task: object, model_version: str) -> list[_Prediction]:
    """A task's predictions of a version, the oldest first."""
    found = parse(_Predicted, task, "task").predictions or ()
    parsed = [parse(_Prediction, raw, f"predictions[{index}]") for index, raw in enumerate(found)]
    return sorted((item for item in parsed if item.model_version == model_version), key=lambda item: item.id)


def _regions(parcel: Parcel) -> set[str]:
    return {item["id"] for item in parcel.result}


def _posted(parcel: Parcel) -> str:
    count = len(_regions(parcel))
    return f"{count} track{'s' * (count != 1)} posted"
