"""Masks as DAVIS keeps them: an indexed PNG a frame, the pixel's value the object's number."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.errors import OutputError
from backend.export.colours import PALETTE_SIZE, davis_palette
from backend.export.results import write_text
from backend.export.tracked import TrackedObject, tracked_frames
from backend.tracks import ImageArray, Mask, Observation

NumberArray = npt.NDArray[np.uint16]

MOST_OBJECTS = PALETTE_SIZE - 1

_PALETTE = [channel for colour in davis_palette() for channel in colour]


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
    frames = tracked_frames(objects)
    meaning = {str(number): {"id": item.id, "label": item.label} for number, item in enumerate(objects, start=1)}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            found = {number: item.track.observations.get(frame) for number, item in enumerate(objects, start=1)}
            save_indexed(directory / f"{frame:05d}.png", number_map(found, size))
    except OSError as error:
        raise OutputError(f"cannot write the masks: {error}") from error
    write_text(names, json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")
    return len(frames)


def number_map(found: Mapping[int, Observation | None], size: tuple[int, int]) -> ImageArray:
    """``uint8 (H, W)``: at each pixel the number of the object there; of several the one with the highest score, or
    the lowest number. ``size`` is width and height."""
    present = [(one.score, -number, one.mask) for number, one in found.items() if one is not None and one.mask]
    layers = sorted(present, key=lambda entry: entry[:2])
    return paint(((-negative, mask) for _, negative, mask in layers), size).astype(np.uint8)


def paint(layers: Iterable[tuple[int, Mask]], size: tuple[int, int]) -> NumberArray:
    """``uint16 (H, W)``: at each pixel the number of the last mask that has it, 0 where none has. ``size`` is width
    and height."""
    numbers: NumberArray = np.zeros(size[::-1], np.uint16)
    for number, mask in layers:
        numbers[mask.array()] = number
    return numbers


def save_indexed(path: Path, numbers: ImageArray) -> None:
    """Write ``uint8 (H, W)`` as an indexed PNG in DAVIS's colours; raises OSError where that fails."""
    image = Image.fromarray(numbers)
    image.putpalette(_PALETTE)  # makes a grey image an indexed one
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    path.write_bytes(encoded.getbuffer())  # at once: each write hands the interpreter to other threads


def check_count(objects: int) -> None:
    """Refuse more objects than there are numbers.

    Raises:
        OutputError: too many.
    """
    if objects > MOST_OBJECTS:
        raise OutputError(
            f"indexed masks hold {MOST_OBJECTS} objects, not {objects}; give --no-masks, or track them in parts"
        )
