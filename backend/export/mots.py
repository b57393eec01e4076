"""MOTS's layout: MOTChallenge's, with masks that do not overlap, as text and as 16-bit images.

An object's id is its class times 1000 plus its number; its row in ``gt/gt.txt`` is frame (from 1), id, class, height,
width and the mask in COCO's compressed encoding. Where objects overlap, the lowest number has the pixel.

Source: Voigtlaender et al., CVPR 2019.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backend.errors import OutputError
from backend.export.masks import NumberArray
from backend.export.mot import IMAGES, TRUTH, class_numbers, picture_names, write_lists, write_sequence
from backend.export.writing import Export, Shot, make_directory, write_rows
from backend.tracks import Mask

INSTANCES = "instances"
BENCHMARK = {"car": 1, "pedestrian": 2, "person": 2}
IGNORED = 10  # marks regions that count for nothing
_NAMES = {1: "car", 2: "pedestrian", IGNORED: "ignore"}
_PER_CLASS = 1000
MOST_OBJECTS, MOST_CLASSES = _PER_CLASS - 1, (np.iinfo(np.uint16).max // _PER_CLASS) - 1


def write(export: Export) -> None:
    """Write what :func:`backend.export.mot.write` does, with ``NAME/instances/000001.png`` beside ``gt``.

    Raises:
        OutputError: more objects in a video, or more classes, than 16 bits hold.
    """
    numbers = class_numbers(export.classes, BENCHMARK, reserved=(IGNORED,))
    _check(export, numbers)
    for clip in export.clips:
        instances = make_directory(export.directory / clip.name / INSTANCES)
        rows: list[str] = []
        for shot in export.shots(clip, export.directory / clip.name / IMAGES, picture_names(export, clip)):
            kinds = {seen.number: numbers[export.class_index(seen.item)] for seen in shot.seen}
            flat = shot.numbers(clip.video.size)
            rows += _rows(export, shot, flat, kinds)
            _save(instances / f"{shot.position + 1:06d}.png", flat, kinds)
        write_rows(export.directory / clip.name / TRUTH, rows)
        write_sequence(export, clip)
    write_lists(export, numbers, _NAMES)


def _check(export: Export, numbers: tuple[int, ...]) -> None:
    for clip in export.clips:
        if len(clip.video.objects) > MOST_OBJECTS:
            raise OutputError(
                f"MOTS holds {MOST_OBJECTS} objects a video, and {clip.video.name!r} has {len(clip.video.objects)}; "
                "export them in parts"
            )
    if max(numbers) > MOST_CLASSES:
        raise OutputError(f"MOTS holds {MOST_CLASSES - 1} classes, not {len(numbers)}; leave out those that are unused")


def _rows(export: Export, shot: Shot, flat: NumberArray, kinds: dict[int, int]) -> list[str]:
    rows = []
    for seen in shot.seen:
        mask = Mask.from_array(flat == seen.number)
        if mask.area:
            kind, (height, width) = kinds[seen.number], mask.size
            name = kind * _PER_CLASS + seen.number
            rows.append(f"{shot.position + 1} {name} {kind} {height} {width} {mask.counts.decode('ascii')}")
    export.hidden(len(shot.seen) - len(rows))
    return rows


def _save(path: Path, flat: NumberArray, kinds: dict[int, int]) -> None:
    names = np.zeros(MOST_OBJECTS + 1, np.uint16)
    for number, kind in kinds.items():
        names[number] = kind * _PER_CLASS + number
    try:
        Image.fromarray(names[flat]).save(path)
    except OSError as error:
        raise OutputError(f"cannot write {path.name} ({error})") from error
