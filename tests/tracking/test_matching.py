from __future__ import annotations

import numpy as np
import pytest

from backend.tracking.matching import box_ious, match_by_overlap
from backend.tracks import Box, Detection, box_iou


def detected(*boxes: Box) -> list[Detection]:
    return [Detection(box, 0.9) for box in boxes]


def test_overlaps_of_all_with_all() -> None:
    random = np.random.default_rng(0)
    places = random.uniform(0, 50, (7, 4)).tolist()
    boxes: list[Box] = [(x, y, x + width + 1, y + height + 1) for x, y, width, height in places]
    found = box_ious(boxes[:3], boxes)
    assert found == pytest.approx(np.array([[box_iou(a, b) for b in boxes] for a in boxes[:3]]))


@pytest.mark.parametrize(("boxes", "others"), [(0, 2), (2, 0), (0, 0)])
def test_overlaps_of_none(boxes: int, others: int) -> None:
    box = (0.0, 0.0, 4.0, 4.0)
    assert box_ious([box] * boxes, [box] * others).shape == (boxes, others)


def test_the_best_for_all_is_not_the_best_for_the_first() -> None:
    # "a" overlaps the first detection most, but then "b" would have none.
    objects = {"a": (0.0, 0.0, 10.0, 10.0), "b": (2.0, 0.0, 12.0, 10.0)}
    detections = detected((1.0, 0.0, 11.0, 10.0), (-2.0, 0.0, 8.0, 10.0))
    assert box_iou(objects["a"], detections[0].box) > box_iou(objects["a"], detections[1].box)
    assert match_by_overlap(objects, detections) == {"a": 1, "b": 0}


def test_what_hardly_overlaps_is_something_else() -> None:
    objects = {"a": (0.0, 0.0, 10.0, 10.0)}
    assert match_by_overlap(objects, detected((6.0, 0.0, 16.0, 10.0))) == {}  # 40 / 160
    assert match_by_overlap(objects, detected((5.0, 0.0, 15.0, 10.0))) == {"a": 0}  # 50 / 150


@pytest.mark.parametrize(("objects", "count"), [({}, 2), ({"a": (0.0, 0.0, 9.0, 9.0)}, 0), ({}, 0)])
def test_nothing_to_match(objects: dict[str, Box], count: int) -> None:
    assert match_by_overlap(objects, detected((0.0, 0.0, 9.0, 9.0))[:1] * count) == {}
