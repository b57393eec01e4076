"""MOTChallenge's ``det.txt``: a row a detection."""

from __future__ import annotations

from pathlib import Path

from backend.detections.looked import ByFrame, with_empty_frames
from backend.evaluation import motchallenge
from backend.video.frames import Frames


def read_mot(path: Path, video: Frames) -> ByFrame:
    """Rows ``frame,-1,left,top,width,height,score``, whose frames and pixels count from 1.

    Raises:
        DatasetError: the file cannot be read, or a row (named by its line) is not such a row.
    """
    return with_empty_frames(motchallenge.read_detections(path, len(video)))
