"""Scenes in which objects of several sequences meet: who moves where, and who is in front."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np

from backend.errors import DatasetError
from backend.evaluation import paths
from backend.evaluation.cutouts import BoxArray, Cutout, Shape, cut_out
from backend.evaluation.davis import DavisSequence
from backend.evaluation.paths import Centres, Stage, along
from backend.tracks import BoolArray, ImageArray

Kind = Literal["crossing", "return", "twins"]
KINDS: tuple[Kind, ...] = ("crossing", "return", "twins")

MOST_GUESTS = 3
# A guest's size as a part of the host's, and what is tried where that leaves no room for its way.
_SIZES = (0.85, 1.1)
_SHRINK = (1.0, 0.85, 0.72, 0.61)
_COVER = 1.5  # who hides another completely is larger
_HIDDEN = (0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35)
_LARGEST = (0.5, 0.75)  # of the picture's width and height
_MOST_SCALE = 1.6
# Pixels around what is hidden: positions are rounded, and edges soft.
_MARGIN = 3
_ATTEMPTS = 2
_COMPARED = 5  # sequences, of which the best pair for hiding is taken

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Guest:
    """An object that was cut out elsewhere; ``centres`` are where its centre of gravity is, ``(frames, 2)`` pixels."""

    cutout: Cutout
    scale: float
    mirrored: bool
    phase: int
    centres: Centres

    @cached_property
    def boxes(self) -> BoxArray:
        """``xyxy`` pixels, ``(frames, 4)``."""
        return along(self.centres, self.cutout.boxes(len(self.centres), self.scale, self.mirrored, self.phase))

    def shape(self, frame: int) -> Shape:
        """Its outline on a frame of the scene."""
        return self.cutout.shape(frame, self.scale, self.mirrored, self.phase)

    def colours(self, frame: int) -> ImageArray:
        """What goes with its outline, RGB ``uint8 (h, w, 3)``; raises VideoError where the image cannot be read."""
        return self.cutout.colours(frame, self.scale, self.mirrored, self.phase)


@dataclass(frozen=True, eq=False)
class Scene:
    """A host's frames with guests.

    Attributes:
        name: the scene's.
        kind: what happens.
        host: its sequence's frames are the scene's, and it is number 1.
        guests: numbers 2 and so on.
        front_to_back: all numbers, the nearest first.
    """

    name: str
    kind: Kind
    host: Cutout
    guests: tuple[Guest, ...]
    front_to_back: tuple[int, ...]


class Casting:
    """Makes scenes of sequences; the same ones for the same seed."""

    def __init__(
        self, sequences: Sequence[DavisSequence], frames: int, seed: int, *, forth_and_back: bool = False
    ) -> None:
        """
        Args:
            sequences: those with one object that is whole for long enough are used.
            frames: of each scene.
            seed: another one makes other scenes.
            forth_and_back: a host that is shorter than its scene goes forth and back; otherwise it is none.
        """
        self._frames, self._seed, self._forth_and_back = frames, seed, forth_and_back
        self._sequences = [sequences[index] for index in np.random.default_rng(seed).permutation(len(sequences))]

    def scene(self, kind: Kind, index: int, turn: int) -> Scene:
        """Make one.

        Args:
            kind: what happens.
            index: which of its kind, from 0.
            turn: which of all scenes, from 0; by turns all sequences are hosts.

        Raises:
            DatasetError: no sequence is long enough, or has room for it; or an annotation cannot be read.
            VideoError: an image cannot be read.
        """
        name = f"{kind}-{index + 1}"
        random = np.random.default_rng([self._seed, KINDS.index(kind), index])
        hosts = [
            found.lasting(self._frames) for found in self._cutouts if self._forth_and_back or len(found) >= self._frames
        ]
        if not hosts:
            raise DatasetError(
                f"none of {len(self._sequences)} sequences shows one object whole on {self._frames} frames in a row, "
                "as a scene needs it; ask for fewer frames, for hosts that go forth and back, or name other sequences"
            )
        for attempt in range(_ATTEMPTS * len(hosts)):
            found = hosts[(turn + attempt) % len(hosts)]
            guests = self._guests(kind, index, found, random)
            if guests:
                return Scene(name, kind, found, tuple(guests), _depth(kind, guests, random))
            log.info("%s: found no room for it in %s", name, found.sequence.name)
        raise DatasetError(
            f"the scene {name} could not be made: in none of the {len(hosts)} sequences that are long enough was "
            "there room for its objects; name more sequences, or take another seed"
        )

    def _guests(self, kind: Kind, index: int, host: Cutout, random: np.random.Generator) -> list[Guest]:
        scenery = _Scenery(Stage(*host.picture, self._frames), host, random)
        if kind == "twins":
            return scenery.twin()
        available = [cutout for cutout in self._cutouts if cutout.sequence is not host.sequence]
        others = [available[index] for index in random.permutation(len(available))]
        candidates = iter(others)
        if kind == "crossing":
            return scenery.crossing(candidates, 1 + (index + 1) % MOST_GUESTS)
        if index % 2 == 0:
            return scenery.leaving(candidates)
        return scenery.hiding(others[:_COMPARED])

    @cached_property
    def _cutouts(self) -> list[Cutout]:
        """Of all sequences that have something to be cut out."""
        found = map(cut_out, self._sequences)
        return [cutout for cutout in found if cutout is not None]


class _Scenery:
    """Finds ways for guests; an empty list says that there was no room."""

    def __init__(self, stage: Stage, host: Cutout, random: np.random.Generator) -> None:
        self.stage, self.host, self.random = stage, host, random
        self.placed = [host.own_boxes()]

    def crossing(self, candidates: Iterator[Cutout], count: int, crossed: int = 2) -> list[Guest]:
        """So many guests, fewer if there are no more, which meet the first ``crossed`` of those already there."""
        guests: list[Guest] = []
        for cutout in candidates:
            guest = self._crossing(cutout, self._phase(cutout), bool(self.random.integers(2)), crossed)
            if guest is not None:
                guests.append(guest)
                self.placed.append(guest.boxes)
            if len(guests) == count:
                break
        return guests

    def twin(self) -> list[Guest]:
        """The host's own object once more, mirrored and half a round ahead."""
        cutout = self.host
        guest = self._crossing(cutout, cutout.round_trip // 2, True, 1, size=1.0)
        return [guest] if guest is not None else []

    def leaving(self, candidates: Iterator[Cutout]) -> list[Guest]:
        """One goes out of the picture and comes back, another one crosses the host's object."""
        for cutout in candidates:
            for scale in self._scales(cutout, self.random.uniform(*_SIZES)):
                phase, mirrored = self._phase(cutout), bool(self.random.integers(2))
                boxes = cutout.boxes(self.stage.frames, scale, mirrored, phase)
                centres = paths.leaving(self.random, self.stage, boxes, self.placed)
                if centres is not None:
                    gone = Guest(cutout, scale, mirrored, phase, centres)
                    self.placed.append(gone.boxes)
                    return [gone, *self.crossing(candidates, 1, 1)]
        return []

    def hiding(self, candidates: Sequence[Cutout]) -> list[Guest]:
        """One hides behind another, which is larger, and comes out again; of several pairs the one whose hidden one is
        the largest."""
        best: list[Guest] = []
        sizes = list(_HIDDEN)
        for cover in candidates:
            hider = self._standing(cover)
            if hider is None:
                continue
            self.placed.append(hider.boxes)
            for cutout in candidates:
                found = self._hidden(cutout, hider, sizes) if cutout is not cover else None
                if found is not None:
                    size, guest = found
                    best, sizes = [hider, guest], [larger for larger in sizes if larger > size]
            self.placed.pop()
        return best

    def _crossing(
        self, cutout: Cutout, phase: int, mirrored: bool, crossed: int, size: float | None = None
    ) -> Guest | None:
        for scale in self._scales(cutout, size or self.random.uniform(*_SIZES)):
            boxes = cutout.boxes(self.stage.frames, scale, mirrored, phase)
            centres = paths.crossing(self.random, self.stage, boxes, self.placed, min(len(self.placed), crossed))
            if centres is not None:
                return Guest(cutout, scale, mirrored, phase, centres)
        return None

    def _standing(self, cutout: Cutout) -> Guest | None:
        phase, mirrored = self._phase(cutout), bool(self.random.integers(2))
        for scale in self._scales(cutout, _COVER):
            boxes = cutout.boxes(self.stage.frames, scale, mirrored, phase)
            centres = paths.standing(self.random, self.stage, boxes, self.placed)
            if centres is not None:
                return Guest(cutout, scale, mirrored, phase, centres)
        return None

    def _hidden(self, cutout: Cutout, hider: Guest, sizes: Sequence[float]) -> tuple[float, Guest] | None:
        """The largest of some sizes in which an object can hide, parts of the host's, and the guest of that size."""
        phase, mirrored = self._phase(cutout), bool(self.random.integers(2))
        for size in sizes:
            scale = self.host.size * size / cutout.size
            places = hiding_places(hider, Guest(cutout, scale, mirrored, phase, hider.centres), self.stage.gone)
            if places is None:
                continue
            boxes = cutout.boxes(self.stage.frames, scale, mirrored, phase)
            centres = paths.hiding(self.random, self.stage, boxes, places, self.placed)
            if centres is not None:
                return size, Guest(cutout, scale, mirrored, phase, centres)
        return None

    def _scales(self, cutout: Cutout, size: float) -> list[float]:
        boxes = cutout.boxes(self.stage.frames, 1.0, False, 0)
        widest, highest = (boxes[:, 2:] - boxes[:, :2]).max(axis=0)
        most = min(_LARGEST[0] * self.stage.width / widest, _LARGEST[1] * self.stage.height / highest, _MOST_SCALE)
        return [min(self.host.size * size / cutout.size, float(most)) * shrink for shrink in _SHRINK]

    def _phase(self, cutout: Cutout) -> int:
        return int(self.random.integers(cutout.round_trip))


def hiding_places(hider: Guest, guest: Guest, frames: Sequence[int]) -> Centres | None:
    """Where a guest is hidden completely by another one.

    Returns:
        where the guest's centre has to be on each of the frames, ``(len(frames), 2)`` pixels: of all places the one
        nearest to that of the frame before. None where the guest is too large on one of them.
    """
    places: list[Centres] = []
    offset = np.zeros(2)
    for frame in frames:
        cover, shape = _around_centre(hider.shape(frame)), _around_centre(guest.shape(frame))
        kernel = cv2.dilate(np.pad(shape, _MARGIN).astype(np.float32), np.ones((2 * _MARGIN + 1,) * 2, np.uint8))
        room = len(kernel)
        # How much of the shape would stick out, for each place.
        open_to_view = np.pad(~cover, room, constant_values=True).astype(np.float32)
        out = cv2.filter2D(open_to_view, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        y, x = np.nonzero(out < 0.5)
        if not len(x):
            return None
        offsets = np.stack([x, y], axis=1) - len(open_to_view) // 2
        offset = offsets[np.argmin(((offsets - offset) ** 2).sum(axis=1))].astype(np.float64)
        places.append(hider.centres[frame] + offset)
    return np.stack(places)


def _around_centre(shape: Shape) -> BoolArray:
    """A mask in a square whose middle pixel is its centre, ``bool (2 r + 1, 2 r + 1)``."""
    height, width = shape.cover.shape
    left, top = round(shape.left), round(shape.top)
    radius = max(-left, -top, left + width, top + height) + 1
    square = np.zeros((2 * radius + 1,) * 2, bool)
    square[top + radius : top + radius + height, left + radius : left + radius + width] = shape.mask
    return square


def _depth(kind: Kind, guests: Sequence[Guest], random: np.random.Generator) -> tuple[int, ...]:
    """All numbers, the nearest first: by chance, but that number 2 is what hides number 3."""
    order = [int(number) for number in 1 + random.permutation(1 + len(guests))]
    if kind == "return" and len(guests) == 2 and order.index(2) > order.index(3):
        order[order.index(2)], order[order.index(3)] = 3, 2
    return tuple(order)
