"""Objects cut out of a sequence by its annotations, to be pasted into another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
# Pixels around an object: an edge needs room to be soft.
_ROOM = 4


@dataclass(frozen=True, eq=False)
class Shape:
    """Where an object is, relative to its centre of gravity.

    Attributes:
        cover: how much of each pixel is the object's, 0 to 1, ``float32 (h, w)``.
        left, top: from the centre of gravity to the upper left corner of ``cover``, in pixels.
    """

    cover: FloatArray
    left: float
    top: float

    @property
    def mask(self) -> BoolArray:
        """The object's pixels, ``bool (h, w)``."""
        return np.asarray(self.cover >= 0.5)


class Cutout:
    """An object on a run of frames.

    As a guest in another picture it goes through them forth and back for as long as is needed: what is asked for by
    ``scale``, ``mirrored`` and ``phase``, the frame that it begins with, is its look there.

    Attributes:
        sequence: where it is cut out.
        frames: the run's frames there.
    """

    def __init__(self, sequence: DavisSequence, frames: Sequence[int], masks: Sequence[Mask]) -> None:
        """``masks`` are what is cut out on the run's frames."""
        self.sequence = sequence
        self.frames = frames
        self._object = sequence.objects[0]
        self._video = sequence.video()
        self._masks = list(masks)

    def __len__(self) -> int:
        return len(self._masks)

    def lasting(self, count: int) -> Cutout:
        """Its first ``count`` frames; where it has fewer, it goes through them forth and back."""
        run = [self._index(frame, 0) for frame in range(count)]
        return Cutout(self.sequence, [self.frames[index] for index in run], [self._masks[index] for index in run])

    @property
    def picture(self) -> tuple[int, int]:
        """Width and height of its own sequence's images."""
        return self._video.width, self._video.height

    def image(self, frame: int) -> ImageArray:
        """Its own sequence's image on a frame of the run; raises VideoError where that cannot be read."""
        return self._video.frame(self.frames[frame])

    def truth(self, frame: int) -> BoolArray:
        """What its own sequence says of it on a frame of the run, ``bool (H, W)``; raises DatasetError where that
        cannot be read."""
        return self.sequence.truth(self.frames[frame])[self._object]

    @cached_property
    def size(self) -> float:
        """The side of a square of its median area, in pixels."""
        return float(np.sqrt(np.median([mask.area for mask in self._masks])))

    @property
    def round_trip(self) -> int:
        """Frames until it looks and moves the same again."""
        return max(2 * len(self) - 2, 1)

    def own_boxes(self) -> BoxArray:
        """``xyxy`` pixels in its own sequence, ``(len, 4)``."""
        return np.array([mask.box for mask in self._masks], np.float64)

    def boxes(self, frames: int, scale: float, mirrored: bool, phase: int) -> BoxArray:
        """``xyxy`` pixels from its centre of gravity, ``(frames, 4)``."""
        boxes: BoxArray = self._centred[[self._index(frame, phase) for frame in range(frames)]] * scale
        if mirrored:
            boxes[:, [0, 2]] = -boxes[:, [2, 0]]
        return boxes

    def shape(self, frame: int, scale: float, mirrored: bool, phase: int) -> Shape:
        """Its outline on a frame."""
        index = self._index(frame, phase)
        rows, columns = self._crop(index)
        x, y = self._centres[index]
        inside = self._masks[index].array()[rows, columns].astype(np.float32)
        left = x - columns.stop if mirrored else columns.start - x
        cover = feathered(_resized(inside, scale, mirrored))
        return Shape(cover, left * scale, (rows.start - y) * scale)

    def colours(self, frame: int, scale: float, mirrored: bool, phase: int) -> ImageArray:
        """What goes with :meth:`shape`, RGB ``uint8 (h, w, 3)``; raises VideoError where the image cannot be read."""
        index = self._index(frame, phase)
        return np.asarray(_resized(self.image(index)[self._crop(index)], scale, mirrored))

    @cached_property
    def _centres(self) -> list[tuple[float, float]]:
        return [_centre(mask.array()) for mask in self._masks]

    @cached_property
    def _centred(self) -> BoxArray:
        return np.asarray(self.own_boxes() - np.tile(np.array(self._centres), (1, 2)))

    def _crop(self, index: int) -> tuple[slice, slice]:
        box = self._masks[index].box
        if box is None:
            raise ValueError("an object that is whole has a box")
        (width, height), (x0, y0, x1, y1) = self.picture, (int(side) for side in box)
        rows = slice(max(y0 - _ROOM, 0), min(y1 + _ROOM, height))
        return rows, slice(max(x0 - _ROOM, 0), min(x1 + _ROOM, width))

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
    if count < _LEAST_LOOKS:
        return None
    run = range(first, first + count)
    return Cutout(sequence, run, [Mask.from_array(masks[frame]) for frame in run])


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


def _resized(plane: npt.NDArray[Any], scale: float, mirrored: bool) -> npt.NDArray[Any]:
    size = max(round(plane.shape[1] * scale), 1), max(round(plane.shape[0] * scale), 1)
    source = np.ascontiguousarray(plane[:, ::-1] if mirrored else plane)
    return np.asarray(cv2.resize(source, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR))


def _centre(mask: BoolArray) -> tuple[float, float]:
    y, x = np.nonzero(mask)
    return float(x.mean()) + 0.5, float(y.mean()) + 0.5
