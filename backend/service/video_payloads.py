"""What the interactive video protocol says, both ways: contexts that are checked, and results."""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import Field

from backend.errors import PayloadError
from backend.labelstudio.payload import FrameNumber, Incoming, Model, Number, parse
from backend.labelstudio.targets import Target
from backend.service.payloads import Identifier
from backend.tracks import BoolArray, Box, Direction, Point, Prompt
from backend.video.frames import Frames

Item = dict[str, Any]
Milliseconds = Annotated[float, Field(allow_inf_nan=False, ge=-1e12, le=1e12)]

UNNAMED = "unnamed"
"""The object of a client that names none."""

MAX_OBJECTS = 32
MAX_POINTS = 256


class Moment(Incoming):
    """A frame: by its time, which wins, or by its number from 1."""

    time_ms: Milliseconds | None = None
    frame: FrameNumber | None = None

    def index(self, video: Frames) -> int:
        """The decode index on screen then; beyond the ends it is the first or the last frame."""
        if self.time_ms is None:
            index = (1 if self.frame is None else self.frame) - 1
        else:
            # Half a microsecond, since times that are sent back are rounded.
            seconds = self.time_ms / 1000 + 0.5e-6
            index = int(np.searchsorted(video.timestamps, seconds, side="right")) - 1
        return min(max(index, 0), len(video) - 1)


class PrewarmRequest(Moment):
    """``prewarm``: frames that will be wanted soon, from one on in the way the annotator goes."""

    window: Annotated[int, Field(ge=1)] | None = None
    direction: Any = None


class _Named(Incoming):
    """What may say which object it is about."""

    object: Identifier | None = None
    region_id: Identifier | None = None

    @property
    def name(self) -> str | None:
        return self.object or self.region_id


class PredictRequest(Moment, _Named):
    """``predict``: all clicks and boxes on one frame; see :func:`read_marks`."""

    result: list[Any] | None = None


class TrackRequest(PredictRequest):
    """``track``: the same, and how far to carry it."""

    direction: Any = None
    max_frames: Annotated[int, Field(ge=1)] | None = None
    max_duration_ms: Annotated[Milliseconds, Field(ge=0)] | None = None

    def reach(self, fps: float, limit: int) -> int:
        """Frames to track beside the marked one, in each direction."""
        if self.max_duration_ms is not None:
            return min(math.floor(self.max_duration_ms / 1000 * fps + 0.5), limit)
        return limit if self.max_frames is None else min(self.max_frames, limit)

    def way(self) -> Direction:
        """The direction; whatever is none of the three counts as forward."""
        return self.direction if self.direction in ("backward", "both") else "forward"


class SessionRequest(Incoming):
    """``track_progress`` and ``track_cancel``."""

    session_id: Any = None


class _Place(_Named):
    x: Number
    y: Number
    width: Number | None = None
    height: Number | None = None
    positive: bool = True


class _Mark(_Named):
    """One click or box. Label Studio's open-source interface says ``is_positive`` beside the value, others
    ``positive`` in it."""

    type: str | None = None
    value: _Place
    is_positive: bool = True

    @property
    def is_point(self) -> bool:
        """Key points have a width too: that of the dot."""
        if self.type is not None and self.type.startswith(("keypoint", "rectangle")):
            return self.type.startswith("keypoint")
        return self.value.width is None or self.value.height is None


@dataclass(frozen=True)
class Marks:
    """What was marked of an object, in percent of the frame: a box ``xyxy`` and points."""

    box: Box | None
    points: tuple[Point, ...]

    def prompt(self, name: str, frame: int, width: int, height: int) -> Prompt:
        """The same in pixels; what lies outside the frame counts as its edge."""

        def pixel(percent: float, side: int) -> float:
            return min(max(percent / 100 * side, 0.0), float(side))

        points = tuple(Point(pixel(one.x, width), pixel(one.y, height), one.positive) for one in self.points)
        if self.box is None:
            return Prompt(name, frame, points=points)
        x0, y0, x1, y1 = self.box
        return Prompt(name, frame, (pixel(x0, width), pixel(y0, height), pixel(x1, width), pixel(y1, height)), points)


def check(model: type[Model], context: Mapping[str, Any]) -> Model:
    """A context as ``model``.

    Raises:
        PayloadError: something is missing or has the wrong type.
    """
    return parse(model, dict(context), "params.context")


def read_marks(request: PredictRequest) -> dict[str, Marks]:
    """What was marked, by object. Of several boxes of an object the last one counts. An object's name is the
    ``object`` or ``region_id`` of an item, of its value, or of the context; items without any are of one object.

    Raises:
        PayloadError: an item has the wrong type, or there are too many.
    """
    boxes: dict[str, Box] = {}
    points: dict[str, list[Point]] = {}
    usual = request.name or UNNAMED
    for number, raw in enumerate(request.result or []):
        path = f"params.context.result[{number}]"
        value = raw.get("value") if isinstance(raw, Mapping) else None
        if isinstance(value, Mapping) and "x" not in value and "y" not in value:
            continue  # a choice or a text, say, that goes along
        mark = parse(_Mark, raw, path)
        place = mark.value
        name = mark.name or place.name or usual
        points.setdefault(name, [])
        if mark.is_point:
            points[name].append(Point(place.x, place.y, place.positive and mark.is_positive))
        elif place.width is None or place.height is None:
            raise PayloadError(f"{path}.value: a box needs a width and a height", f"{path}.value")
        else:
            boxes[name] = (place.x, place.y, place.x + place.width, place.y + place.height)
        if len(points) > MAX_OBJECTS or len(points[name]) > MAX_POINTS:
            raise PayloadError(
                f"params.context.result: at most {MAX_OBJECTS} objects with {MAX_POINTS} points each can be marked"
            )
    return {name: Marks(boxes.get(name), tuple(clicks)) for name, clicks in points.items()}


class Replies:
    """Makes results: ``{id, from_name, to_name, type, origin, value}``, the names only where a target is known."""

    def __init__(self, target: Target | None = None, new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:8]) -> None:
        self._target = target
        self._new_id = new_id

    def item(self, kind: str, value: Mapping[str, Any]) -> Item:
        """A result of one kind."""
        target = self._target
        names = {} if target is None else {"from_name": target.from_name, "to_name": target.to_name}
        return {"id": self._new_id(), **names, "type": kind, "origin": "manual", "value": dict(value)}


def bitmask(name: str, mask: BoolArray) -> Item:
    """A mask ``bool (H, W)`` as a value; its object goes along where the client has named it."""
    height, width = mask.shape
    value = {"imageDataURL": picture(mask), "width": width, "height": height}
    return value if name == UNNAMED else {**value, "object": name}


def picture(mask: BoolArray) -> str:
    """A data address of a grey PNG: 255 inside, 0 outside."""
    _, encoded = cv2.imencode(".png", mask.astype(np.uint8) * 255)
    return "data:image/png;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


CAPABILITIES: Mapping[str, Any] = {
    "prompts": ["point", "box"],
    "targets": [
        {"tag": "BitmaskLabels", "output": "mask"},
        {"tag": "RectangleLabels", "output": "bbox"},
        {"tag": "PolygonLabels", "output": "polygon"},
        {"tag": "VectorLabels", "output": "polygon"},
        {"tag": "VideoRectangle", "output": "bbox", "features": ["track"]},
        {"tag": "VideoVectorLabels", "output": "polygon", "features": ["track"]},
    ],
}
