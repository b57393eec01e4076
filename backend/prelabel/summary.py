"""What a curator is told of one video, beside its prediction: little enough to keep of hundreds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Thumbnail:
    """A frame of a video as it was tracked, for a contact sheet.

    Attributes:
        frame: Label Studio's, from 1.
        jpeg: the picture, masks and boxes drawn in.
        doubt: that of the most doubtful object on it, in [0, 1].
    """

    frame: int
    jpeg: bytes
    doubt: float


@dataclass(frozen=True)
class Summary:
    """One video that was tracked. It is picklable, and holds nothing that grows with the video but ``doubtful``.

    Attributes:
        by: what it was tracked by, in words.
        frames: how many the video has.
        frame_rate: by which Label Studio counts them, per second.
        size: width and height in pixels.
        seconds: that the work took on its worker, fetching the video not included.
        fetching: seconds that fetching the video took.
        objects: how many of each label; of those without a label under "".
        score: the confidence in the worst of the tracks; 0 without any.
        doubtful: first and last of Label Studio's frames on which an object is in doubt, ascending.
        worker: which one did it.
        thumbnails: for a contact sheet, by frame.
    """

    by: str
    frames: int
    frame_rate: float
    size: tuple[int, int]
    seconds: float
    fetching: float
    objects: Mapping[str, int]
    score: float
    doubtful: tuple[tuple[int, int], ...]
    worker: str
    thumbnails: tuple[Thumbnail, ...] = ()
