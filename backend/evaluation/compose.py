"""What a made-up scene shows, with the truth about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from backend.evaluation.cutouts import feathered
from backend.evaluation.scenes import Guest, Scene
from backend.tracks import BoolArray, FloatArray, ImageArray

# An object covers another from this part of its area on.
_COVERS = 0.02


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame.

    Attributes:
        image: RGB ``uint8 (H, W, 3)``.
        numbers: at each pixel the number of the object that shows there, 0 the background, ``uint8 (H, W)``.
        whole: each object as if nothing were in front of it, ``bool (H, W)`` by number.
        areas: the pixels of each object, those beyond the picture's border too, by number.
    """

    image: ImageArray
    numbers: ImageArray
    whole: dict[int, BoolArray]
    areas: dict[int, int]

    def visible(self, number: int) -> BoolArray:
        """Where an object shows, ``bool (H, W)``."""
        return np.asarray(self.numbers == number)

    def visibility(self, number: int) -> float:
        """The part of an object that shows, 0 to 1."""
        return float(self.visible(number).sum()) / self.areas[number] if self.areas[number] else 0.0


def shots(scene: Scene) -> Iterator[Shot]:
    """A scene's frames, one after the other.

    Raises:
        DatasetError: an annotation cannot be read.
        VideoError: an image cannot be read.
    """
    guests = dict(enumerate(scene.guests, start=2))
    for frame in range(len(scene.host)):
        picture = scene.host.image(frame).astype(np.float32)
        canvas = picture.copy()
        own = scene.host.truth(frame)
        numbers = np.zeros(own.shape, np.uint8)
        whole: dict[int, BoolArray] = {}
        areas: dict[int, int] = {}
        for number in reversed(scene.front_to_back):
            if number in guests:
                cover, areas[number] = _paste(canvas, guests[number], frame)
                whole[number] = cover >= 0.5
            else:
                # What was pasted behind the host's object gives way to it.
                soft = feathered(own)[..., None]
                canvas += soft * (picture - canvas)
                whole[number], areas[number] = own, int(own.sum())
            numbers[whole[number]] = number
        yield Shot(np.clip(canvas + 0.5, 0, 255).astype(np.uint8), numbers, whole, areas)


def _paste(canvas: FloatArray, guest: Guest, frame: int) -> tuple[FloatArray, int]:
    """Paint a guest; returns how much of each pixel it covers, ``(H, W)``, and how many pixels it has in all."""
    shape = guest.shape(frame)
    height, width = shape.cover.shape
    x, y = guest.centres[frame]
    left, top = round(x + shape.left), round(y + shape.top)
    cover = np.zeros(canvas.shape[:2], np.float32)
    rows = slice(max(top, 0), max(min(top + height, cover.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, cover.shape[1]), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        part = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        cover[rows, columns] = shape.cover[part]
        area = canvas[rows, columns]
        area += shape.cover[part][..., None] * (guest.colours(frame)[part].astype(np.float32) - area)
    return cover, int(shape.mask.sum())


class Record:
    """What happens in a scene, gathered from its shots."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._numbers = range(1, 2 + len(scene.guests))
        self._visibilities: dict[int, list[float]] = {number: [] for number in self._numbers}
        self._covered: dict[tuple[int, int], list[float]] = {pair: [] for pair in combinations(self._numbers, 2)}

    def add(self, shot: Shot) -> None:
        """Take the next frame into account."""
        for number in self._numbers:
            self._visibilities[number].append(shot.visibility(number))
        for (one, other), parts in self._covered.items():
            behind = max(one, other, key=self._scene.front_to_back.index)
            common = np.logical_and(shot.whole[one], shot.whole[other]).sum()
            parts.append(float(common) / max(int(shot.whole[behind].sum()), 1))

    def summary(self) -> dict[str, Any]:
        """Who takes part, who is in front, which frames (from 0, first and last) show nothing of an object, and which
        ones show a pair of which one covers the other, with the largest part that is covered."""
        scene = self._scene
        objects: dict[str, Any] = {"1": {"sequence": scene.host.sequence.name, "host": True}}
        for number, guest in enumerate(scene.guests, start=2):
            objects[str(number)] = {
                "sequence": guest.cutout.sequence.name,
                "scale": round(guest.scale, 3),
                "mirrored": guest.mirrored,
            }
        for number in self._numbers:
            objects[str(number)]["absent"] = _runs([part == 0 for part in self._visibilities[number]])
        meetings = []
        for pair, parts in self._covered.items():
            front, behind = sorted(pair, key=scene.front_to_back.index)
            runs = _runs([part >= _COVERS for part in parts])
            if runs:
                meetings.append({"front": front, "behind": behind, "frames": runs, "most": round(max(parts), 3)})
        return {
            "kind": scene.kind,
            "frames": len(scene.host),
            "front_to_back": list(scene.front_to_back),
            "objects": objects,
            "meetings": meetings,
        }


def _runs(flags: list[bool]) -> list[tuple[int, int]]:
    """The first and the last index of each run of true ones."""
    edges = np.flatnonzero(np.diff([0, *flags, 0]))
    return [(int(first), int(stop) - 1) for first, stop in zip(edges[::2], edges[1::2], strict=True)]
