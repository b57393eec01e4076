"""The values that all rooms speak in.

Frames are 0-based decode indices, boxes are ``xyxy`` float pixels of the displayed frame, masks are
``bool (H, W)`` arrays or, where many are kept, run-length encoded :class:`Mask` values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

from backend.errors import PromptError

Box = tuple[float, float, float, float]
BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
ImageArray = npt.NDArray[np.uint8]
Direction = Literal["forward", "backward", "both"]

# Connected parts of a mask that are a smaller part of it count for nothing where its box is asked for,
_SPECK = 0.001
# nor do those that are less than this part of it at a distance (of their boxes) of the square root of its area, more at
# a larger one; measured in docs/corrections.md.
_ALONE = 0.025


def box_iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes; 0 where both are empty."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    intersection = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - intersection
    return intersection / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Point:
    """A click in pixels: ``positive`` marks the object, otherwise what is not the object."""

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True, eq=False)
class Mask:
    """A binary mask, run-length encoded (COCO's compressed form), so that a long track fits in memory.

    ``size`` is ``(height, width)``.
    """

    size: tuple[int, int]
    counts: bytes

    @classmethod
    def from_array(cls, mask: npt.NDArray[np.generic]) -> Mask:
        """Encode a ``(H, W)`` array; whatever is not zero is inside."""
        encoded = coco.encode(np.asfortranarray(np.asarray(mask, dtype=bool), dtype=np.uint8))
        height, width = encoded["size"]
        return cls((int(height), int(width)), encoded["counts"])

    def array(self) -> BoolArray:
        """Decode to ``bool (H, W)``."""
        decoded = coco.decode({"size": list(self.size), "counts": self.counts})
        return np.asarray(decoded, dtype=bool)

    @cached_property
    def area(self) -> int:
        """Pixels inside."""
        return int(coco.area({"size": list(self.size), "counts": self.counts}))

    @cached_property
    def box(self) -> Box | None:
        """The tight box, or None where the mask is empty."""
        if self.area == 0:
            return None
        x, y, width, height = coco.toBbox({"size": list(self.size), "counts": self.counts}).tolist()
        return (x, y, x + width, y + height)

    @cached_property
    def solid_box(self) -> Box | None:
        """The tight box of what belongs together; None where it is empty.

        A few pixels that stay behind where an object has been hardly change its mask, and ruin its box. A hoof behind
        a pole is no larger, but near. So the largest connected part counts, and of the others those that are large for
        their distance from what counts.
        """
        tight = self.box
        if tight is None:
            return None
        left, top, right, bottom = (int(side) for side in tight)
        inside = self.array()[top:bottom, left:right].astype(np.uint8)
        _, _, parts, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
        x0, y0, x1, y1 = _joined(parts[1:]).tolist()
        return (float(left + x0), float(top + y0), float(left + x1), float(top + y1))


def _joined(parts: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The box around those connected parts of a mask, (N, 5) as OpenCV describes them, that belong together."""
    boxes, areas = parts[:, :4].copy(), parts[:, cv2.CC_STAT_AREA]
    boxes[:, 2:] += boxes[:, :2]
    total = float(areas.sum())
    counts = areas == areas.max()
    boxes, areas, counts = (each[counts | (areas >= _SPECK * total)] for each in (boxes, areas, counts))
    fresh = boxes[counts]
    farthest = areas * np.sqrt(total) / (_ALONE * total)  # in pixels
    nearest = np.full(len(boxes), np.inf)
    while len(fresh):
        apart = np.maximum(fresh[:, None, :2] - boxes[None, :, 2:], boxes[None, :, :2] - fresh[:, None, 2:]).clip(0)
        nearest = np.minimum(nearest, np.hypot(apart[..., 0], apart[..., 1]).min(axis=0))
        joins = ~counts & (nearest <= farthest)
        fresh = boxes[joins]
        counts |= joins
    return np.concatenate([boxes[counts, :2].min(axis=0), boxes[counts, 2:].max(axis=0)])


def mask_iou(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks of the same size; 0 where both are empty."""
    first, second = ({"size": list(mask.size), "counts": mask.counts} for mask in (one, other))
    return float(np.nan_to_num(coco.iou([first], [second], [0])[0, 0]))


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a human said about one object on one frame: a box, points, a mask, or several of them.

    ``object_id`` is stable for the object's life; where there is one, it is the Label Studio region id. ``ends`` says
    that the object is gone on the next frame.
    """

    object_id: str
    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    mask: BoolArray | None = None
    ends: bool = False

    def validate(self, width: int, height: int) -> None:
        """Refuse what cannot be tracked in a frame of ``width`` x ``height`` pixels.

        Raises:
            PromptError: nothing was marked, the box has no size or lies outside the frame, a point lies
                outside the frame, the mask is empty or of another size.
        """
        where = f"object {self.object_id!r} on frame {self.frame}"
        if self.box is None and self.mask is None and not any(point.positive for point in self.points):
            raise PromptError(f"{where}: nothing is marked; give a box, a mask or a positive point")
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            if not all(np.isfinite(self.box)):
                raise PromptError(f"{where}: the box {self.box} is not finite")
            if x1 - x0 < 1 or y1 - y0 < 1:
                raise PromptError(
                    f"{where}: the box has no size ({x1 - x0:.1f} x {y1 - y0:.1f} pixels); draw a larger one"
                )
            if min(x1, width) - max(x0, 0) < 1 or min(y1, height) - max(y0, 0) < 1:
                raise PromptError(f"{where}: the box lies outside the {width} x {height} frame")
        for point in self.points:
            if not (0 <= point.x <= width and 0 <= point.y <= height):
                raise PromptError(f"{where}: point ({point.x}, {point.y}) lies outside the {width} x {height} frame")
        if self.mask is not None:
            if self.mask.shape != (height, width):
                raise PromptError(f"{where}: the mask is {self.mask.shape[::-1]}, the frame {(width, height)}")
            if not self.mask.any():
                raise PromptError(f"{where}: the mask is empty")


@dataclass(frozen=True, slots=True)
class Detection:
    """What a detector says of a frame: a box that holds an object, how sure it is, on the detector's scale, and what
    kind of thing it is, where it says so."""

    box: Box
    score: float
    label: str | None = None


@dataclass(frozen=True, eq=False)
class Observation:
    """One object on one frame, as a human or a model sees it.

    ``mask`` is None where the object is absent. ``score`` is the confidence in [0, 1], of the absence too.
    ``human`` tells a prompted frame from a propagated one.
    """

    object_id: str
    frame: int
    mask: Mask | None
    score: float
    human: bool = False

    @property
    def box(self) -> Box | None:
        """The box of the mask without specks; None where the object is absent."""
        return None if self.mask is None else self.mask.solid_box

    @property
    def present(self) -> bool:
        """Whether the object is visible."""
        return self.mask is not None


@dataclass(frozen=True, eq=False)
class FrameResult:
    """What was found on one frame: an observation for each object that was tracked there."""

    frame: int
    observations: tuple[Observation, ...]


@dataclass
class Track:
    """One object's observations by frame; frames that were not tracked (yet) have none."""

    object_id: str
    observations: dict[int, Observation] = field(default_factory=dict)

    def add(self, observation: Observation) -> None:
        """Put an observation in its frame's place, over an older one."""
        self.observations[observation.frame] = observation


@dataclass(frozen=True, slots=True)
class Keyframe:
    """A keyframe on a timeline of integer positions; what lies between two is interpolated linearly.

    ``enabled`` False ends the visible span: the box shows at ``position`` and is hidden after it until the
    next enabled keyframe.
    """

    position: int
    box: Box
    enabled: bool = True
    rotation: float = 0.0
