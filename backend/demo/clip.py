"""A short street scene drawn by ourselves, so that every object's box is known on every frame.

It is no photograph, but a segmenter that was trained on photographs finds the objects in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from backend.demo.drawing import SUPERSAMPLING, Colour, Painter, Plane, backdrop, draw_car, draw_person, grain
from backend.tracks import Box, ImageArray
from backend.video.writer import VideoWriter

SENSOR_NOISE = 2.0  # standard deviation in levels; without it a still background would be exactly still


@dataclass(frozen=True)
class Actor:
    """Something that moves: where its middle stands on the ground on the first and on the last frame, in pixels.

    ``scale`` is the size on the first and on the last frame; ``pace`` bends the motion, above 1 it starts slowly and
    below 1 it ends slowly.
    """

    name: str
    kind: Literal["car", "person"]
    colour: Colour
    start: tuple[float, float]
    end: tuple[float, float]
    scale: tuple[float, float] = (1.0, 1.0)
    pace: float = 1.0

    def at(self, progress: float) -> tuple[float, float, float]:
        """x, y and scale at a progress of 0..1."""
        eased = progress**self.pace
        x = self.start[0] + (self.end[0] - self.start[0]) * eased
        y = self.start[1] + (self.end[1] - self.start[1]) * eased
        return x, y, self.scale[0] + (self.scale[1] - self.scale[0]) * eased


@dataclass(frozen=True)
class Scene:
    """What a clip shows: who moves in it, its size in pixels, its length in frames and its frame rate."""

    actors: tuple[Actor, ...]
    width: int = 640
    height: int = 360
    frames: int = 60
    fps: int = 15

    def render(self) -> Iterator[tuple[ImageArray, dict[str, Box]]]:
        """Each frame, ``(height, width, 3)`` RGB, with the box of the pixels each actor covers, by its name."""
        random = np.random.default_rng(7)
        empty = backdrop(self.width * SUPERSAMPLING, self.height * SUPERSAMPLING, random)
        noise = grain(512, 512, random)
        for index in range(self.frames):
            canvas = empty.copy()
            progress = index / max(self.frames - 1, 1)
            boxes = {}
            for actor in sorted(self.actors, key=lambda actor: actor.at(progress)[1]):  # the far ones first
                x, y, scale = actor.at(progress)
                painter = Painter(canvas, x, y, scale, noise)
                draw = draw_car if actor.kind == "car" else draw_person
                facing = 1 if actor.end[0] >= actor.start[0] else -1
                draw(painter, actor.colour, facing, abs(x - actor.start[0]) / scale)
                boxes[actor.name] = self._box(painter.covered)
            image = cv2.resize(canvas, (self.width, self.height), interpolation=cv2.INTER_AREA)
            image = image + random.normal(0, SENSOR_NOISE, image.shape)
            yield np.clip(image, 0, 255).astype(np.uint8), boxes

    def true_boxes(self) -> dict[str, list[Box]]:
        """Each actor's box on each frame."""
        boxes: dict[str, list[Box]] = {actor.name: [] for actor in self.actors}
        for _, shown in self.render():
            for name, box in shown.items():
                boxes[name].append(box)
        return boxes

    def write(self, path: Path) -> None:
        """Render to an MP4 file.

        Raises:
            VideoError: the file cannot be written.
        """
        with VideoWriter(path, self.width, self.height, self.fps) as writer:
            for image, _ in self.render():
                writer.write(image)

    def _box(self, covered: Plane) -> Box:
        """The tight box, in pixels of the finished frame, of what is at least half covered."""
        inside = cv2.resize(covered, (self.width, self.height), interpolation=cv2.INTER_AREA) >= 0.5
        ys, xs = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        return (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))


STREET = Scene(
    (
        Actor("car", "car", (190, 40, 36), (95, 316), (545, 300), scale=(1.0, 0.86), pace=0.8),
        Actor("person", "person", (206, 170, 60), (520, 230), (330, 230), scale=(1.15, 1.15)),
    )
)
