"""A task gets its prediction, on the terms of the parcel; done twice it is as if it was done once."""

from __future__ import annotations

from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.project import read_task
from backend.labelstudio.task_boxes import is_annotated
from backend.prelabel.studio import number_of, post, predictions_in
from backend.service.parcels import Parcel


def give(client: LabelStudioClient, parcel: Parcel) -> str:
    """Post a parcel, or put it in the place of the task's prediction of this version; see
    :func:`backend.prelabel.studio.post`.

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
    ours = predictions_in(task, parcel.model_version)
    if any(parcel.missing & one.regions for one in ours):
        return "not posted: a track failed that its prediction has"
    if parcel.terms == "update" and not ours:
        return "not posted: it has no prediction that this would bring up to date"
    if not post(client, number, parcel, again=parcel.terms in ("latest", "update"), there=ours):
        return "not posted: it has a prediction meanwhile"
    count = len({item["id"] for item in parcel.result})
    return f"{count} track{'s' * (count != 1)} posted"
