"""A file of detections, whichever of the formats it has."""

from __future__ import annotations

from pathlib import Path

from backend.detections.coco import read_coco
from backend.detections.looked import ByFrame
from backend.detections.mot import read_mot
from backend.errors import DatasetError, SettingsError
from backend.video.frames import Frames

_JSON = (b"[", b"{")
_MARK = b"\xef\xbb\xbf"


def read_detections(path: Path, video: Frames, images: Path | None = None) -> ByFrame:
    """The detections of a video: MOTChallenge's ``det.txt``, or COCO's JSON.

    Args:
        path: the file; which format it has is told from how it begins.
        video: what was looked at.
        images: COCO's file that says which frame each image is, and what the categories are called.

    Returns:
        by frame from 0, those on which nothing was found among them.

    Raises:
        DatasetError: a file cannot be read, or something in it is not what the format asks for, or does not fit the
            video; the message has the line. Or there is no detection.
        SettingsError: ``images`` for a file that has frames.
    """
    if _begins_with(path, _JSON):
        found = read_coco(path, video, images)
    elif images is not None:
        raise SettingsError(f"{path} is no JSON: it says itself which frame is which, and needs no file of images")
    else:
        found = read_mot(path, video)
    if not any(found.values()):
        raise DatasetError(f"{path} has no detection of {video.path.name}")
    return found


def _begins_with(path: Path, starts: tuple[bytes, ...]) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(1024).removeprefix(_MARK).lstrip().startswith(starts)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
