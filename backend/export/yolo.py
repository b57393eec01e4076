"""Ultralytics' layout for YOLO: a text file of labels beside each picture, one row an object.

Coordinates are parts of the picture's width and height, and end at its border. Source: Ultralytics' documentation of
its detection and segmentation datasets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence

from backend.errors import OutputError
from backend.export.polygons import outline
from backend.export.writing import Clip, Export, Seen, write_rows

IMAGES, LABELS, DATA = "images", "labels", "data.yaml"
FILES = (IMAGES, LABELS, DATA)
TRAIN, VAL = "train", "val"

Size = tuple[int, int]


def write_boxes(export: Export) -> None:
    """Write ``images/train/NAME_000000.jpg`` and ``labels/train/NAME_000000.txt``, named by the decode index, and
    ``data.yaml``; rows are class, centre x, centre y, width, height. A frame without objects has an empty file."""
    _write(export, _box)


def write_polygons(export: Export) -> None:
    """Like :func:`write_boxes`, with rows of class, x, y, x, y, ...: see :func:`backend.export.polygons.outline`."""
    _write(export, _polygon)


def _write(export: Export, place: Callable[[Seen, Size], Iterable[float]]) -> None:
    validation = _validation(export.clips, export.options.val)
    for clip in export.clips:
        part = VAL if clip.name in validation else TRAIN
        stems = [f"{clip.name}_{index:06d}" for index in clip.video.labelled]
        pictures = [stem + export.suffix for stem in stems]
        for shot in export.shots(clip, export.directory / IMAGES / part, pictures):
            rows = [_row(export.class_index(seen.item), place(seen, clip.video.size)) for seen in shot.seen]
            write_rows(export.directory / LABELS / part / f"{stems[shot.position]}.txt", rows)
    write_rows(export.directory / DATA, _description(export.classes, bool(validation)))


def _validation(clips: Sequence[Clip], share: float) -> set[str]:
    """The names of the videos for validation: those whose names hash lowest, so that the choice looks like chance and
    stays the same.

    Raises:
        OutputError: a share of a single video.
    """
    if share == 0:
        return set()
    if len(clips) < 2:
        raise OutputError("a single video cannot be split: whole videos go to training or to validation; leave val out")
    count = min(max(round(share * len(clips)), 1), len(clips) - 1)
    return set(sorted((clip.name for clip in clips), key=_hash)[:count])


def _hash(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8")).digest()


def _row(number: int, values: Iterable[float]) -> str:
    return " ".join((str(number), *(f"{value:.6f}" for value in values)))


def _box(seen: Seen, size: Size) -> Iterable[float]:
    (x0, y0, x1, y1), (width, height) = seen.inside, size
    return ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)


def _polygon(seen: Seen, size: Size) -> Iterable[float]:
    if seen.mask is None:
        raise ValueError(f"object {seen.item.id!r} has no mask")
    values: list[float] = (outline(seen.mask.array()) / size).ravel().tolist()
    return values


def _description(classes: Sequence[str], split: bool) -> Iterable[str]:
    # Without "path" the directories are looked for beside this file, wherever it is moved to.
    yield f"train: {IMAGES}/{TRAIN}"
    if split:
        yield f"val: {IMAGES}/{VAL}"
    else:
        yield f"val: {IMAGES}/{TRAIN}  # has to be named; nothing was kept back for validation"
    yield "names:"
    for number, name in enumerate(classes):
        yield f"  {number}: {_quoted(name)}"


def _quoted(text: str) -> str:
    """A YAML string in double quotes, in which JSON's escapes mean the same."""
    return '"' + "".join(character if _plain(character) else json.dumps(character)[1:-1] for character in text) + '"'


def _plain(character: str) -> bool:
    """Whether YAML takes a character as it is; beyond 16 bits JSON's escapes are not YAML's."""
    return character not in '"\\' and (character.isprintable() or character > "\uffff")
