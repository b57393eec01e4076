"""A clip with many objects to measure with: any size, any length, and nothing ever leaves the picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from backend.evaluation.benchmark_report import Case
from backend.tracks import Box, ImageArray
from backend.video.writer import VideoWriter

COLUMNS, ROWS = 6, 5
MOST = COLUMNS * ROWS
FPS = 30.0
# Of an object's cell: the part that it covers, and the part around the middle in which its own middle moves.
_COVERS = 0.5
_MOVES = 0.4
# Frames for one round.
PERIOD = 75
# By how much the background moves, in pictures a frame: a slow pan.
_PAN = 1 / 900
_NOISE = 3.0
# Subpixel drawing: cv2's fixed point has this many bits behind the point.
_BITS = 4

Plane = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MovingScene:
    """``objects`` textured ellipses that go round, each in its own place, before a background that pans.

    An object's size, its way and its speed are parts of the picture's size and the same however many there are, so that
    scenes differ in nothing but the number that is compared. The same scene is the same to the last pixel each time.
    """

    objects: int
    width: int
    height: int
    frames: int

    def __post_init__(self) -> None:
        if not 1 <= self.objects <= MOST:
            raise ValueError(f"a scene has 1 to {MOST} objects, not {self.objects}")

    def names(self) -> list[str]:
        """The objects' names, sorted."""
        return [f"object {number:02d}" for number in range(1, self.objects + 1)]

    def box(self, number: int, frame: int) -> Box:
        """The box of an object, counted from 0, on a frame."""
        x, y, half_width, half_height = self._place(number, frame)
        return (x - half_width, y - half_height, x + half_width, y + half_height)

    def render(self) -> Iterator[ImageArray]:
        """Each frame, RGB ``uint8 (height, width, 3)``."""
        random = np.random.default_rng(20)
        backdrop = _texture(random, self.width, self.height, (110, 118, 104), 45.0)
        coats = [self._coat(random) for _ in range(self.objects)]
        noise = random.normal(0, _NOISE, (self.height + 64, self.width + 64, 1)).astype(np.float32)
        for frame in range(self.frames):
            canvas = np.roll(backdrop, -round(frame * _PAN * self.width), axis=1)
            for number, coat in enumerate(coats):
                self._draw(canvas, coat, number, frame)
            down, right = random.integers(0, 64, 2)
            canvas += noise[down : down + self.height, right : right + self.width]
            yield np.clip(canvas, 0, 255).astype(np.uint8)

    def write(self, path: Path) -> None:
        """Render to an MP4 file.

        Raises:
            VideoError: the file cannot be written.
        """
        with VideoWriter(path, self.width, self.height, FPS) as writer:
            for image in self.render():
                writer.write(image)

    def _place(self, number: int, frame: int) -> tuple[float, float, float, float]:
        """The middle of an object and half its size."""
        # Steps that share no factor with the number of cells visit them all, and few objects lie far apart.
        cell = (14 + 11 * number) % MOST
        row, column = divmod(cell, COLUMNS)
        width, height = self.width / COLUMNS, self.height / ROWS
        angle = 2 * math.pi * (frame / PERIOD + 0.37 * number) * (1 if number % 2 else -1)
        x = (column + 0.5 + _MOVES / 2 * math.cos(angle)) * width
        y = (row + 0.5 + _MOVES / 2 * math.sin(angle)) * height
        return x, y, _COVERS / 2 * width, _COVERS / 2 * height

    def _coat(self, random: np.random.Generator) -> Plane:
        """An object's texture, a little larger than its box: one strong colour, with stripes and grain."""
        _, _, half_width, half_height = self._place(0, 0)
        width, height = math.ceil(2 * half_width) + 2, math.ceil(2 * half_height) + 2
        hue = np.array([[[random.integers(0, 180), random.integers(190, 256), random.integers(150, 240)]]], np.uint8)
        red, green, blue = (int(value) for value in cv2.cvtColor(hue, cv2.COLOR_HSV2RGB)[0, 0])
        coat = _texture(random, width, height, (red, green, blue), 18.0)
        coat[:, (np.arange(width) * 8 // width) % 2 == 0] *= 0.8
        return coat

    def _draw(self, canvas: Plane, coat: Plane, number: int, frame: int) -> None:
        x, y, half_width, half_height = self._place(number, frame)
        left, top = math.floor(x - half_width), math.floor(y - half_height)
        height, width = coat.shape[:2]
        cover = np.zeros((height, width), np.uint8)
        scale = 1 << _BITS
        # cv2 counts from the middle of the first pixel.
        centre = (round((x - left - 0.5) * scale), round((y - top - 0.5) * scale))
        axes = (round(half_width * scale), round(half_height * scale))
        cv2.ellipse(cover, centre, axes, 0, 0, 360, 255, cv2.FILLED, cv2.LINE_AA, _BITS)
        alpha = cover[..., None].astype(np.float32) / 255
        area = canvas[top : top + height, left : left + width]
        area += alpha[: area.shape[0], : area.shape[1]] * (coat[: area.shape[0], : area.shape[1]] - area)


def scene_of(case: Case) -> MovingScene:
    """What a benchmark's clip shows."""
    return MovingScene(case.objects, case.width, case.height, case.frames)


def _texture(
    random: np.random.Generator, width: int, height: int, colour: tuple[int, int, int], contrast: float
) -> Plane:
    """A colour with smooth variations of several sizes, ``float32 (height, width, 3)``."""
    total = np.empty((height, width, 3), np.float32)
    total[:] = colour
    for cells, weight in ((3, 0.5), (9, 0.35), (40, 0.25)):
        grid = random.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        total += contrast * weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return total
