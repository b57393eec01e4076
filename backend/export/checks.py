"""What no format can hold, refused before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import pairwise

from backend.errors import OutputError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo


def check_dataset(dataset: Dataset) -> None:
    """Refuse a dataset that contradicts itself, or has nothing in it.

    Raises:
        OutputError: the message names the video, the object and the frame.
    """
    for label in dataset.labels:
        _check_text(label, "the label")
    if twice := _repeated(dataset.labels):
        raise OutputError(f"the label {twice!r} is there twice; classes are told apart by their names")
    for video in dataset.videos:
        _check_video(video)
        for item in video.objects:
            _check_object(video, item, dataset.labels)
    if not any(item.boxes.keys() & set(video.labelled) for video in dataset.videos for item in video.objects):
        raise OutputError("there is nothing to export: no video has an object on a labelled frame")


def check_masks(dataset: Dataset, name: str, without: Iterable[str]) -> None:
    """Refuse an object that has a box and no mask on a labelled frame.

    Args:
        dataset: all videos are looked at.
        name: the format that needs masks.
        without: the formats that do not.

    Raises:
        OutputError: the message names the first such object.
    """
    for video in dataset.videos:
        labelled = set(video.labelled)
        for item in video.objects:
            bare = sorted(labelled & item.boxes.keys() - item.masks.keys())
            if bare:
                raise OutputError(
                    f"{_place(video, item)} has a box without a mask on frame {bare[0]}"
                    f"{f' and {len(bare) - 1} more' if len(bare) > 1 else ''}, and {name} holds masks; "
                    "of a video that this backend tracked they may be kept (--masks-from-store, --masked-only), and "
                    f"boxes can be written as {', '.join(without)}"
                )


def check_pictures(dataset: Dataset) -> None:
    """Refuse a video whose labelled frames are not at hand.

    Raises:
        OutputError: no frames, fewer than were labelled, or of another size.
    """
    for video in dataset.videos:
        if not video.labelled:
            continue
        if video.frames is None:
            raise OutputError(
                f"the frames of {video.name!r} are not at hand, so that its pictures cannot be written; say where "
                "the video is, or leave the pictures out"
            )
        if (video.frames.width, video.frames.height) != tuple(video.size):
            raise OutputError(
                f"{video.frames.path.name} is {video.frames.width} x {video.frames.height} pixels, but {video.name!r} "
                f"was labelled at {video.size[0]} x {video.size[1]}; it is another video, or was scaled since"
            )
        if video.labelled[-1] >= len(video.frames):
            raise OutputError(
                f"{video.frames.path.name} has {len(video.frames)} frames, but frame {video.labelled[-1]} of "
                f"{video.name!r} was labelled (they count from 0); it is another video, or was cut off since"
            )


def _check_video(video: LabelledVideo) -> None:
    where = f"video {video.name!r}"
    _check_text(video.name, "the name")
    if min(video.size) < 1:
        raise OutputError(f"{where}: a size of {video.size[0]} x {video.size[1]} pixels; it has to be known")
    if not (math.isfinite(video.fps) and video.fps > 0):
        raise OutputError(f"{where}: {video.fps} frames per second; it has to be a positive number")
    if any(later <= earlier for earlier, later in pairwise(video.labelled)):
        raise OutputError(f"{where}: the labelled frames are not in ascending order")
    if video.labelled and not 0 <= video.labelled[0] <= video.labelled[-1] < video.length:
        raise OutputError(
            f"{where}: frames {video.labelled[0]} to {video.labelled[-1]} are labelled, but it has {video.length} "
            "frames, the first is 0"
        )
    if twice := _repeated(item.id for item in video.objects):
        raise OutputError(f"{where}: two objects have the id {twice!r}; give each its own")


def _check_object(video: LabelledVideo, item: LabelledObject, labels: Iterable[str]) -> None:
    _check_text(item.id, f"video {video.name!r}: the id")
    if item.label is not None and item.label not in labels:
        raise OutputError(f"{_place(video, item)}: the dataset has no class {item.label!r}")
    for index in _labelled(video, item):
        if not all(math.isfinite(side) for side in item.boxes[index]):
            raise OutputError(f"{_place(video, item)}, frame {index}: the box {item.boxes[index]} is not finite")
        mask = item.masks.get(index)
        if mask is not None and mask.size != (video.size[1], video.size[0]):
            raise OutputError(
                f"{_place(video, item)}, frame {index}: the mask is {mask.size[1]} x {mask.size[0]} pixels, the video "
                f"{video.size[0]} x {video.size[1]}"
            )


def _labelled(video: LabelledVideo, item: LabelledObject) -> Iterator[int]:
    return (index for index in video.labelled if index in item.boxes)


def _place(video: LabelledVideo, item: LabelledObject) -> str:
    return f"object {item.id!r} of {video.name!r}"


def _repeated(names: Iterable[str]) -> str | None:
    seen = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _check_text(text: str, what: str) -> None:
    """JSON can smuggle in halves of characters, which no file can hold."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise OutputError(f"{what} {text!r} is not valid text ({error.reason}); rename it") from error
