"""A task whose images were cut from a video, and which frame of the video each of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import Field

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.payload import Incoming, Name, parse

FRAMES_KEY = "frames"
"""Under which a task has its images where no labeling configuration says otherwise."""

_AGAIN = "cut the video anew by the command frames, and import that"

Index = Annotated[int, Field(ge=0, le=100_000_000)]
Seconds = Annotated[float, Field(allow_inf_nan=False, ge=0)]


class CutVideo(Incoming):
    """What a task says of the video that its images were cut from.

    Attributes:
        video: the name of its file.
        fps: its frames per second, at which the images follow one another only if every frame was taken.
        times: of each image in presentation seconds on the video's own clock, ascending.
        indices: of each image the frame's decode index, from 0, ascending.
        cut: tells this cut from any other: of another video, of other frames, or written otherwise.
    """

    video: Name
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    times: list[Seconds]
    indices: list[Index]
    cut: Name

    @property
    def stem(self) -> str:
        """The name of the video's file without its extension."""
        return PurePath(self.video).stem

    def task_data(self, key: str, images: Sequence[str]) -> dict[str, Any]:
        """The data of a task with these images, addresses in the order of the frames, under that key.

        Raises:
            LabelConfigError: the key is that of something else.
        """
        if key in type(self).model_fields:
            raise LabelConfigError(
                f'the labeling configuration has valueList="${key}", and "{key}" is something else in tasks that were '
                f'cut from a video; write valueList="${FRAMES_KEY}"'
            )
        return {"video": self.video, key: list(images), **self.model_dump()}


def was_cut(data: Mapping[str, Any]) -> bool:
    """Whether a task's data say that its images were cut from a video."""
    return isinstance(data.get("indices"), list) and isinstance(data.get("times"), list)


def cut_video(data: Mapping[str, Any], images: int, path: str) -> CutVideo | None:
    """The video that a task's images were cut from; None where they are no such images.

    Args:
        data: the task's.
        images: how many it has.
        path: of the data, for messages.

    Raises:
        PayloadError: it says so, but a key is missing or has a wrong type, there are not as many numbers as images, or
            the indices do not ascend.
    """
    if not was_cut(data):
        return None
    found = parse(CutVideo, data, path)
    for name, values in (("indices", found.indices), ("times", found.times)):
        where = f"{path}.{name}"
        if len(values) != images:
            raise PayloadError(f"{where}: {len(values)} of them for {images} images; {_AGAIN}", where)
    for position, (before, after) in enumerate(pairwise(found.indices), start=1):
        if after <= before:
            where = f"{path}.indices[{position}]"
            raise PayloadError(f"{where}: {after} comes after {before}, and they have to ascend; {_AGAIN}", where)
    return found
