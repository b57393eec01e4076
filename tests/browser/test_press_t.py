"""The main job as an annotator does it, in Chromium against a real Label Studio: draw a box, press t, submit."""

import numpy as np
import pytest

from backend.demo.trial import opossum_trial, street_trial
from backend.tracks import box_iou

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def saved_result(studio, task: int) -> list[dict]:
    (annotation,) = studio.client.get(f"/api/tasks/{task}/annotations")
    return annotation["result"]


def test_a_box_and_t_make_a_track(studio, project, clips, page, shots):
    clip, trial = clips["street"], street_trial("car", "Car", 20)
    page.open(project.task_url("street"))
    page.switch_auto_annotation_on()
    page.select_regions_after_creating_them()
    page.go_to(clip.clock.label_studio_frame(trial.frame))
    page.choose_label("Car")
    page.draw(trial.truth[trial.frame])
    (drawn,) = page.regions()
    (keyframe,) = drawn["sequence"]
    page.screenshot(shots / "car-drawn.png")

    (region,) = page.press_until_complete()
    page.screenshot(shots / "car-tracked.png")

    assert region["id"] == drawn["id"]
    assert region["labels"] == ["Car"]
    assert 0 < region["score"] <= 1
    frames = [item["frame"] for item in region["sequence"]]
    assert 2 < len(frames) < len(trial.truth) / 2
    assert page.timeline_keyframes(region["id"]) == frames
    (kept,) = [item for item in region["sequence"] if item["frame"] == keyframe["frame"]]
    assert {name: kept[name] for name in ("x", "y", "width", "height")} == {
        name: keyframe[name] for name in ("x", "y", "width", "height")
    }
    for frame, truth in trial.truth.items():
        box = page.shown_box(region["id"], clip.clock.label_studio_frame(frame), clip.width, clip.height)
        assert box is not None and box_iou(box, truth) > trial.least_iou, frame
    page.go_to(50)
    page.screenshot(shots / "car-on-frame-50.png")

    page.submit()
    (saved,) = [item for item in saved_result(studio, project.tasks["street"]) if item["type"] == "videorectangle"]
    assert saved["id"] == region["id"]
    assert saved["value"]["labels"] == ["Car"]
    assert [item["frame"] for item in saved["value"]["sequence"]] == frames
    for item, shown in zip(saved["value"]["sequence"], region["sequence"], strict=True):
        assert (item["x"], item["y"], item["enabled"]) == (shown["x"], shown["y"], shown["enabled"])


def test_a_box_selected_by_a_click_is_tracked_forward(studio, project, clips, page, shots):
    clip, trial = clips["opossum"], opossum_trial()
    first = clip.clock.label_studio_frame(trial.frame)
    page.open(project.task_url("opossum"))
    page.switch_auto_annotation_on()
    page.go_to(first)
    page.choose_label("Animal")
    x0, y0, x1, y1 = trial.truth[trial.frame]
    page.draw((x0, y0, x1 - 1, y1 - 1))  # a drag that leaves the video draws nothing
    page.click_at((x0 + x1) / 2, (y0 + y1) / 2)
    page.choose_direction("forward")
    page.screenshot(shots / "opossum-drawn.png")

    (region,) = page.press_until_complete()
    page.screenshot(shots / "opossum-tracked.png")

    assert region["labels"] == ["Animal"]
    assert page.timeline_keyframes(region["id"]) == [item["frame"] for item in region["sequence"]]
    assert region["sequence"][0]["frame"] == first
    ious = []
    for frame, truth in trial.truth.items():
        box = page.shown_box(region["id"], clip.clock.label_studio_frame(frame), clip.width, clip.height)
        ious.append(0.0 if box is None else box_iou(box, truth))
    assert min(ious) > trial.least_iou and np.mean(ious) > trial.mean_iou, ious
    page.go_to(clip.clock.label_studio_frame(1235))
    page.screenshot(shots / "opossum-on-frame-1236.png")
    page.submit()
    results = saved_result(studio, project.tasks["opossum"])
    assert {item["type"] for item in results} == {"videorectangle", "choices"}
    assert {item["id"] for item in results} == {region["id"]}
