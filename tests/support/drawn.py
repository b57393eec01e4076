"""Sequences in DAVIS's layout with one drawn object each, told by its colour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from backend.tracks import BoolArray, ImageArray
from support.davis import write_sequence

WIDTH, HEIGHT, FRAMES = 192, 120, 20
# An object's left and right half; its background is grey.
COLOURS = {
    "red": ((230, 20, 20), (150, 10, 10)),
    "green": ((20, 220, 20), (10, 130, 10)),
    "blue": ((30, 30, 240), (15, 15, 150)),
    "yellow": ((230, 230, 20), (150, 150, 10)),
}
_CHANNELS = {"red": (True, False, False), "green": (False, True, False), "blue": (False, False, True)}
_CHANNELS["yellow"] = (True, True, False)
_GREYS = {"red": 60, "green": 110, "blue": 160, "yellow": 210}


def looks_like(name: str, image: ImageArray) -> BoolArray:
    """Which pixels have the colour of a sequence's object, ``bool (H, W)``."""
    strong = image.astype(int) - image.min(axis=2, keepdims=True) > 60
    return np.all(strong == np.array(_CHANNELS[name]), axis=2)


def draw(name: str, frame: int) -> tuple[ImageArray, BoolArray]:
    """An ellipse that goes to and fro and breathes, and where it is."""
    x, y = 96 + 12 * np.sin(frame / 3), 60 + 3 * np.cos(frame / 2)
    half_width, half_height = 17 + 2 * np.sin(frame / 2), 14
    box = (x - half_width, y - half_height, x + half_width, y + half_height)
    covered = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(covered).ellipse(box, fill=255)
    mask = np.array(covered) > 0
    image = np.full((HEIGHT, WIDTH, 3), _GREYS[name], np.uint8)
    left = np.arange(WIDTH)[None] < x
    image[mask & left], image[mask & ~left] = COLOURS[name]
    return image, mask


def write_drawn(root: Path, name: str, frames: int = FRAMES) -> None:
    """Add a sequence; ``name`` is one of :data:`COLOURS`."""
    drawn = [draw(name, frame) for frame in range(frames)]
    truths = [np.where(mask, 255, 0).astype(np.uint8) for _, mask in drawn]
    write_sequence(root, name, truths, images=[image for image, _ in drawn], indexed=False)
