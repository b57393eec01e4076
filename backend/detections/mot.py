"""MOTChallenge's ``det.txt``: a row a detection."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

from backend.detections.looked import ByFrame, with_empty_frames
from backend.detections.mot_rows import read_rows
from backend.errors import DatasetError
from backend.tracks import Detection
from backend.video.frames import Frames

_ROW = "frame,-1,left,top,width,height,score"


def read_boxes(path: Path, frames: int) -> ByFrame:
    """Rows ``frame,-1,left,top,width,height,score`` and perhaps more, whose frames and pixels count from 1.

    Args:
        path: the file.
        frames: how many the sequence has.

    Returns:
        by frame from 0, those that have any.

    Raises:
        DatasetError: the file cannot be read, or a row (named by its line) is not such a row.
    """
    found: ByFrame = {}
    for row in read_rows(path, _ROW, least=7, frames=frames):
        found.setdefault(row.frame, []).append(Detection(row.box(), row.number(6)))
    return found


class MotFile:
    """A file of rows, which does not say of which video they are.

    Attributes:
        path: the file.
        names: none.
        found_in: none.
        labels: none.
        best: the highest score; minus infinity without any.
    """

    names: Sequence[str] = ()
    found_in: Sequence[str] = ()
    labels: Sequence[str] = ()

    def __init__(self, path: Path) -> None:
        """
        Raises:
            DatasetError: the file cannot be read, or a row (named by its line) is not such a row.
        """
        self.path = path
        self._found = read_boxes(path, sys.maxsize)
        self.best = max((one.score for found in self._found.values() for one in found), default=-float("inf"))

    @property
    def fingerprint(self) -> str:
        """See :class:`backend.detections.files.DetectionFile`."""
        return hashlib.sha256(repr(self._found).encode()).hexdigest()

    def detections(self, video: Frames, name: str | None = None) -> ByFrame:
        """See :class:`backend.detections.files.DetectionFile`."""
        last = max(self._found, default=0)
        if last >= len(video):
            if self.path.exists():
                read_boxes(self.path, len(video))  # says in which line
            count = len(video)  # it was sent to another machine
            raise DatasetError(f"{self.path}: there is no frame {last + 1}: the sequence has frames 1 to {count}")
        return with_empty_frames(self._found)

    def of(self, name: str | None) -> MotFile:
        """It is of one video."""
        return self
