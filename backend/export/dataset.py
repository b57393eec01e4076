"""What is exported: videos with objects on their frames, wherever they were labelled, whatever they are written as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.tracks import Box, Mask
from backend.video.frames import SizedSource


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object of a video, by decode index (from 0).

    Attributes:
        id: the Label Studio region id where there is one; unique within the video.
        label: its class; None where it was given none.
        boxes: ``xyxy`` pixels on each frame on which it is visible, as drawn: they may reach beyond the picture. What
            was labelled by masks has the masks' boxes, without specks where it was tracked.
        masks: on the frames for which there are any.
    """

    id: str
    label: str | None
    boxes: Mapping[int, Box]
    masks: Mapping[int, Mask] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class LabelledVideo:
    """A video and its objects.

    Attributes:
        name: tells it from the others of a dataset; fit to be a file's name.
        size: width and height in pixels.
        length: frames that the video has.
        fps: frames per second.
        labelled: the frames that were labelled, ascending: those on which an object that is not there is known to be
            absent. Formats that list frames list these.
        objects: in the order in which they are numbered, from 1.
        frames: the pictures, at least of those that were labelled; None where the video itself is not at hand.
    """

    name: str
    size: tuple[int, int]
    length: int
    fps: float
    labelled: Sequence[int]
    objects: Sequence[LabelledObject]
    frames: SizedSource | None = None


@dataclass(frozen=True, eq=False)
class Dataset:
    """What one export writes: ``labels`` are all classes, in the order in which formats number them."""

    labels: Sequence[str]
    videos: Sequence[LabelledVideo]
