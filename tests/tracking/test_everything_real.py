"""Everything in a clip of moving shapes, with the real MobileSAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.association.sam_features import CALIBRATION, SamFeatures
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Segmenter
from backend.tracking.looks import Looks
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray
from backend.video.reader import VideoReader
from support.clips import SceneObject, make_clip, moving_boxes_scene

SIZE = (320, 240)
FPS = 3
RED = SceneObject("red", (200, 50, 40), (68, 52), (24, 40), (6, 3))
BLUE = SceneObject("blue", (40, 70, 200), (56, 60), (220, 140), (-5, -3), shape="box")
GREEN = SceneObject("green", (60, 180, 60), (60, 44), (150, 20), (2, 4), first=2)
# The second search is a second after the first one.
FOUND = {"red": 0, "blue": 0, "green": 3}


@pytest.mark.slow
def test_every_shape_is_one_track_and_comes_back_under_its_name(mobile_sam: Segmenter, tmp_path: Path) -> None:
    """Green enters in the first shot; the second is empty; in the third red and blue are back."""
    shots = [
        moving_boxes_scene(6, SIZE, (RED, BLUE, GREEN)),
        moving_boxes_scene(2, SIZE, (), seed=5),
        moving_boxes_scene(3, SIZE, (RED, BLUE), seed=9),
    ]
    shown: dict[str, dict[int, BoolArray]] = {}
    frames = [frame for shot in shots for frame in shot.frames]
    first = 0
    for shot in shots:
        for name, masks in shot.masks.items():
            present = {first + index: mask for index, mask in enumerate(masks) if mask.any()}
            shown.setdefault(name, {}).update(present)
        first += len(shot.frames)

    tracker = VideoTracker(
        mobile_sam,
        lambda: SamTokenPropagator(mobile_sam, dtype=mobile_sam.dtype),
        EncodingCache(0),
        looks=Looks(SamFeatures(), CALIBRATION),
    )
    tracked: dict[str, dict[int, BoolArray]] = {}
    with VideoReader(make_clip(tmp_path / "shapes.mp4", frames, fps=FPS)) as video:
        for result in tracker.track_everything(video):
            for one in result.observations:
                if one.mask is not None:
                    tracked.setdefault(one.object_id, {})[one.frame] = one.mask.array()

    owners: dict[str, set[str]] = {}
    for shape, masks in shown.items():
        for frame, mask in masks.items():
            if frame >= FOUND[shape]:
                overlaps = {name: _iou(found[frame], mask) for name, found in tracked.items() if frame in found}
                best = max(overlaps, key=lambda name: overlaps[name])
                assert overlaps[best] > 0.7, (shape, frame)
                owners.setdefault(best, set()).add(shape)
    assert sorted(map(sorted, owners.values())) == [["blue"], ["green"], ["red"]]


def _iou(one: BoolArray, other: BoolArray) -> float:
    return float(np.sum(one & other) / np.sum(one | other))
