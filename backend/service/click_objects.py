"""Which object a click is about.

Label Studio sends the clicks of one label together, from the first to the latest, until the suggestions are accepted:
these are one object's. The first click of an object that begins on a mask of its label is about that mask's object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.labelstudio.picture_marks import BoxMark, Marks, PointMark, region_id
from backend.service.click_memory import Asked, Made
from backend.tracks import Mask, Point, box_iou

SAME_BOX = 0.5
"""The least IoU of a box with that of a mask that it is drawn round anew."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A mask that is on a picture already."""

    object_id: str
    region: str
    label: str | None
    mask: Mask

    def holds(self, point: Point) -> bool:
        """Whether a point is inside."""
        height, width = self.mask.size
        row, column = min(int(point.y), height - 1), min(int(point.x), width - 1)
        return bool(self.mask.array()[max(row, 0), max(column, 0)])


def find_asked(marks: Marks, made: Sequence[Made], shown: Callable[[int], Sequence[Shown]]) -> list[Asked]:
    """What is asked of which object on which picture.

    Args:
        marks: as they came.
        made: the task's latest answers, the latest last.
        shown: the masks that are on a picture.
    """
    asked = [_boxed(box, made, shown(box.index)) for box in marks.boxes]
    by_label: dict[str | None, list[PointMark]] = {}
    for point in marks.points:
        by_label.setdefault(point.label, []).append(point)
    for label, points in by_label.items():
        asked.extend(_clicked(label, points, made, shown))
    return asked


def _clicked(
    label: str | None, points: Sequence[PointMark], made: Sequence[Made], shown: Callable[[int], Sequence[Shown]]
) -> list[Asked]:
    """One object's clicks, by picture."""
    ids = {point.id for point in points}
    earlier = [one for one in made if one.asked.label == label and ids.intersection(one.asked.marks)]
    first = points[0]
    on_it = [one for one in shown(first.index) if one.label == label and one.holds(first.point)]
    if earlier:
        object_id = earlier[-1].asked.object_id
    elif on_it:
        object_id = min(on_it, key=lambda one: one.mask.area).object_id
    else:
        object_id = first.id
    by_frame: dict[int, list[PointMark]] = {}
    for point in points:
        by_frame.setdefault(point.index, []).append(point)
    found = []
    for frame, here in by_frame.items():
        known = next((one.asked for one in reversed(earlier) if one.asked.frame == frame), None)
        there = next((one for one in shown(frame) if one.object_id == object_id), None)
        mends = there is not None and (not here[0].point.positive or there.holds(here[0].point))
        region, base = region_id(object_id, frame), None
        if known is not None:
            region, base = known.region, known.base
        elif there is not None:
            region, base = there.region, there.mask if mends else None
        found.append(
            Asked(
                object_id,
                region,
                label,
                frame,
                here[0].size,
                points=tuple(one.point for one in here),
                base=base,
                marks=tuple(one.id for one in here),
            )
        )
    return found


def _boxed(box: BoxMark, made: Sequence[Made], shown: Sequence[Shown]) -> Asked:
    """The object that a box is drawn round."""
    earlier = next((one.asked for one in reversed(made) if box.id in one.asked.marks), None)
    around = [
        one
        for one in shown
        if one.label == box.label and one.mask.box is not None and box_iou(one.mask.box, box.box) >= SAME_BOX
    ]
    object_id, region = box.id, region_id(box.id, box.index)
    if earlier is not None:
        object_id, region = earlier.object_id, earlier.region
    elif around:
        nearest = max(around, key=lambda one: box_iou(one.mask.box or box.box, box.box))
        object_id, region = nearest.object_id, nearest.region
    return Asked(object_id, region, box.label, box.index, box.size, box=box.box, marks=(box.id,))
