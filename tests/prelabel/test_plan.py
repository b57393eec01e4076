from __future__ import annotations

import numpy as np
import pytest

from backend.errors import PayloadError
from backend.labelstudio.config import VideoConfig
from backend.prelabel.given import GivenDetections, GivenNothing
from backend.prelabel.plan import Left, Plan, plan_task
from backend.service.timeline import Timeline
from backend.video.clock import FrameClock
from support.fake_rooms import FakeVideo
from support.service import Item, keyframe, region

VERSION = "keytrack-1.0-lite"
TIMELINE = Timeline(FrameClock(np.arange(30) / 10, 3.0, 10.0), (160, 120), tuple(range(30)), ())
VIDEO = FakeVideo(30)
BOX = keyframe(3, 16, 12, 32, 24)


def config(*labels: str) -> VideoConfig:
    return VideoConfig(region_name="box", video_name="video", video_key="video", labels=labels)


def boxed(*regions: Item, version: str = "yolo-8") -> Item:
    return {"predictions": [{"id": 1, "model_version": version, "result": list(regions)}]}


def unlabelled() -> Item:
    one = region("a", BOX)
    del one["value"]["labels"]
    return one


def planned(task: Item, *labels: str, **options: object) -> Plan:
    plan = plan_task(task, config(*labels), VERSION, **options)  # type: ignore[arg-type]
    assert isinstance(plan, Plan)
    return plan


def reason(task: Item, *labels: str, **options: object) -> str:
    left = plan_task(task, config(*labels), VERSION, **options)  # type: ignore[arg-type]
    assert isinstance(left, Left)
    return left.reason


def test_boxes_say_what_they_are_unless_somebody_else_does() -> None:
    assert planned(boxed(region("a", BOX)), "Person").label is None
    assert planned(boxed(region("a", BOX)), "Person", label="Person").label == "Person"
    assert planned(boxed(unlabelled()), "Person").label == "Person"
    assert planned(boxed(unlabelled()), "Person", "Car").label is None


def test_boxes_of_which_none_is_sure_begin_no_track() -> None:
    """A prediction without any track would say that the task is done."""
    weak, sure = ({**region(name, BOX), "score": score} for name, score in (("a", 0.3), ("b", 0.5)))
    assert reason(boxed(weak)).startswith("the highest score of its boxes is 0.3, and below 0.5 nothing begins a track")
    assert planned(boxed(weak, sure)).boxes is not None
    assert planned({"annotations": [{"id": 1, "result": [weak]}]}).boxes is not None  # a human took it over


def test_a_plan_in_words() -> None:
    assert str(planned(boxed(region("a", BOX)))) == "1 box of its prediction of yolo-8"
    assert str(planned(boxed(region("a", BOX), region("b", BOX)))) == "2 boxes of its prediction of yolo-8"
    assert str(planned({}, "Car", everything="without boxes")) == "everything, as Car"


def test_everything_where_there_are_no_boxes_or_always() -> None:
    assert reason({}, "Car") == "it has no boxes"
    assert planned(boxed(region("a", BOX)), "Car", everything="without boxes").boxes is not None
    assert planned(boxed(region("a", BOX)), "Car", everything="always").boxes is None
    assert planned({}, "Car", "Person", everything="always", label="Person").label == "Person"
    assert "which of the project's 2 labels" in reason({}, "Car", "Person", everything="always")
    assert "which of the project's 0 labels" in reason({}, everything="always")


def test_what_was_done_or_is_annotated_is_left() -> None:
    done = boxed(region("a", BOX), version=VERSION)
    assert reason(done, "Car", everything="always") == f"it has a prediction of {VERSION}"
    assert planned(done, "Car", everything="always", again=True).boxes is None
    drawn = {"annotations": [{"id": 1, "result": [region("a", BOX)]}]}
    assert reason(drawn, annotated=False) == "it is annotated"
    assert planned(drawn).boxes is not None


def test_the_rules_fit_the_boxes() -> None:
    given = planned(boxed(region("a", BOX), region("b", keyframe(9, 16, 12, 32, 24)))).given(TIMELINE, VIDEO)
    assert isinstance(given, GivenDetections)
    assert sorted(given.detections) == [2, 8]
    assert (given.rules.at_once, given.rules.complete) == (False, False)
    assert planned({}, "Car", everything="always").given(TIMELINE, VIDEO) == GivenNothing()


def test_the_same_plan_is_known_again() -> None:
    one, other = boxed(region("a", BOX)), boxed(region("a", keyframe(3, 17, 12, 32, 24)))
    assert planned(one).fingerprint == planned(one).fingerprint
    prints = {planned(task).fingerprint for task in (one, other)}
    prints |= {planned({}, label, everything="always").fingerprint for label in ("Car", "Person")}
    assert len(prints) == 4


@pytest.mark.parametrize("task", [3, {"predictions": "x"}])
def test_a_task_that_is_none(task: object) -> None:
    with pytest.raises(PayloadError):
        plan_task(task, config(), VERSION)
