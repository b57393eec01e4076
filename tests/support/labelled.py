"""A small labelled video with everything in it that is hard to write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.tracks import BoolArray, Box, Mask
from backend.video.frames import Frames
from support.clips import coded_frames, make_clip

SIZE = (161, 119)
LENGTH = 14
LABELLED = (2, 3, 4, 6, 7, 11)
LABELS = ("Car", 'Per"son\n№ 1')
OVERLAP = 6  # a labelled frame on which the second object lies over a part of the first
TRUCK, WALKER = "reg-truck", 'reg "walker", 2'


def truck_mask(frame: int) -> BoolArray:
    """Two parts, the larger one with a hole, that move to the right."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[30:71, 10 + frame : 61 + frame] = True
    mask[45:52, 30 + frame : 41 + frame] = False
    mask[80:91, 20 + frame : 33 + frame] = True
    return mask


def walker_mask(frame: int) -> BoolArray | None:
    """A disc that is cut off by the picture's right and lower border, or lies on the truck; absent on 4 and 7."""
    if frame in (4, 7):
        return None
    x, y = (60, 60) if frame == OVERLAP else (155, 110)
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= 17**2


def truth(frame: int) -> dict[int, BoolArray]:
    """The masks on a frame by the objects' numbers."""
    walker = walker_mask(frame)
    return {1: truck_mask(frame), **({} if walker is None else {2: walker})}


def flat_truth(frame: int) -> dict[int, BoolArray]:
    """The same without overlap: the lowest number has the pixel."""
    masks = truth(frame)
    return {number: mask & ~masks[1] if number == 2 else mask for number, mask in masks.items()}


def make_video(path: Path, length: int = LENGTH, size: tuple[int, int] = SIZE) -> Path:
    """A lossless clip whose frames tell their number."""
    return make_clip(path, coded_frames(length, *size), codec="ffv1", pix_fmt="bgr0")


def labelled_video(
    frames: Frames | None, *, name: str = "clip", masks: bool = True, labelled: Sequence[int] = LABELLED
) -> LabelledVideo:
    """The two objects; with boxes alone the truck's reaches beyond the picture's left border."""
    every = range(LENGTH)
    truck = {frame: Mask.from_array(truck_mask(frame)) for frame in every}
    walker = {frame: Mask.from_array(mask) for frame in every if (mask := walker_mask(frame)) is not None}
    reaching = {frame: (frame - 5.25, 30.5, 60.0, 91.0) for frame in every}
    objects = [
        LabelledObject(TRUCK, LABELS[0], _boxes(truck) if masks else reaching, truck if masks else {}),
        LabelledObject(WALKER, LABELS[1], _boxes(walker), walker if masks else {}),
    ]
    return LabelledVideo(name, SIZE, LENGTH, 10.0, labelled, objects, frames)


def labelled_dataset(frames: Frames | None, *, masks: bool = True) -> Dataset:
    """A dataset of this video alone."""
    return Dataset(LABELS, [labelled_video(frames, masks=masks)])


def _boxes(masks: dict[int, Mask]) -> dict[int, Box]:
    return {frame: mask.box for frame, mask in masks.items() if mask.box is not None}
