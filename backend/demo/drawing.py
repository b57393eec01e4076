"""Drawing a street: a textured backdrop, and cars and people with shade and grain.

Everything is drawn on a canvas ``SUPERSAMPLING`` times the size of the frame, ``(height, width, 3)`` float32 RGB in
0..255, which is reduced afterwards; so edges are soft, as a lens makes them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

SUPERSAMPLING = 2
Colour = tuple[int, int, int]
Canvas = npt.NDArray[np.float32]
Plane = npt.NDArray[np.float32]
Polygon = Sequence[tuple[float, float]]

SKIN, HAIR, SHOES = (206, 160, 130), (58, 42, 32), (40, 36, 36)
TROUSERS, TYRE, RIM = (52, 58, 88), (30, 30, 32), (168, 170, 174)
GLASS, LAMP, SHADOW = (62, 78, 96), (240, 226, 170), (26, 26, 30)


def grain(height: int, width: int, random: np.random.Generator) -> Plane:
    """Noise of several sizes in about -1..1, ``(height, width)``: what makes a surface look like one."""
    total = np.zeros((height, width), np.float32)
    for octave, weight in ((2, 0.4), (5, 0.35), (17, 0.25)):
        small = random.normal(0, 1, (height // octave + 2, width // octave + 2)).astype(np.float32)
        total += np.float32(weight) * cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return total


def backdrop(width: int, height: int, random: np.random.Generator) -> Canvas:
    """Sky, houses of brick, pavement, road and a strip of grass."""
    noise = grain(height, width, random)[..., None]
    canvas = np.empty((height, width, 3), np.float32)
    for top, bottom, colour, roughness in (
        (0.00, 0.55, (150, 185, 222), 3.0),
        (0.55, 0.66, (160, 158, 152), 8.0),
        (0.66, 0.92, (92, 93, 97), 9.0),
        (0.92, 1.00, (96, 128, 62), 20.0),
    ):
        rows = slice(round(top * height), round(bottom * height))
        lit = np.linspace(1.06, 0.94, rows.stop - rows.start, dtype=np.float32)[:, None, None]
        canvas[rows] = np.array(colour, np.float32) * lit + roughness * noise[rows]
    _houses(canvas, noise, random)
    kerb = slice(int(height * 0.655), int(height * 0.67))
    canvas[kerb] = np.array((188, 186, 180), np.float32) + 6 * noise[kerb]
    dash, line = width // 12, slice(int(height * 0.785), int(height * 0.797))
    for x in range(dash // 3, width, 2 * dash):
        canvas[line, x : x + dash] = np.array((205, 203, 190), np.float32) + 8 * noise[line, x : x + dash]
    return canvas


def _houses(canvas: Canvas, noise: Plane, random: np.random.Generator) -> None:
    height, width = canvas.shape[:2]
    x, base = 0, round(height * 0.55)
    while x < width:
        span, top = int(width * random.uniform(0.13, 0.2)), int(height * random.uniform(0.08, 0.22))
        wall = canvas[top:base, x : x + span]
        tone = np.array(random.choice([(152, 104, 84), (172, 148, 118), (128, 120, 116)]), np.float32)
        wall[:] = tone * np.float32(random.uniform(0.85, 1.1)) + 9 * noise[top:base, x : x + span]
        wall[::7] *= 0.86  # courses of brick
        step = span // 4
        for column in range(step // 2, wall.shape[1] - step // 2, step):
            for row in range(14, wall.shape[0] - 40, 62):
                pane = wall[row : row + 38, column : column + step // 2]
                pane[:] = np.array((70, 84, 104), np.float32) * np.float32(random.uniform(0.7, 1.3))
                pane[:3] = pane[-3:] = (206, 200, 190)
        x += span


class Painter:
    """Draws lit shapes in an actor's own coordinates: x to the right, y up from the ground, in pixels at scale 1.

    ``covered`` collects what the shapes cover, ``(height, width)`` in 0..1; shadows do not count.
    """

    def __init__(self, canvas: Canvas, x: float, y: float, scale: float, noise: Plane) -> None:
        self._canvas = canvas
        self._x, self._y = x * SUPERSAMPLING, y * SUPERSAMPLING
        self._scale = scale * SUPERSAMPLING
        self._noise = noise
        self.covered = np.zeros(canvas.shape[:2], np.float32)

    def polygon(self, points: Polygon, colour: Colour, *, shadow: float = 0.0) -> None:
        """A filled polygon, brighter above than below; with ``shadow`` it darkens what is behind it by that much."""
        shape = np.array([(self._x + self._scale * x, self._y - self._scale * y) for x, y in points])
        height, width = self._canvas.shape[:2]
        left, top = np.clip(np.floor(shape.min(axis=0)).astype(int) - 1, 0, (width, height))
        right, bottom = np.clip(np.ceil(shape.max(axis=0)).astype(int) + 2, 0, (width, height))
        if left >= right or top >= bottom:
            return
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [np.round((shape - (left, top)) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        alpha = mask.astype(np.float32)[..., None] / 255
        area = self._canvas[top:bottom, left:right]
        if shadow:
            area *= 1 - shadow * alpha
            return
        # The grain is fixed to the actor, not to the frame: it moves with what it belongs to.
        rows = (np.arange(top, bottom) - int(self._y)) % self._noise.shape[0]
        columns = (np.arange(left, right) - int(self._x)) % self._noise.shape[1]
        light = np.linspace(1.18, 0.82, bottom - top, dtype=np.float32)[:, None, None]
        paint = np.array(colour, np.float32) * light + 7 * self._noise[np.ix_(rows, columns)][..., None]
        area += alpha * (paint - area)
        covered = self.covered[top:bottom, left:right]
        np.maximum(covered, alpha[..., 0], out=covered)

    def disc(
        self, x: float, y: float, radius: float, colour: Colour, *, flat: float = 1.0, shadow: float = 0.0
    ) -> None:
        """A disc, or an ellipse ``flat`` times as high as wide."""
        angles = np.linspace(0, 2 * math.pi, 40, endpoint=False)
        points = [(x + radius * math.cos(a), y + flat * radius * math.sin(a)) for a in angles]
        self.polygon(points, colour, shadow=shadow)

    def limb(self, points: Polygon, thickness: float, colour: Colour) -> None:
        """A bent bar with round ends through the points."""
        half = thickness / 2
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            length = math.hypot(x1 - x0, y1 - y0) or 1.0
            nx, ny = (y1 - y0) / length * half, (x0 - x1) / length * half
            self.polygon([(x0 + nx, y0 + ny), (x1 + nx, y1 + ny), (x1 - nx, y1 - ny), (x0 - nx, y0 - ny)], colour)
        for x, y in points:
            self.disc(x, y, half, colour)


def draw_car(painter: Painter, colour: Colour, facing: int, travelled: float) -> None:
    """A car of 140 x 52 pixels; its wheels have turned by ``travelled`` pixels of road."""

    def part(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [(facing * x, y) for x, y in points]

    dark = (int(colour[0] * 0.62), int(colour[1] * 0.62), int(colour[2] * 0.62))
    painter.disc(0, 1, 74, SHADOW, flat=0.11, shadow=0.55)
    painter.polygon(part((-70, 12), (-70, 28), (-62, 34), (-40, 36), (46, 35), (64, 29), (70, 22), (70, 12)), colour)
    painter.polygon(part((-48, 34), (-34, 52), (16, 52), (36, 34)), colour)
    painter.polygon(part((-41, 35), (-31, 48), (-8, 48), (-8, 35)), GLASS)
    painter.polygon(part((-4, 35), (-4, 48), (14, 48), (28, 35)), GLASS)
    painter.polygon(part((-70, 9), (-70, 15), (70, 15), (70, 9)), dark)
    painter.limb(part((-5, 33), (-5, 16)), 1.2, dark)
    painter.limb(part((-2, 29), (6, 29)), 1.6, dark)
    painter.polygon(part((60, 28), (68, 24), (68, 20), (60, 22)), LAMP)
    painter.polygon(part((-70, 27), (-64, 28), (-64, 22), (-70, 22)), (150, 24, 24))
    for x in (-43, 43):
        painter.disc(x, 12, 13, TYRE)
        painter.disc(x, 12, 7.5, RIM)
        for spoke in range(3):
            angle = -facing * travelled / 13 + spoke * math.pi / 3
            dx, dy = 6.5 * math.cos(angle), 6.5 * math.sin(angle)
            painter.limb([(x - dx, 12 - dy), (x + dx, 12 + dy)], 1.6, TYRE)


def draw_person(painter: Painter, colour: Colour, facing: int, travelled: float) -> None:
    """A person of about 30 x 92 pixels in a coat, walking; ``travelled`` pixels of road set the legs."""
    swing = math.sin(travelled / 13.0)
    painter.disc(0, 1, 14, SHADOW, flat=0.16, shadow=0.35)
    for side in (-1, 1):
        foot = facing * 10 * swing * side
        lift = max(0.0, -math.cos(travelled / 13.0) * side) * 3
        painter.limb([(0, 42), (foot * 0.5 + facing * 2, 23), (foot, 5 + lift)], 8.5, TROUSERS)
        painter.limb([(foot - facing, 3 + lift), (foot + facing * 6, 2.5 + lift)], 5, SHOES)
    dark = (int(colour[0] * 0.75), int(colour[1] * 0.75), int(colour[2] * 0.75))
    painter.limb([(0, 69), (-facing * 8 * swing, 56), (-facing * 9 * swing + facing * 3, 45)], 6.5, dark)
    painter.polygon([(-10, 36), (-11, 60), (-8, 73), (8, 73), (11, 60), (10, 36)], colour)
    painter.limb([(0, 70), (facing * 7 * swing, 57), (facing * 8 * swing + facing * 3, 46)], 6.5, dark)
    painter.disc(facing * 8 * swing + facing * 3, 44, 3, SKIN)
    painter.limb([(0, 72), (facing * 1, 78)], 6, SKIN)
    painter.disc(facing * 1.5, 84, 8, SKIN)
    painter.polygon(
        [
            (facing * 8, 88),
            (facing * 4, 92.5),
            (-facing * 4, 92),
            (-facing * 7, 86),
            (-facing * 6, 79),
            (-facing * 3, 86),
            (facing * 4, 88),
        ],
        HAIR,
    )
