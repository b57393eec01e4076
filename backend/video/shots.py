"""Where one shot ends and the next begins.

Two frames of one shot show the same things in almost the same places and colours, however the camera moves; two
frames of different shots do not. What is compared are thumbnails, after a search for where each of their quarters
has moved to. A frame is then judged beside its neighbours: a cut stands out among them, which fast motion does
not; after a flash the old picture is back, which it is not after a cut. Of dissolves, those are found whose
pictures hardly move while they fade.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from backend.tracks import ImageArray
from backend.video.frames import FrameSource

Array = npt.NDArray[np.float32]
Value = TypeVar("Value")

THRESHOLD = 0.22

_HEIGHT, _WIDTH = 36, 64
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BINS = 12
# Of the luma thumbnail, which has half the size: the quarters that are searched for, and how far, in pixels.
_BLOCK = (_HEIGHT // 4, _WIDTH // 4)
_REACH = (5, 8)
# A variance that is as good as none: a flat area gives nothing to search for.
_FLAT = 4.0

# Below this a pair of frames is not looked at any further: for lack of a difference, nothing can make it a cut.
_SUSPICIOUS = 0.16
# By how much a cut exceeds the differences around it.
_STANDS_OUT = 2.0
# Frames for which a flash may last, and how alike the frames around it are, compared with those at its edge.
_FLASH = 4
_SAME_AGAIN = 0.65
# A dissolve is looked for over this many frames on either side of its middle, and this steady.
_DISSOLVE = 8
_STEADY = 0.4
_REMEMBERED = 64


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is kept of a frame: thumbnails in colour (``coarse`` hardly shows motion) and luma, and a histogram."""

    colour: Array
    coarse: Array
    luma: Array
    histogram: Array

    @classmethod
    def of(cls, image: ImageArray) -> Sketch:
        """Sketch an RGB image ``uint8 (H, W, 3)`` of any size."""
        colour = _shrink(image)
        luma = colour @ _LUMA
        halved = luma.reshape(_HEIGHT // 2, 2, _WIDTH // 2, 2).mean(axis=(1, 3))
        coarse = colour.reshape(_HEIGHT // 4, 4, _WIDTH // 4, 4, 3).mean(axis=(1, 3))
        return cls(colour, coarse, halved, _histogram(colour, luma))


def difference(a: Sketch, b: Sketch) -> float:
    """How unlike two frames are, from 0 to about 1, in either order.

    The geometric mean of three differences that each mean little alone: of the colours there are (which motion
    leaves as they are), of the colours in place, and of the structure that no motion explains.
    """
    colours = 0.5 * float(np.abs(a.histogram - b.histogram).sum()) / 3
    place = float(np.abs(a.colour - b.colour).mean()) / 100
    # Structure is what takes time to compare, and is never much more than 1.
    if colours * place < _SUSPICIOUS**3 / 1.5:
        return 0.0
    structure = 0.5 * (_unexplained(a.luma, b.luma) + _unexplained(b.luma, a.luma))
    return float((colours * place * structure) ** (1 / 3))


class ShotDetector:
    """Says of two frames, neighbours in time in either direction, whether a cut lies between them.

    It knows nothing of the frames around them and takes a flash for a cut; :class:`Shots` does not.
    """

    def __init__(self, threshold: float = THRESHOLD) -> None:
        """
        Args:
            threshold: the least :func:`difference` that is a cut; smaller finds more, and more that is none.
        """
        self.threshold = threshold

    def is_cut(self, previous: ImageArray, current: ImageArray) -> bool:
        """Whether two RGB images ``uint8 (H, W, 3)`` belong to different shots."""
        return difference(Sketch.of(previous), Sketch.of(current)) >= self.threshold


class Shots:
    """The cuts of one video, found where and when they are asked for, in any order.

    Asking about two frames looks at a few frames around them. Memory is bounded. Not thread-safe.
    """

    def __init__(self, video: FrameSource, threshold: float = THRESHOLD) -> None:
        """
        Args:
            video: the frames.
            threshold: see :class:`ShotDetector`.
        """
        self._video = video
        self._threshold = threshold
        self._sketches: OrderedDict[int, Sketch] = OrderedDict()
        self._steps: OrderedDict[int, float] = OrderedDict()
        self._known: dict[int, bool] = {}

    def see(self, index: int, image: ImageArray) -> None:
        """Take note of a frame that is at hand anyway, which saves reading it again."""
        if index not in self._sketches:
            _remember(self._sketches, index, Sketch.of(image))

    def between(self, a: int, b: int) -> bool:
        """Whether a cut, or the middle of a dissolve, lies between two frames; the order does not matter."""
        first, last = sorted((a, b))
        return any(self.starts(index) for index in range(first + 1, last + 1))

    def starts(self, index: int) -> bool:
        """Whether a frame is the first of a shot, which frame 0 is not said to be."""
        if index not in self._known:
            self._known[index] = 0 < index < len(self._video) and (self._is_cut(index) or self._is_dissolve(index))
        return self._known[index]

    def _is_cut(self, index: int) -> bool:
        step = self._step(index)
        if step < _SUSPICIOUS:
            return False
        # Converting the frame rate blends the frames at a cut, which makes two steps of it. It is one cut, where the
        # larger step is, and counts in full.
        if step < max(self._step(index - 1), self._step(index + 1)) or step == self._step(index - 1):
            return False
        full = max(step, self._across(index - 2, index), self._across(index - 1, index + 1))
        around = [self._step(index + offset) for offset in (-4, -3, -2, 2, 3, 4)]
        if full < self._threshold or full < _STANDS_OUT * float(np.median(around)):
            return False
        return not self._is_flash(index, full)

    def _is_flash(self, index: int, full: float) -> bool:
        """Whether the picture before a step is back a few frames later, or the one after it was there before."""
        # Two frames on the step's side must agree, since the one at the step may be blended of both pictures.
        returns = [
            max(self._across(index - 1, later), self._across(index - 2, later))
            for later in range(index + 1, min(index + _FLASH, len(self._video) - 1) + 1)
        ]
        returned = [
            max(self._across(earlier, index), self._across(earlier, index + 1))
            for earlier in range(max(index - 1 - _FLASH, 0), index - 1)
        ]
        return min(returns + returned, default=full) < min(_SAME_AGAIN * full, 1.5 * self._threshold)

    def _is_dissolve(self, index: int) -> bool:
        """Whether one picture fades into another, and is past the middle from this frame on."""
        first, last = index - _DISSOLVE, index + _DISSOLVE
        if first < 1 or last >= len(self._video) or self._across(first, last) < 1.5 * self._threshold:
            return False
        if any(self._step(near) >= _SUSPICIOUS for near in range(first, last + 1)):
            return False
        return self._share(index - 1) < 0.5 <= self._share(index) and self._steadiness(index) >= _STEADY

    def _share(self, index: int) -> float:
        """How far a frame is on the way from the picture before to the one after: 0 to 1."""
        before, now, after = self._around(index, _DISSOLVE)
        change = after - before
        return float((now - before) @ change / (change @ change + 1))

    def _steadiness(self, index: int) -> float:
        """The correlation of what changes before a frame with what changes after it.

        While a picture fades, each area goes on changing as it did. Motion changes an area as an edge passes over
        it, and then another.
        """
        before, now, after = self._around(index, _DISSOLVE // 2)
        earlier, later = now - before, after - now
        return float(earlier @ later / np.sqrt((earlier @ earlier) * (later @ later) + 1))

    def _around(self, index: int, distance: int) -> tuple[Array, Array, Array]:
        offsets = (-distance, 0, distance)
        before, now, after = (self._sketch(index + offset).coarse.ravel() for offset in offsets)
        return before, now, after

    def _step(self, index: int) -> float:
        """The difference between a frame and the one before it; 0 at the video's ends."""
        if index not in self._steps:
            _remember(self._steps, index, self._across(index - 1, index))
        return self._steps[index]

    def _across(self, first: int, last: int) -> float:
        if first < 0 or last >= len(self._video):
            return 0.0
        return difference(self._sketch(first), self._sketch(last))

    def _sketch(self, index: int) -> Sketch:
        if index not in self._sketches:
            _remember(self._sketches, index, Sketch.of(self._video.frame(index)))
        self._sketches.move_to_end(index)
        return self._sketches[index]


def find_cuts(video: FrameSource, threshold: float = THRESHOLD) -> list[int]:
    """The first frame of every shot but the first; reads the whole video once, in order."""
    shots = Shots(video, threshold)
    return [index for index in range(1, len(video)) if shots.starts(index)]


def _remember(memory: OrderedDict[int, Value], index: int, value: Value) -> None:
    memory[index] = value
    if len(memory) > _REMEMBERED:
        memory.popitem(last=False)


def _shrink(image: ImageArray) -> Array:
    """Mean colours ``float32 (36, 64, 3)``; of large images every few pixels are enough."""
    stride = max(min(image.shape[0] // (4 * _HEIGHT), image.shape[1] // (4 * _WIDTH)), 1)
    sparse = image[::stride, ::stride]
    rows, columns = (
        np.arange(count) * size // count for count, size in zip((_HEIGHT, _WIDTH), sparse.shape, strict=False)
    )
    # Where an image has fewer rows than the thumbnail, reduceat repeats them.
    sums = np.add.reduceat(np.add.reduceat(sparse, rows, axis=0, dtype=np.uint32), columns, axis=1)
    heights = np.maximum(np.diff(rows, append=sparse.shape[0]), 1)
    widths = np.maximum(np.diff(columns, append=sparse.shape[1]), 1)
    return (sums / np.outer(heights, widths)[:, :, None]).astype(np.float32)


def _histogram(colour: Array, luma: Array) -> Array:
    """Shares ``(3, bins)`` of luma and two colour differences, smoothed."""
    planes = (luma, colour[..., 0] - colour[..., 1] + 128, colour[..., 2] - luma + 128)
    result = []
    for plane in planes:
        bins = np.clip(plane * (_BINS / 256), 0, _BINS - 1).astype(int)
        smooth = np.convolve(np.bincount(bins.ravel(), minlength=_BINS), (0.25, 0.5, 0.25), "same")
        result.append(smooth / smooth.sum())
    return np.array(result, np.float32)


def _unexplained(source: Array, target: Array) -> float:
    """The part of a luma thumbnail's variance that is left after each quarter is fetched from where it fits best."""
    (height, width), (block_height, block_width) = target.shape, _BLOCK
    padded = np.pad(source, [(reach, reach) for reach in _REACH], mode="edge")
    moved = np.lib.stride_tricks.sliding_window_view(padded, target.shape).reshape(-1, height, width)
    left = (moved - target).reshape(-1, height // block_height, block_height, width // block_width, block_width)
    whole = target.reshape(height // block_height, block_height, width // block_width, block_width)
    return float(left.var(axis=(2, 4)).min(axis=0).sum() / (whole.var(axis=(1, 3)) + _FLAT).sum())
