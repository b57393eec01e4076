"""Boxes of a task that somebody else made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.errors import FrameOutOfRange, PayloadError
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.task_boxes import TaskBoxes, find_boxes, is_annotated, model_versions
from backend.tracks import Detection
from backend.video.clock import FrameClock

Item = dict[str, Any]

CONFIG = VideoConfig(region_name="box", video_name="video", video_key="video")
SIZE = (200, 100)
CLOCK = FrameClock(np.arange(30) / 10, 3.0, 10.0)


def keyframe(frame: int, x: float = 10, *, enabled: bool = True) -> Item:
    return {"frame": frame, "enabled": enabled, "x": x, "y": 20, "width": 30, "height": 40, "rotation": 0}


def region(name: str, *keyframes: Item, label: str | None = "Car", **further: Any) -> Item:
    value: Item = {"sequence": list(keyframes)} | ({} if label is None else {"labels": [label]})
    names = {"from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {"id": name, **names, "value": value, **further}


def prediction(*regions: Item, version: str | None = "yolo-8", **further: Any) -> Item:
    return {"id": 1, "model_version": version, "result": list(regions), **further}


def annotation(*regions: Item, **further: Any) -> Item:
    return {"id": 1, "result": list(regions), **further}


def found(task: Item) -> TaskBoxes:
    boxes = find_boxes(task, CONFIG)
    assert boxes is not None
    return boxes


def of_prediction(*regions: Item) -> TaskBoxes:
    return found({"predictions": [prediction(*regions)]})


def test_a_detection_for_each_keyframe_on_its_own_frame() -> None:
    boxes = of_prediction(
        region("a", keyframe(1), keyframe(5, 15, enabled=False), score=0.6),
        region("b", keyframe(5, 50), label=None),
    )
    assert boxes.source == "prediction of yolo-8" and not boxes.human
    assert boxes.frames == [1, 5]
    assert boxes.detections(CLOCK, SIZE) == {
        0: [Detection((20, 20, 80, 60), 0.6, "Car")],
        4: [Detection((30, 20, 90, 60), 0.6, "Car"), Detection((100, 20, 160, 60), 1.0, None)],
    }


@pytest.mark.parametrize("score", [None, "0.5", -1, 2, float("nan"), False])
def test_a_score_that_is_none_counts_as_sure(score: object) -> None:
    ((one,),) = of_prediction(region("a", keyframe(1), score=score)).detections(CLOCK, SIZE).values()
    assert one.score == 1.0


def test_what_a_human_took_over_is_sure() -> None:
    """An annotation that began as a prediction still has the model's scores."""
    boxes = found({"annotations": [annotation(region("a", keyframe(1), score=0.2))]})
    ((one,),) = boxes.detections(CLOCK, SIZE).values()
    assert one.score == 1.0


def test_of_several_keyframes_on_one_decoded_frame_the_first_counts() -> None:
    half = FrameClock(np.arange(15) / 5, 3.0, 10.0)  # each frame shows twice
    assert of_prediction(region("a", keyframe(1), keyframe(2, 40), keyframe(3, 50))).detections(half, SIZE) == {
        0: [Detection((20, 20, 80, 60), 1.0, "Car")],
        1: [Detection((100, 20, 160, 60), 1.0, "Car")],
    }


def test_a_keyframe_beyond_the_video() -> None:
    with pytest.raises(FrameOutOfRange, match="region 'a', Label Studio frame 32: there is no frame 32"):
        of_prediction(region("a", keyframe(32))).detections(CLOCK, SIZE)


def test_the_newest_prediction_that_is_not_ours_and_has_boxes() -> None:
    old = prediction(region("old", keyframe(1)), created_at="2026-01-01T00:00:00Z")
    new = prediction(region("new", keyframe(1)), version=None, created_at="2026-02-01T00:00:00Z")
    empty = prediction(version="other", created_at="2026-03-01T00:00:00Z")
    ours = prediction(region("x", keyframe(1)), version="keytrack-9.9.9-full", created_at="2026-04-01T00:00:00Z")
    drawn = annotation(region("drawn", keyframe(1)))
    boxes = found({"predictions": [new, old, empty, ours], "annotations": [drawn]})
    assert [one.id for one in boxes.regions] == ["new"]
    assert boxes.source == "prediction"
    boxes = found({"predictions": [ours, 17], "annotations": [drawn]})
    assert ([one.id for one in boxes.regions], boxes.human, boxes.source) == (["drawn"], True, "annotation")


def test_the_annotation_that_counts() -> None:
    first = annotation(region("first", keyframe(1)), ground_truth=True)
    later = annotation(region("later", keyframe(1)), updated_at="2026-04-01T00:00:00Z")
    skipped = annotation(region("skipped", keyframe(1)), was_cancelled=True)
    assert [one.id for one in found({"annotations": [first, later, skipped]}).regions] == ["first"]
    assert find_boxes({"annotations": [skipped]}, CONFIG) is None
    # What a human wiped is not to be found in another annotation.
    assert find_boxes({"annotations": [later, annotation(updated_at="2026-05-01T00:00:00Z")]}, CONFIG) is None


@pytest.mark.parametrize(
    "task",
    [
        {},
        {"annotations": [], "predictions": None},
        {"annotations": [annotation(region("a"))]},
        {"annotations": [annotation(region("a", keyframe(1)) | {"from_name": "other"})]},
        {"annotations": [{"id": 1, "result": None}], "predictions": [3]},
    ],
)
def test_no_boxes(task: Item) -> None:
    assert find_boxes(task, CONFIG) is None


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ({"predictions": 3}, "task.predictions"),
        ({"predictions": [{"result": 3}]}, r"predictions\[0\].result"),
        ({"predictions": [prediction(3)]}, r"predictions\[0\].result\[0\]"),
        (
            {"predictions": [prediction(region("a", keyframe(1) | {"x": None}))]},
            r"predictions\[0\].result\[0\].value.sequence\[0\].x",
        ),
        ({"annotations": [{"result": "x"}]}, r"annotations\[0\].result"),
        ([], "task"),
    ],
)
def test_what_is_wrong_is_named(task: Item, path: str) -> None:
    with pytest.raises(PayloadError, match=path):
        find_boxes(task, CONFIG)


@pytest.mark.parametrize(
    ("regions", "complete"),
    [
        # A detector's: each box on its frame alone, or a keyframe on every frame.
        ([region("a", keyframe(1, enabled=False)), region("b", keyframe(2, enabled=False))], True),
        ([region("a", keyframe(1), keyframe(2), keyframe(3)), region("b", keyframe(2), keyframe(3))], True),
        ([region("a", keyframe(1)), region("b", keyframe(1))], True),
        # While one is hidden it is not there.
        ([region("a", keyframe(1, enabled=False), keyframe(3)), region("b", keyframe(2), keyframe(3))], True),
        # Keyframes, between which another one has some.
        ([region("a", keyframe(1), keyframe(9)), region("b", keyframe(5))], False),
        ([region("a", keyframe(1)), region("b", keyframe(5))], False),
    ],
)
def test_whether_the_boxes_on_a_frame_are_all(regions: list[Item], complete: bool) -> None:
    assert of_prediction(*regions).complete is complete


def test_when_one_box_is_enough() -> None:
    sparse = [region("a", keyframe(1), keyframe(9)), region("b", keyframe(5))]
    dense = [region("a", keyframe(1), keyframe(2)), region("b", keyframe(2))]
    single = [region("a", keyframe(1)), region("b", keyframe(5))]
    assert of_prediction(*sparse).curated
    assert not of_prediction(*dense).curated
    assert not of_prediction(*single).curated
    assert of_prediction(region("a", keyframe(4)), region("b", keyframe(4))).curated
    assert found({"annotations": [annotation(*single)]}).curated


def test_what_is_known_of_a_task() -> None:
    task = {"predictions": [prediction(), prediction(version=None), 5], "annotations": [annotation(was_cancelled=True)]}
    assert model_versions(task) == {"yolo-8"}
    assert not is_annotated(task)
    assert is_annotated({"annotations": [annotation()]})
