"""The main job as an annotator does it, in Chromium against a real Label Studio: draw a box, press t, submit."""

import numpy as np
import pytest

from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, make_project
from backend.demo.trial import opossum_trial
from backend.tracks import box_iou

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=20, fps=10)
DRAWN = 6  # decode index
# Of the last shot, in which the opossum turns and sinks out of the frame: where it does so.
FROM = 1245


def saved_result(studio, task: int) -> list[dict]:
    (annotation,) = studio.client.get(f"/api/tasks/{task}/annotations")
    return annotation["result"]


def test_a_box_and_t_make_a_track(studio, page, shots, tmp_path):
    video, truth = tmp_path / "car.mp4", SCENE.true_boxes()["car"]
    SCENE.write(video)
    clip = Clip.of("car", video)
    project = make_project(studio.client, studio.backend_url, [clip], title="A car")
    page.open(project.task_url("car"))
    page.switch_auto_annotation_on()
    page.select_regions_after_creating_them()
    page.go_to(clip.clock.label_studio_frame(DRAWN))
    page.choose_label("Car")
    page.draw(truth[DRAWN])
    (drawn,) = page.regions()
    (keyframe,) = drawn["sequence"]
    page.screenshot(shots / "car-drawn.png")

    (region,) = page.press_until_complete()
    page.screenshot(shots / "car-tracked.png")

    assert region["id"] == drawn["id"]
    assert region["labels"] == ["Car"]
    assert 0 < region["score"] <= 1
    frames = [item["frame"] for item in region["sequence"]]
    assert 2 < len(frames) < len(truth) / 2
    assert page.timeline_keyframes(region["id"]) == frames
    (kept,) = [item for item in region["sequence"] if item["frame"] == keyframe["frame"]]
    assert {name: kept[name] for name in ("x", "y", "width", "height")} == {
        name: keyframe[name] for name in ("x", "y", "width", "height")
    }
    for frame, there in enumerate(truth):
        box = page.shown_box(region["id"], clip.clock.label_studio_frame(frame), clip.width, clip.height)
        assert box is not None and box_iou(box, there) > 0.7, frame
    page.go_to(15)
    page.screenshot(shots / "car-on-frame-15.png")

    page.submit()
    (saved,) = [item for item in saved_result(studio, project.tasks["car"]) if item["type"] == "videorectangle"]
    assert saved["id"] == region["id"]
    assert saved["value"]["labels"] == ["Car"]
    assert [item["frame"] for item in saved["value"]["sequence"]] == frames
    for item, shown in zip(saved["value"]["sequence"], region["sequence"], strict=True):
        assert (item["x"], item["y"], item["enabled"]) == (shown["x"], shown["y"], shown["enabled"])


def test_a_box_selected_by_a_click_is_tracked_forward(studio, project, clips, page, shots):
    clip, trial = clips["opossum"], opossum_trial()
    truth = {frame: box for frame, box in trial.truth.items() if frame >= FROM}
    first = clip.clock.label_studio_frame(FROM)
    page.open(project.task_url("opossum"))
    page.switch_auto_annotation_on()
    page.go_to(first)
    page.choose_label("Animal")
    x0, y0, x1, y1 = truth[FROM]
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
    for frame, there in truth.items():
        box = page.shown_box(region["id"], clip.clock.label_studio_frame(frame), clip.width, clip.height)
        ious.append(0.0 if box is None else box_iou(box, there))
    assert min(ious) > trial.least_iou and np.mean(ious) > trial.mean_iou, ious
    page.go_to(clip.clock.label_studio_frame(1251))
    page.screenshot(shots / "opossum-on-frame-1252.png")
    page.submit()
    results = saved_result(studio, project.tasks["opossum"])
    assert {item["type"] for item in results} == {"videorectangle", "choices"}
    assert {item["id"] for item in results} == {region["id"]}
