"""What a result says of a video or of pictures in their order, whatever names the labeling configuration gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from backend.errors import PayloadError
from backend.labelstudio.brush import decode_mask
from backend.labelstudio.edits import Item
from backend.labelstudio.payload import (
    FARTHEST,
    LAST_FRAME,
    Incoming,
    Name,
    Number,
    ResultItem,
    SequenceItem,
    Text,
    parse,
)
from backend.labelstudio.regions import RECTANGLE, sorted_items, to_box
from backend.tracks import BoolArray, Box

LABELS = "labels"
BRUSHES = ("brushlabels", "brush")
RECTANGLES = ("rectanglelabels", "rectangle")

PLACELESS = frozenset(
    {
        "chatmessage",
        "choices",
        "datetime",
        "hypertextlabels",
        "number",
        "pairwise",
        "paragraphlabels",
        "ranker",
        "rating",
        "relation",
        "taxonomy",
        "textarea",
        "timelinelabels",
        "timeserieslabels",
    }
)
"""Types of results that say nothing of where something is in a picture."""

Pixels = Annotated[int, Field(ge=1, le=10_000_000)]
Extent = Annotated[float, Field(allow_inf_nan=False, ge=0, le=FARTHEST)]
ItemIndex = Annotated[int, Field(ge=0, le=10_000_000)]


class KeyframeItem(SequenceItem):
    """A keyframe as Label Studio exports it."""

    frame: Annotated[int, Field(ge=1, le=LAST_FRAME)]
    width: Extent
    height: Extent


class VideoValue(Incoming):
    """The value of a ``videorectangle``."""

    sequence: list[KeyframeItem]
    labels: list[Text] = Field(default_factory=list)
    frames_count: Number | None = Field(None, alias="framesCount")
    duration: Number | None = None


class VideoItem(Incoming):
    """A ``videorectangle``: one region's boxes over the video."""

    id: Name
    value: VideoValue


class PictureItem(Incoming):
    """A region of one picture; ``item_index`` is the picture's position in the list, from 0."""

    id: Name
    original_width: Pixels
    original_height: Pixels
    image_rotation: Number = 0
    item_index: ItemIndex = 0
    meta: dict[str, Any] | None = None


class BrushValue(Incoming):
    """The value of ``brushlabels``; the list itself is checked when it is decoded."""

    format: Literal["rle"]
    rle: list[Any]


class RectangleOfPictureValue(Incoming):
    """The value of ``rectanglelabels``: percent of the picture, degrees clockwise about the top left corner."""

    x: Number
    y: Number
    width: Extent
    height: Extent
    rotation: Number = 0.0


class LabelsValue(Incoming):
    """The labels of a value, under whichever of the names they stand."""

    labels: list[Text] | None = None
    brushlabels: list[Text] | None = None
    rectanglelabels: list[Text] | None = None

    @property
    def found(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.labels or self.brushlabels or self.rectanglelabels or ())


class ValueItem(Incoming):
    """Any item with a value."""

    id: Name
    value: dict[str, Any]


@dataclass(frozen=True, eq=False)
class VideoRegion:
    """One object's boxes over a video.

    Attributes:
        id: the region's.
        labels: its labels, in their order.
        target: the name of the Video tag.
        items: its keyframes, sorted by frame, each frame once.
        frame_count: frames of the video as Label Studio counted them, where it says so.
        duration: seconds of the video as the browser measured them, where it says so.
        path: where it was found.
        last_path: where the last keyframe's frame was found.
    """

    id: str
    labels: tuple[str, ...]
    target: str | None
    items: tuple[Item, ...]
    frame_count: float | None
    duration: float | None
    path: str
    last_path: str


@dataclass(frozen=True, eq=False)
class PictureRegion:
    """A mask or a box on one picture.

    Attributes:
        id: the region's.
        labels: its labels, in their order.
        target: the name of the Image tag.
        index: the picture's position, from 0.
        size: the picture's width and height.
        track_id: ``meta.track_id``, where somebody set it.
        box: ``xyxy`` pixels, upright; None for a brush.
        rotated: the box is the one around a rotated rectangle.
        rle: the brush's bits; None for a rectangle.
        path: where it was found.
    """

    id: str
    labels: tuple[str, ...]
    target: str | None
    index: int
    size: tuple[int, int]
    track_id: str | None
    box: Box | None
    rotated: bool
    rle: list[Any] | None
    path: str

    def mask(self) -> BoolArray | None:
        """The brush's mask ``bool (H, W)``; None for a rectangle.

        Raises:
            PayloadError: it is none.
        """
        return None if self.rle is None else decode_mask(self.rle, self.size, f"{self.path}.value.rle")


@dataclass(frozen=True, eq=False)
class Results:
    """A result, sorted; ``others`` counts by their type the items that were left aside."""

    videos: tuple[VideoRegion, ...]
    pictures: tuple[PictureRegion, ...]
    others: Mapping[str, int]


def parse_results(result: Sequence[object], path: str, ignored: Collection[str] = ()) -> Results:
    """Find the regions of videos and of pictures.

    Args:
        result: the list of results.
        path: where it was found.
        ignored: types of regions to leave aside, in lower case.

    Raises:
        PayloadError: a wrong type, a missing field, a number that is not finite or out of all proportion, a video's
            region that occurs twice, a picture that was turned in Label Studio, a brush that is not run-length
            encoded, or a kind of region that is not known here.
    """
    videos: dict[str, VideoRegion] = {}
    pictures: list[PictureRegion] = []
    others: Counter[str] = Counter()
    labels = _separate_labels(result, path)
    for index, raw in enumerate(result):
        where = f"{path}[{index}]"
        item = parse(ResultItem, raw, where)
        kind = (item.type or "").lower()
        if kind in PLACELESS or kind in ignored:
            others[kind] += 1
        elif kind == RECTANGLE:
            region = _video_region(raw, item, where)
            if region.id in videos:
                raise PayloadError(f"{where}.id: region {region.id!r} occurs twice", f"{where}.id")
            videos[region.id] = region
        elif kind in (*BRUSHES, *RECTANGLES):
            pictures.append(_picture_region(raw, item, kind in BRUSHES, labels, where))
        elif kind != LABELS:
            raise _unknown(item.type, f"{where}.type")
    return Results(tuple(videos.values()), tuple(pictures), others)


def _unknown(kind: str | None, path: str) -> PayloadError:
    if not kind:
        return PayloadError(f"{path}: a result says of which type it is, such as {RECTANGLE!r}", path)
    return PayloadError(
        f"{path}: regions of the type {kind!r} cannot be exported, and without them their objects would be taken for "
        f"absent; give --ignore {kind.lower()} to leave them aside",
        path,
    )


def _separate_labels(result: Sequence[object], path: str) -> dict[str, tuple[str, ...]]:
    """The labels of regions that were drawn with one control and labelled with another, by region."""
    found = {}
    for index, raw in enumerate(result):
        if parse(ResultItem, raw, f"{path}[{index}]").type == LABELS:
            item = parse(ValueItem, raw, f"{path}[{index}]")
            found[item.id] = parse(LabelsValue, item.value, f"{path}[{index}].value").found
    return found


def _video_region(raw: object, item: ResultItem, where: str) -> VideoRegion:
    rectangle = parse(VideoItem, raw, where)
    value = rectangle.value
    items = [keyframe.model_dump() for keyframe in value.sequence]
    last = max(range(len(items)), key=lambda index: items[index]["frame"], default=0)
    return VideoRegion(
        rectangle.id,
        tuple(value.labels),
        item.to_name,
        sorted_items(rectangle.id, items),
        value.frames_count,
        value.duration,
        where,
        f"{where}.value.sequence[{last}].frame",
    )


def _picture_region(
    raw: object, item: ResultItem, brush: bool, labels: Mapping[str, tuple[str, ...]], where: str
) -> PictureRegion:
    picture = parse(PictureItem, raw, where)
    if picture.image_rotation % 360 != 0:
        raise PayloadError(
            f"{where}.image_rotation: the picture was turned by {picture.image_rotation:g} degrees in Label Studio, "
            "which cannot be exported; turn the file itself",
            f"{where}.image_rotation",
        )
    value = parse(ValueItem, raw, where).value
    size = (picture.original_width, picture.original_height)
    track = (picture.meta or {}).get("track_id")
    rle, box, rotated = None, None, False
    if brush:
        rle = parse(BrushValue, value, f"{where}.value").rle
    else:
        rectangle = parse(RectangleOfPictureValue, value, f"{where}.value")
        box = to_box({**rectangle.model_dump(), "enabled": True}, size)
        rotated = rectangle.rotation % 360 != 0
    return PictureRegion(
        id=picture.id,
        labels=parse(LabelsValue, value, f"{where}.value").found or labels.get(picture.id, ()),
        target=item.to_name,
        index=picture.item_index,
        size=size,
        track_id=str(track) if isinstance(track, int | str) and str(track) else None,
        box=box,
        rotated=rotated,
        rle=rle,
        path=where,
    )
