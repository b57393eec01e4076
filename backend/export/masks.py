"""Masks as DAVIS keeps them: an indexed PNG a frame, the pixel's value the object's number."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.errors import OutputError
from backend.export.colours import PALETTE_SIZE, davis_palette
from backend.export.results import write_text
from backend.export.tracked import TrackedObject, tracked_frames
from backend.tracks import ImageArray, Observation

MOST_OBJECTS = PALETTE_SIZE - 1


def write_masks(directory: Path, names: Path, objects: Sequence[TrackedObject], size: tuple[int, int]) -> int:
    """Write ``directory/00000.png`` and so on for every tracked frame, named by its index, and what the numbers mean.

    Objects are numbered from 1 in their order; 0 is the background. Where two overlap, the surer one has the pixel.

    Args:
        directory: made if it is not there.
        names: the JSON file of the numbers: ``{"1": {"id": "cat", "label": "Animal"}}``.
        objects: at most 255.
        size: the video's width and height.

    Returns:
        the number of masks.

    Raises:
        OutputError: too many objects, or a file cannot be written.
    """
    check_count(len(objects))
    palette = [channel for colour in davis_palette() for channel in colour]
    frames = tracked_frames(objects)
    meaning = {str(number): {"id": item.id, "label": item.label} for number, item in enumerate(objects, start=1)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            found = {number: item.track.observations.get(frame) for number, item in enumerate(objects, start=1)}
            image = Image.fromarray(number_map(found, size))
            image.putpalette(palette)  # makes a grey image an indexed one
            image.save(directory / f"{frame:05d}.png")
    except OSError as error:
        raise OutputError(f"cannot write the masks: {error}") from error
    write_text(names, json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")
    return len(frames)


def number_map(found: dict[int, Observation | None], size: tuple[int, int]) -> ImageArray:
    """``uint8 (H, W)``: at each pixel the number of the object there; of several the one with the highest score, or
    the lowest number. ``size`` is width and height."""
    numbers: npt.NDArray[np.uint8] = np.zeros(size[::-1], np.uint8)
    present = [(one.score, -number, one.mask) for number, one in found.items() if one is not None and one.mask]
    for _, negative, mask in sorted(present, key=lambda entry: entry[:2]):
        numbers[mask.array()] = -negative
    return numbers


def check_count(objects: int) -> None:
    """Refuse more objects than there are numbers.

    Raises:
        OutputError: too many.
    """
    if objects > MOST_OBJECTS:
        raise OutputError(
            f"indexed masks hold {MOST_OBJECTS} objects, not {objects}; give --no-masks, or track them in parts"
        )
