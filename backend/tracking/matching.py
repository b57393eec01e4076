"""Which detection shows which of the objects that are followed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from backend.association.geometry import ious
from backend.tracks import BoolArray, Box, Detection, Observation

if TYPE_CHECKING:  # torch is seconds long, and boxes are matched without it too
    from backend.segmentation.segmenter import Encoding


@dataclass(frozen=True, eq=False)
class Sight:
    """A frame on which detections are matched.

    Attributes:
        second: when it is shown.
        seen: what was found of the objects that are followed.
        encode: gives the segmenter's encoding.
        look: gives the encoding of what tells objects apart by their looks.
        segment: gives the mask of what a detection shows, ``bool (H, W)``, empty where nothing can be made out.
    """

    second: float
    seen: Mapping[str, Observation]
    encode: Callable[[], Encoding]
    look: Callable[[], Any]
    segment: Callable[[Detection], BoolArray]


class Matcher(Protocol):
    """Tells which detection shows which object, in one video from its beginning to its end."""

    def __call__(
        self, objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight, /
    ) -> dict[str, int]:
        """Match some of a frame's detections with some of the objects.

        It is asked first about the objects that were found, then about those that were not, then about those that are
        followed no more, each time with the detections that are left.

        Args:
            objects: where they are, by name; None where nobody knows.
            detections: on the frame.
            sight: the frame.

        Returns:
            the index of the detection that shows an object, at most one for each, and for none that is not seen.
        """


# Below this overlap a detection shows something else.
_OVERLAP = 0.3


def box_ious(boxes: Sequence[Box], others: Sequence[Box]) -> npt.NDArray[np.float64]:
    """``(N, M)``: the intersection over union of each of N boxes with each of M."""
    return ious(*(np.array(some, np.float64).reshape(-1, 4) for some in (boxes, others)))


def match_by_overlap(
    objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight | None = None
) -> dict[str, int]:
    """The assignment that has the greatest overlap (IoU) in all; a :class:`Matcher`, which needs no sight."""
    boxes = {name: box for name, box in objects.items() if box is not None}
    overlaps = box_ious(list(boxes.values()), [detection.box for detection in detections])
    overlaps[overlaps < _OVERLAP] = 0
    names = list(boxes)
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    return {names[row]: int(column) for row, column in zip(rows, columns, strict=True) if overlaps[row, column] > 0}
