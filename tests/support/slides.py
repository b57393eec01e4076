"""Somebody who clicks on pictures, as Label Studio's browser does it, with a service behind."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.labelstudio.brush import decode_mask, encode_mask
from backend.tracks import BoolArray, Box
from support.clips import coded_frames
from support.service import HEIGHT, WIDTH, Item, Service

COUNT = 12
CONFIG = (Path(__file__).parents[2] / "labelstudio_config" / "frames_masks.xml").read_text("utf-8")
ADDRESSES = [f"slides/{index:03}.png" for index in range(COUNT)]


def write_slides(media: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    """The pictures of a task, with their numbers on them."""
    (media / "slides").mkdir(exist_ok=True)
    for address, image in zip(ADDRESSES, coded_frames(COUNT, *size), strict=True):
        Image.fromarray(image).save(media / address)


def mask_of(item: Item) -> BoolArray:
    """A region's mask."""
    return decode_mask(item["value"]["rle"], (item["original_width"], item["original_height"]))


def filled(box: Box) -> BoolArray:
    """A mask of a box."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = (int(side) for side in box)
    mask[y0:y1, x0:x1] = True
    return mask


class Annotator:
    """The open annotation: ``regions`` by id, the clicks that are still there, and what is suggested.

    What is sent as the draft is all of it, as after Label Studio's pause, unless ``saves`` is False: then nothing was
    saved yet.
    """

    def __init__(self, service: Service, saves: bool = True) -> None:
        self.service = service
        self.saves = saves
        self.regions: dict[str, Item] = {}
        self.marks: dict[str, Item] = {}
        self.suggested: dict[str, Item] = {}
        self.data: Item = {"frames": ADDRESSES, "fps": 10}
        self._number = 0

    def click(self, frame: int, x: float, y: float, label: str = "Car", *, positive: bool = True) -> dict[str, Item]:
        """Click at a pixel; what is suggested then."""
        value = {"x": 100 * x / WIDTH, "y": 100 * y / HEIGHT, "width": 0.2, "keypointlabels": [label]}
        mark = self._mark("keypointlabels", "click", frame, value) | {"is_positive": positive}
        self.marks[mark["id"]] = mark
        return self.send(label)

    def box(self, frame: int, box: Box, label: str = "Car") -> dict[str, Item]:
        """Draw a box of pixels; what is suggested then."""
        x0, y0, x1, y1 = box
        value = {
            "x": 100 * x0 / WIDTH,
            "y": 100 * y0 / HEIGHT,
            "width": 100 * (x1 - x0) / WIDTH,
            "height": 100 * (y1 - y0) / HEIGHT,
            "rotation": 0,
            "rectanglelabels": [label],
        }
        mark = self._mark("rectanglelabels", "box", frame, value)
        self.marks[mark["id"]] = mark
        return self.send(label, "rectanglelabels")

    def paint(self, frame: int, box: Box, label: str = "Car", name: str | None = None) -> Item:
        """Paint a box with the plain brush, which sends nothing."""
        value = {"format": "rle", "rle": encode_mask(filled(box)), "brushlabels": [label]}
        region = self._mark("brushlabels", "brush", frame, value)
        region["id"] = name or region["id"]
        self.regions[region["id"]] = region
        return region

    def delete(self, mark: str) -> dict[str, Item]:
        """Delete a click; those of its label that are left are sent."""
        gone = self.marks.pop(mark)
        return self.send(gone["value"]["keypointlabels"][0])

    def track(self, frame: int = 0, label: str = "Track") -> dict[str, Item]:
        """Click with Track; what is suggested then."""
        return self.click(frame, 5, 5, label)

    def send(self, label: str, kind: str = "keypointlabels") -> dict[str, Item]:
        """The interactive call about the marks of a label, which must succeed."""
        status, body = self.service.predict(self.body(label, kind))
        assert status == 200, body
        (entry,) = body["results"]
        self.suggested = {item["id"]: item for item in entry["result"]}
        assert len(self.suggested) == len(entry["result"])
        return self.suggested

    def body(self, label: str, kind: str = "keypointlabels") -> Item:
        """What Label Studio sends."""
        result = [mark for mark in self.marks.values() if mark["type"] == kind and mark["value"][kind] == [label]]
        saved = [*self.regions.values(), *self.marks.values()]
        drafts = [{"id": 1, "result": saved, "updated_at": "2026-11-21T23:19:36Z"}] if self.saves else []
        return {
            "tasks": [{"id": 1, "data": self.data, "project": 1, "annotations": [], "drafts": copy.deepcopy(drafts)}],
            "project": "1.1795213732",
            "label_config": CONFIG,
            "params": {"context": {"result": copy.deepcopy(result)}},
        }

    def accept(self) -> None:
        """The tick in the bottom bar: suggestions become regions, and clicks go."""
        self.regions |= self.suggested
        self.suggested = {}
        self.marks = {}

    def reject(self) -> None:
        """The cross in the bottom bar."""
        self.suggested = {}
        self.marks = {}

    def of(self, object_id: str) -> dict[int, Item]:
        """What is suggested of an object, by picture."""
        return {item["item_index"]: item for item in self.suggested.values() if item["meta"]["track_id"] == object_id}

    def _mark(self, kind: str, control: str, frame: int, value: Item) -> Item:
        self._number += 1
        return {
            "id": f"mark{self._number:02}",
            "from_name": control,
            "to_name": "img",
            "type": kind,
            "origin": "manual",
            "original_width": WIDTH,
            "original_height": HEIGHT,
            "image_rotation": 0,
            "item_index": frame,
            "value": value,
        }


def only(items: dict[str, Any]) -> Item:
    """The one item that there is."""
    (item,) = items.values()
    return dict(item)


Start = Callable[..., Service]
