"""A file of detections, whichever of the formats it has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from backend.detections.coco import CocoFile
from backend.detections.looked import ByFrame
from backend.detections.mot import MotFile
from backend.errors import DatasetError, SettingsError
from backend.video.frames import Frames

_JSON = (b"[", b"{")
_MARK = b"\xef\xbb\xbf"


class DetectionFile(Protocol):
    """A file of detections, read once.

    Attributes:
        path: the file.
        names: of the videos that it is about; none where it does not say.
        found_in: those of them with detections.
        labels: those that its detections have.
        best: the highest score.
    """

    path: Path
    names: Sequence[str]
    found_in: Sequence[str]
    labels: Sequence[str]
    best: float

    @property
    def fingerprint(self) -> str:
        """Tells the same content again, in other processes too."""

    def detections(self, video: Frames, name: str | None = None) -> ByFrame:
        """The detections of one video.

        Args:
            video: what was looked at.
            name: one of ``names``; by default the only one, or the one that has the name of the video's file.

        Returns:
            by frame from 0, those on which nothing was found among them.

        Raises:
            DatasetError: what the file says does not fit the video; the message has the line.
        """

    def of(self, name: str | None) -> DetectionFile:
        """What the file has of one video and no more, to be sent to where the file itself is not.

        Args:
            name: one of ``names``; None: all of it.
        """


def open_detections(path: Path, images: Path | None = None) -> DetectionFile:
    """A file of detections: MOTChallenge's ``det.txt``, or COCO's JSON.

    Args:
        path: the file; which format it has is told from how it begins.
        images: COCO's file that says which frame each image is, and what the categories are called.

    Raises:
        DatasetError: a file cannot be read, or something in it is not what the format asks for; the message has the
            line.
        SettingsError: ``images`` for a file that has frames.
    """
    if _begins_with(path, _JSON):
        return CocoFile(path, images)
    if images is not None:
        raise SettingsError(f"{path} is no JSON: it says itself which frame is which, and needs no file of images")
    return MotFile(path)


def read_detections(path: Path, video: Frames, images: Path | None = None) -> ByFrame:
    """The detections of a video; see :func:`open_detections`.

    Raises:
        DatasetError: as there, or the file does not fit the video, or there is no detection of it.
        SettingsError: as there.
    """
    found = open_detections(path, images).detections(video)
    if not any(found.values()):
        raise DatasetError(f"{path} has no detection of {video.path.name}")
    return found


def _begins_with(path: Path, starts: tuple[bytes, ...]) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1024).removeprefix(_MARK).lstrip().startswith(starts)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
