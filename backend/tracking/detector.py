"""The seam: what tells which objects a frame shows, while they are followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.tracking.matching import Sight
from backend.tracks import Detection, Mask


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskedDetection(Detection):
    """A detection that brings its object's ``mask``, of which ``box`` is the box."""

    mask: Mask


class Detector(Protocol):
    """Looks for objects on some frames of one video, from its first frame on."""

    def looks_at(self, frame: int, starts: bool) -> bool:
        """Whether a frame is to be looked at; ``starts``: it is the first of a shot, and not of the video."""

    def detect(self, frame: int, starts: bool, sight: Sight) -> Sequence[Detection]:
        """What a frame shows that is to be looked at.

        Args:
            frame: its decode index.
            starts: as above.
            sight: the frame, and what was found on it of the objects that are followed.

        Returns:
            detections; none of those that are followed means that they were not detected.
        """


class GivenBoxes:
    """A :class:`Detector` that was there before: a table.

    Args:
        detections: by frame. An empty sequence says that there is nothing; a frame without any was not looked at.
    """

    def __init__(self, detections: Mapping[int, Sequence[Detection]]) -> None:
        self._detections = detections

    def looks_at(self, frame: int, starts: bool) -> bool:
        """Whether the table has the frame."""
        return frame in self._detections

    def detect(self, frame: int, starts: bool, sight: Sight) -> Sequence[Detection]:
        """The table's."""
        return self._detections[frame]
