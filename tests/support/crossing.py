"""Two objects that cross, and a tracker that takes the one for the other there."""

from __future__ import annotations

from typing import Any

import numpy as np

from backend.tracks import Box, Mask, Observation, box_iou
from support.fake_tracker import Call, FakeTracker

CROSSING = 15  # the first decode index after they have passed each other


def right(index: int) -> Box:
    return (10.0 + 4 * index, 40.0, 30.0 + 4 * index, 64.0)


def left(index: int) -> Box:
    return (126.0 - 4 * index, 44.0, 146.0 - 4 * index, 68.0)


class Swapping(FakeTracker):
    """Follows whatever is in the nearest prompt's box, and goes over to the other object where they cross."""

    def _observe(self, call: Call, name: str, frame: int, video: Any) -> Observation:
        boxes = call.boxes_of(name)
        near = min(boxes, key=lambda prompted: (abs(prompted - frame), prompted))
        goes_right = box_iou(boxes[near], right(near)) > box_iou(boxes[near], left(near))
        path = right if goes_right == ((near < CROSSING) == (frame < CROSSING)) else left
        x0, y0, x1, y1 = (round(side) for side in path(frame))
        mask = np.zeros((video.height, video.width), bool)
        mask[y0:y1, max(x0, 0) : max(x1, 0)] = True
        return Observation(name, frame, Mask.from_array(mask), 0.75, frame in boxes)
