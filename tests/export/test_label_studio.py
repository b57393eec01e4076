from __future__ import annotations

import json

import numpy as np
import pytest

from backend.errors import OutputError
from backend.export.label_studio import format_task, write_tasks
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.regions import parse_regions, to_keyframe
from backend.tracking.keyframes import interpolate
from backend.tracks import Prompt, box_iou
from backend.video.clock import FrameClock
from support.tracked import square, tracked

SIZE = (100, 50)
FRAMES, FPS = 30, 10
CONFIG = VideoConfig("rect", "film", "clip", frame_rate_key="rate", labels=("Car",))
CLOCK = FrameClock(np.arange(FRAMES) / FPS, FRAMES / FPS, FPS)
DATA = {"clip": "http://host/film.mp4", "rate": FPS}


def task_of(*objects, clock=CLOCK, texts=None):
    return format_task(objects, config=CONFIG, data=DATA, clock=clock, size=SIZE, model_version="v", texts=texts or {})


def shown(result, frame, clock=CLOCK):
    keyframes = [to_keyframe(item, item["frame"] - 1, SIZE) for item in result["value"]["sequence"]]
    found = interpolate(keyframes, clock.label_studio_frame(frame) - 1)
    return None if found is None else found.box


def moving(frames):
    return {frame: square(SIZE, 10 + 2 * frame, 10, 20) for frame in frames}


def test_a_task_with_its_prediction():
    car = tracked("a", moving(range(5, 20)), label="Car", score=0.75)
    other = tracked("b", moving(range(5, 20)), score=0.25)
    task = task_of(car, other, texts={"a": ["seen"]})
    assert task["data"] == DATA
    (prediction,) = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("v", 0.5)
    a, b = prediction["result"]
    assert {key: a[key] for key in ("id", "from_name", "to_name", "type", "score")} == {
        "id": "a", "from_name": "rect", "to_name": "film", "type": "videorectangle", "score": 0.75,
    }  # fmt: skip
    assert a["value"]["labels"] == ["Car"]
    assert (a["value"]["framesCount"], a["value"]["duration"]) == (FRAMES, FRAMES / FPS)
    assert a["meta"]["text"] == ["Keytrack: seen"]
    assert "labels" not in b["value"]
    assert [region.id for region in parse_regions(prediction["result"], CONFIG)] == ["a", "b"]


def test_label_studio_shows_the_tracked_boxes_and_nothing_elsewhere():
    masks = moving([*range(5, 12), *range(15, 20)]) | dict.fromkeys(range(12, 15))
    item = tracked("a", masks)
    (result,) = task_of(item)["predictions"][0]["result"]
    assert len(result["value"]["sequence"]) == 4
    for frame in range(FRAMES):
        found = item.track.observations.get(frame)
        box = shown(result, frame)
        if found is None or found.box is None:
            assert box is None, frame
        else:
            assert box_iou(box, found.box) >= 0.95, frame


@pytest.mark.parametrize("frames", [range(5, 20), range(13), range(12, 13), range(12, FRAMES)])
def test_a_box_of_a_human_is_a_keyframe_as_it_was_given(frames):
    given = (30.25, 8.125, 60.5, 31.0)
    item = tracked("a", moving(frames), prompts=[Prompt("a", 12, given)])
    (result,) = task_of(item)["predictions"][0]["result"]
    assert shown(result, 12) == pytest.approx(given, abs=1e-4)
    before, after = shown(result, frames[0] - 1) if frames[0] else None, shown(result, min(frames[-1] + 1, FRAMES - 1))
    assert before is None
    assert (after is None) == (frames[-1] + 1 < FRAMES)


def test_prompts_that_label_studio_cannot_tell_apart_are_one_keyframe():
    clock = FrameClock(np.arange(FRAMES) / FPS, FRAMES / FPS, FPS / 2)  # every second frame is never shown
    first, second = (10.0, 10.0, 40.0, 40.0), (50.0, 10.0, 80.0, 40.0)
    prompts = [Prompt("a", 13, second), Prompt("a", 12, first)]
    (result,) = task_of(tracked("a", moving(range(30)), prompts=prompts), clock=clock)["predictions"][0]["result"]
    frames = [item["frame"] for item in result["value"]["sequence"]]
    assert frames == sorted(set(frames))
    assert shown(result, 12, clock) == pytest.approx(first, abs=1e-4)


def test_an_object_without_a_keyframe_is_left_out():
    task = task_of(tracked("a", {}), tracked("b", {3: None}), tracked("c", moving([3])))
    assert [result["id"] for result in task["predictions"][0]["result"]] == ["c"]
    assert task_of(tracked("a", {}))["predictions"][0] == {"model_version": "v", "score": 0.0, "result": []}


def test_tasks_are_written_as_a_list(tmp_path):
    task = task_of(tracked("猫", moving([3])))
    write_tasks(tmp_path / "tasks.json", [task])
    assert json.loads((tmp_path / "tasks.json").read_text("utf-8")) == [task]
    with pytest.raises(OutputError, match=r"cannot write t\.json"):
        write_tasks(tmp_path / "none" / "t.json", [task])
