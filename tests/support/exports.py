"""Pieces of Label Studio's JSON export."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.labelstudio.brush import encode_mask
from backend.tracks import BoolArray

Item = dict[str, Any]


def keyframe(frame: int, x: float = 10, y: float = 10, width: float = 20, height: float = 20, **more: Any) -> Item:
    """A keyframe at a Label Studio frame, in percent."""
    keys = {"frame": frame, "enabled": True, "rotation": 0, "x": x, "y": y, "width": width, "height": height}
    return {**keys, "time": frame / 10, **more}


def video_region(name: str, sequence: Sequence[Item], label: str | None = "Car", **value: Any) -> Item:
    """A ``videorectangle``; ``value`` are further keys of its value, such as ``framesCount``."""
    labels = {} if label is None else {"labels": [label]}
    names = {"id": name, "from_name": "box", "to_name": "video", "type": "videorectangle", "origin": "manual"}
    return {**names, "value": {**labels, "sequence": list(sequence), **value}}


def brush_region(name: str, index: int, mask: BoolArray, label: str | None = "Car", **more: Any) -> Item:
    """A ``brushlabels`` on one of several images."""
    labels = {} if label is None else {"brushlabels": [label]}
    value = {"format": "rle", "rle": encode_mask(mask), **labels}
    return picture_item(name, "brushlabels", index, (mask.shape[1], mask.shape[0]), value) | more


def rectangle_region(
    name: str, index: int, size: tuple[int, int], percent: tuple[float, float, float, float], label: str, **more: Any
) -> Item:
    """A ``rectanglelabels`` on one of several images: x, y, width, height."""
    x, y, width, height = percent
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label]}
    return picture_item(name, "rectanglelabels", index, size, value) | more


def picture_item(name: str, kind: str, index: int, size: tuple[int, int], value: Item) -> Item:
    """A region of an image."""
    names = {"id": name, "from_name": kind, "to_name": "img", "type": kind, "origin": "manual"}
    return {
        **names,
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "item_index": index,
        "value": value,
    }


def task(number: int | None, data: Item, result: Sequence[Item] | None, **more: Any) -> Item:
    """A task with one annotation, or none."""
    annotations = [] if result is None else [annotation(result)]
    identity = {} if number is None else {"id": number}
    return {**identity, "data": data, "annotations": annotations, "predictions": [], "drafts": [], **more}


def annotation(result: Sequence[Item], **more: Any) -> Item:
    """An annotation as Label Studio exports it."""
    keys = {"id": 1, "completed_by": 1, "was_cancelled": False, "ground_truth": False}
    return {**keys, "updated_at": "2026-01-01T00:00:00.000000Z", "result": list(result), **more}


def write_export(path: Path, tasks: Iterable[Item] | Item, indent: int | None = 1) -> Path:
    """A JSON export; with ``indent`` each value stands on a line of its own."""
    path.write_text(json.dumps(tasks if isinstance(tasks, dict) else list(tasks), indent=indent), "utf-8")
    return path


def write_images(directory: Path, count: int, size: tuple[int, int] = (40, 30)) -> list[Path]:
    """``00000.png`` and so on, each of a grey of its own: 10 times its number."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / f"{index:05d}.png" for index in range(count)]
    for index, path in enumerate(paths):
        Image.fromarray(np.full((size[1], size[0], 3), 10 * index, np.uint8)).save(path)
    return paths
