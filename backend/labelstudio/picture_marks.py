"""What a human has marked on pictures in their order: points, boxes and masks of a result, and masks back as regions.

Percent exists only here and in its neighbours: points and boxes are pixels everywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from backend.errors import PayloadError
from backend.labelstudio.brush import check_size, decode_mask, encode_mask
from backend.labelstudio.edits import Item
from backend.labelstudio.payload import Incoming, Name, Number, ResultItem, Text, parse
from backend.labelstudio.picture_config import BOXES, BRUSH, CLICKS, PictureConfig
from backend.labelstudio.regions import Size, to_box
from backend.labelstudio.results import Extent, PictureItem
from backend.labelstudio.strokes import Stroke, paint
from backend.tracks import BoolArray, Box, Direction, Mask, Point, mask_iou

SAME = 0.998
"""IoU from which two masks are the same one: a browser that draws one and reads it back may lose pixels at its rim."""


class _PointValue(Incoming):
    x: Number
    y: Number
    keypointlabels: list[Text] = Field(default_factory=list)


class _PointItem(PictureItem):
    value: _PointValue
    is_positive: bool = True


class _BoxValue(Incoming):
    x: Number
    y: Number
    width: Extent
    height: Extent
    rotation: Number = 0.0
    rectanglelabels: list[Text] = Field(default_factory=list)


class _BoxItem(PictureItem):
    value: _BoxValue


class _MaskValue(Incoming):
    format: Literal["rle"] = "rle"
    rle: list[Any] | None = None
    touches: list[Stroke] = Field(default_factory=list)
    brushlabels: list[Text] = Field(default_factory=list)


class _MaskItem(PictureItem):
    id: Name
    value: _MaskValue


@dataclass(frozen=True)
class Mark:
    """What every region of a picture has: its id, its label, the picture's position from 0, and its (width, height)."""

    id: str
    label: str | None
    index: int
    size: Size


@dataclass(frozen=True)
class PointMark(Mark):
    """A click; ``point`` is in pixels."""

    point: Point


@dataclass(frozen=True)
class BoxMark(Mark):
    """A box in pixels, upright."""

    box: Box


@dataclass(frozen=True, eq=False)
class MaskMark(Mark):
    """A mask as it came: ``raw`` is its result; ``track_id`` says of which object it is, where that is known."""

    raw: Item
    track_id: str | None
    path: str
    rle: Sequence[Any] | None
    strokes: Sequence[Stroke]

    @property
    def object_id(self) -> str:
        """The object: the one that the region names, or that its id was made of, or one of its own."""
        return self.track_id or self.id.removesuffix(f"-{self.index}") or self.id

    def shows(self, mask: Mask) -> bool:
        """Whether it is that mask, as far as a browser keeps what it was given.

        Raises:
            PayloadError: it is none.
        """
        if mask.size != self.size[::-1]:
            return False
        if not self.strokes and self.rle == encode_mask(mask.array()):  # decoding takes longer
            return True
        return mask_iou(Mask.from_array(self.mask()), mask) >= SAME

    def mask(self) -> BoolArray:
        """``bool (H, W)``.

        Raises:
            PayloadError: it is none.
        """
        width, height = self.size
        check_size(width, height, self.path)
        drawn = decode_mask(self.rle, self.size, f"{self.path}.value.rle") if self.rle else _blank(self.size)
        return paint(drawn, self.strokes)


@dataclass(frozen=True)
class Marks:
    """All that is marked in a result. ``track`` says which way to track, where that is what was asked for: somebody
    clicked with such a label, at last on the picture ``asked_at``."""

    points: tuple[PointMark, ...] = ()
    boxes: tuple[BoxMark, ...] = ()
    masks: tuple[MaskMark, ...] = ()
    track: Direction | None = None
    asked_at: int = 0


def parse_marks(result: object, config: PictureConfig, count: int, path: str = "context.result") -> Marks:
    """The points, boxes and masks of a result that belong to the configuration's pictures; all else is left aside.

    Args:
        result: the list of results; None counts as empty.
        config: says which names to look for.
        count: how many pictures there are.
        path: where the result was found, for messages.

    Raises:
        PayloadError: a wrong type, a missing field, or a number that is not finite or out of all proportion; a picture
            that the task does not have, or one that was turned in Label Studio; a mask that occurs twice.
    """
    if result is None:
        return Marks()
    if not isinstance(result, list):
        raise PayloadError(f"{path}: expected a list of results; found {type(result).__name__}")
    points: list[PointMark] = []
    boxes: list[BoxMark] = []
    masks: dict[str, MaskMark] = {}
    track: Direction | None = None
    asked_at = 0
    for position, raw in enumerate(result):
        where = f"{path}[{position}]"
        item = parse(ResultItem, raw, where)
        if item.to_name != config.image_name:
            continue
        if item.type == CLICKS and item.from_name in config.clicks_names:
            point = _point(raw, where, count)
            way = config.commands.get(point.label or "")
            if way is None:
                points.append(point)
            else:
                track, asked_at = way, point.index
        elif item.type == BOXES and item.from_name in config.boxes_names:
            box = _box(raw, where, count)
            way = config.commands.get(box.label or "")
            if way is None:
                boxes.append(box)
            else:
                track, asked_at = way, box.index
        elif item.type == BRUSH and item.from_name == config.brush_name:
            mask = _mask(raw, where, count)
            if mask.id in masks:
                raise PayloadError(f"{where}.id: region {mask.id!r} occurs twice; send each region once")
            masks[mask.id] = mask
    return Marks(tuple(points), tuple(boxes), tuple(masks.values()), track, asked_at)


def region_id(object_id: str, index: int) -> str:
    """The id of the region that shows an object on a picture: the same whenever it is asked for."""
    return f"{object_id}-{index}"


def mask_region(
    object_id: str,
    index: int,
    mask: BoolArray,
    label: str | None,
    config: PictureConfig,
    *,
    score: float,
    texts: Sequence[str] = (),
    region: str | None = None,
) -> Item:
    """The result that shows an object's mask ``bool (H, W)`` on a picture.

    ``texts`` are notes for its details; ``region`` is its id where it is to replace one that has another than
    :func:`region_id` gives.
    """
    height, width = mask.shape
    value: Item = {"format": "rle", "rle": encode_mask(mask)}
    return {
        "id": region or region_id(object_id, index),
        "from_name": config.brush_name,
        "to_name": config.image_name,
        "type": BRUSH,
        "origin": "prediction",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "item_index": index,
        "score": score,
        "meta": {"track_id": object_id, **({"text": list(texts)} if texts else {})},
        "value": value if label is None else {**value, BRUSH: [label]},
    }


def named(mark: MaskMark, texts: Sequence[str] = ()) -> Item:
    """A mask's result as it came, with the object that it shows, and notes; what was painted as strokes comes back as
    runs."""
    meta = mark.raw.get("meta")
    value = mark.raw["value"]
    if mark.strokes or not mark.rle:
        value = {name: part for name, part in value.items() if name not in ("touches", "maskDataURL")}
        value = {**value, "format": "rle", "rle": encode_mask(mark.mask())}
    return {
        **mark.raw,
        "meta": {
            **(meta if isinstance(meta, Mapping) else {}),
            "track_id": mark.object_id,
            **({"text": list(texts)} if texts else {}),
        },
        "value": value,
    }


def _point(raw: object, where: str, count: int) -> PointMark:
    item = parse(_PointItem, raw, where)
    size = _place(item, where, count)
    point = Point(item.value.x * size[0] / 100, item.value.y * size[1] / 100, item.is_positive)
    return PointMark(item.id, _first(item.value.keypointlabels), item.item_index, size, point)


def _box(raw: object, where: str, count: int) -> BoxMark:
    item = parse(_BoxItem, raw, where)
    size = _place(item, where, count)
    box = to_box({**item.value.model_dump(), "enabled": True}, size)
    return BoxMark(item.id, _first(item.value.rectanglelabels), item.item_index, size, box)


def _mask(raw: Any, where: str, count: int) -> MaskMark:
    item = parse(_MaskItem, raw, where)
    size = _place(item, where, count)
    track = (item.meta or {}).get("track_id")
    return MaskMark(
        item.id,
        _first(item.value.brushlabels),
        item.item_index,
        size,
        raw,
        str(track) if isinstance(track, int | str) and str(track) else None,
        where,
        item.value.rle,
        item.value.touches,
    )


def _place(item: PictureItem, where: str, count: int) -> Size:
    """The picture's size, once it is known that it is there and as the file has it."""
    if item.item_index >= count:
        path = f"{where}.item_index"
        raise PayloadError(f"{path}: there is no picture {item.item_index}: the task has {count}, the first is 0", path)
    if item.image_rotation % 360 != 0:
        path = f"{where}.image_rotation"
        raise PayloadError(
            f"{path}: the picture was turned by {item.image_rotation:g} degrees in Label Studio; turn it back, or the "
            "file itself",
            path,
        )
    return item.original_width, item.original_height


def _first(labels: Sequence[str]) -> str | None:
    return labels[0] if labels else None


def _blank(size: Size) -> BoolArray:
    return np.zeros((size[1], size[0]), bool)
