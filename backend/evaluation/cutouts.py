"""Objects cut out of a sequence by its annotations, to be pasted into another one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from backend.errors import DatasetError
from backend.evaluation.davis import DavisSequence
from backend.tracks import BoolArray, FloatArray, ImageArray, Mask

BoxArray = npt.NDArray[np.float64]

# Of the picture's height: what is thinner (a kite's lines, a whip) is not cut out.
_THIN = 0.01
# Connected parts of less than this part of the largest one are not cut out either.
_PART = 0.1
# The edge goes from 0 to 1 over about twice as many pixels.
_FEATHER = 0.8
# An object is whole where the picture's border cuts at most this part of its outline's box, and its area is at least
# that part of its median.
_CUT = 0.06
_AREA = 0.4
_LEAST_AREA = 40
# A cut-out that moves as it did needs some frames.
_LEAST_LOOKS = 3


@dataclass(frozen=True, eq=False)
class Look:
    """An object on one frame.

    Attributes:
        image: RGB ``uint8 (h, w, 3)``.
        cover: how much of each pixel is the object's, 0 to 1, ``float32 (h, w)``.
        left, top: where the picture's upper left corner lies, in pixels from the object's centre of gravity.
    """

    image: ImageArray
    cover: FloatArray
    left: float
    top: float


class Cutout:
    """An object as it looks on a run of frames, and on and on: forth and back.

    ``solid`` are its masks ``bool (H, W)`` on the frames of ``sequence`` from ``first`` on, without what is thin.
    """

    def __init__(self, sequence: DavisSequence, first: int, solid: list[BoolArray]) -> None:
        self.sequence = sequence
        self.first = first
        self._video = sequence.video()
        self._masks = [Mask.from_array(mask) for mask in solid]
        self._centres = [_centre(mask) for mask in solid]

    def __len__(self) -> int:
        return len(self._masks)

    @cached_property
    def size(self) -> float:
        """The side of a square of its median area, in pixels."""
        return float(np.sqrt(np.median([mask.area for mask in self._masks])))

    @cached_property
    def _boxes(self) -> BoxArray:
        boxes = [
            np.array(mask.box) - np.tile(centre, 2) for mask, centre in zip(self._masks, self._centres, strict=True)
        ]
        return np.stack(boxes)

    def own_boxes(self) -> BoxArray:
        """``xyxy`` pixels in its own sequence, ``(len, 4)``."""
        return np.asarray(self._boxes + np.tile(np.array(self._centres), (1, 2)))

    @property
    def round_trip(self) -> int:
        """Frames until everything comes again."""
        return max(2 * len(self) - 2, 1)

    def boxes(self, frames: int, scale: float, mirrored: bool, phase: int) -> BoxArray:
        """``xyxy`` pixels from the centre of gravity, ``(frames, 4)``."""
        boxes: BoxArray = self._boxes[[self._index(frame, phase) for frame in range(frames)]] * scale
        if mirrored:
            boxes[:, [0, 2]] = -boxes[:, [2, 0]]
        return boxes

    def look(self, frame: int, scale: float, mirrored: bool, phase: int) -> Look:
        """The object on a frame of the scene.

        Raises:
            VideoError: the image cannot be read.
        """
        index = self._index(frame, phase)
        image, mask, (x, y) = self._video.frame(self.first + index), self._masks[index].array(), self._centres[index]
        box = self._masks[index].box
        assert box is not None
        # Blurring needs room around the object, and the object's colours there.
        room = 4
        left, top = max(int(box[0]) - room, 0), max(int(box[1]) - room, 0)
        right, bottom = int(box[2]) + room, int(box[3]) + room
        image, inside = image[top:bottom, left:right], mask[top:bottom, left:right].astype(np.float32)
        from_x, from_y = left - x, top - y
        if mirrored:
            image, inside, from_x = image[:, ::-1], inside[:, ::-1], x - (left + image.shape[1])
        width, height = max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1)
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        image = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=how)
        inside = cv2.resize(np.ascontiguousarray(inside), (width, height), interpolation=how)
        return Look(image, feathered(inside), from_x * scale, from_y * scale)

    def _index(self, frame: int, phase: int) -> int:
        place = (frame + phase) % self.round_trip
        return place if place < len(self) else self.round_trip - place


def feathered(inside: npt.NDArray[np.generic]) -> FloatArray:
    """How much of each pixel belongs to a mask ``(H, W)``, with a soft edge; 0.5 runs along the mask's outline."""
    soft: FloatArray = cv2.GaussianBlur(np.asarray(inside, np.float32), (0, 0), _FEATHER)
    return soft


def solid(mask: BoolArray) -> BoolArray:
    """A mask ``bool (H, W)`` without what is thin or small, and without its outermost pixels, which show some of what
    is behind it; empty where nothing else is left."""
    thin = 2 * round(_THIN * mask.shape[0] / 2) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (thin, thin))
    # Beyond the picture the object may go on: what touches the border is not thinner for it.
    room = cv2.copyMakeBorder(mask.astype(np.uint8), *(thin,) * 4, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(room, cv2.MORPH_OPEN, kernel)[thin:-thin, thin:-thin]
    opened = cv2.erode(opened, np.ones((3, 3), np.uint8))
    _, parts, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return np.zeros(mask.shape, bool)
    kept = 1 + np.flatnonzero(areas >= _PART * areas.max())
    return np.isin(parts, kept)


def cut_out(sequence: DavisSequence) -> Cutout | None:
    """The object on the longest run of frames that show it whole.

    Returns:
        None where there is no such run, or not one object.

    Raises:
        DatasetError: an annotation cannot be read, or has not its images' size.
        VideoError: the first image cannot be read.
    """
    masks = _solid_masks(sequence)
    first, count = max(whole_runs(masks), key=lambda run: run[1], default=(0, 0))
    return Cutout(sequence, first, masks[first : first + count]) if count >= _LEAST_LOOKS else None


def host(sequence: DavisSequence, frames: int) -> Cutout | None:
    """The object on the first so many frames in a row that show it whole; returns and raises as :func:`cut_out`."""
    masks = _solid_masks(sequence)
    for first, count in whole_runs(masks):
        if count >= frames:
            return Cutout(sequence, first, masks[first : first + frames])
    return None


def whole_runs(masks: list[BoolArray]) -> list[tuple[int, int]]:
    """Runs of frames ``(first, count)`` that show an object whole: not cut by the border, nor a small part of it."""
    areas = np.array([int(mask.sum()) for mask in masks])
    if not areas.any():
        return []
    least = max(_AREA * float(np.median(areas[areas > 0])), _LEAST_AREA)
    whole = [area >= least and _cut(mask) <= _CUT for mask, area in zip(masks, areas, strict=True)]
    edges = np.flatnonzero(np.diff([0, *whole, 0]))
    return [(int(first), int(stop - first)) for first, stop in zip(edges[::2], edges[1::2], strict=True)]


def _solid_masks(sequence: DavisSequence) -> list[BoolArray]:
    """Of a sequence's one object; none where it has another number of objects."""
    if len(sequence.objects) != 1:
        return []
    (name,) = sequence.objects
    masks = [sequence.truth(index)[name] for index in range(len(sequence))]
    video = sequence.video()
    for path, mask in zip(sequence.annotations, masks, strict=True):
        if mask.shape != (video.height, video.width):
            raise DatasetError(
                f"{path} is {mask.shape[1]} x {mask.shape[0]} pixels, its sequence's images are {video.width} x "
                f"{video.height}"
            )
    return [solid(mask) for mask in masks]


def _cut(mask: BoolArray) -> float:
    """How many of an object's pixels lie at the picture's border, as a part of its box's outline."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    outline = 2 * (rows[-1] - rows[0] + columns[-1] - columns[0] + 2)
    # Without its outermost pixels the object ends one before the border.
    at_border = mask[:2].any(axis=0).sum() + mask[-2:].any(axis=0).sum()
    at_border += mask[:, :2].any(axis=1).sum() + mask[:, -2:].any(axis=1).sum()
    return float(at_border / outline)


def _centre(mask: BoolArray) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(x.mean()) + 0.5, float(y.mean()) + 0.5
