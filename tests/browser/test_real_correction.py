"""A correction with the real models, from the first boxes to the corrected track.

The pictures in docs/images are made here: run it with ``SCREENSHOTS_DIR`` to make them again.
"""

from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, make_project
from backend.tracks import box_iou
from support.browser import LabelingPage

pytestmark = [pytest.mark.browser, pytest.mark.slow]

YELLOW = (206, 170, 60)
# Two people who look the same pass in front of one another.
SCENE = Scene(
    (
        Actor("near", "person", YELLOW, (262, 296), (452, 296), (1.6, 1.6)),
        Actor("far", "person", YELLOW, (400, 295), (210, 295), (1.6, 1.6)),
    ),
    frames=22,
    fps=10,
)
FRAMES = range(1, SCENE.frames + 1)
# Of the window: the video, the timeline and the details of the region; and how wide a picture of it is.
SHOWN = (slice(90, 830), slice(240, 1440))
WIDTH = 900


def photograph(page: LabelingPage, path: Path) -> None:
    """A small picture of what the annotator looks at."""
    page.screenshot(path)
    window = cv2.imread(str(path))[SHOWN]
    height = round(WIDTH * window.shape[0] / window.shape[1])
    small = cv2.resize(window, (WIDTH, height), interpolation=cv2.INTER_AREA)
    assert cv2.imwrite(str(path.with_suffix(".jpg")), small, [cv2.IMWRITE_JPEG_QUALITY, 80])


def test_a_real_track_is_put_right(studio, page, shots, tmp_path):
    video = tmp_path / "passing.mp4"
    SCENE.write(video)
    clip, truth = Clip.of("passing", video), SCENE.true_boxes()
    project = make_project(studio.client, studio.backend_url, [clip], title="A correction")
    ids = {}

    def iou(name: str, frame: int) -> float:
        box = page.shown_box(ids[name], frame, clip.width, clip.height)
        return 0.0 if box is None else box_iou(box, truth[name][frame - 1])

    def keyframe(name: str, frame: int) -> dict:
        (region,) = [one for one in page.regions() if one["id"] == ids[name]]
        (found,) = [one for one in region["sequence"] if one["frame"] == frame]
        return {part: found[part] for part in ("enabled", "rotation", "x", "y", "width", "height")}

    page.open(project.task_url("passing"))
    page.switch_auto_annotation_on()
    page.select_regions_after_creating_them()
    page.go_to(1)
    for name, boxes in truth.items():
        page.unselect()
        page.choose_label("Person")
        page.draw(boxes[0])
        ids[name] = page.regions()[-1]["id"]
    drawn = {name: keyframe(name, 1) for name in truth}
    page.press_until_complete()

    name = "near"
    before = {at: iou(name, at) for at in FRAMES}
    frame = min(before, key=before.__getitem__)
    assert any("doubtful" in note for region in page.regions() for note in region["note"])
    page.go_to(frame)
    page.select(ids[name])
    photograph(page, shots / "correction-1-before.png")
    x0, y0, x1, y1 = truth[name][frame - 1]
    left, top, _, _ = page.shown_box(ids[name], frame, clip.width, clip.height)
    _, _, right, bottom = page.drag_corner(ids[name], x0 - left, y0 - top, upper_left=True)
    page.drag_corner(ids[name], x1 - right, y1 - bottom)
    fixed = keyframe(name, frame)
    photograph(page, shots / "correction-2-fix.png")
    page.press_until_complete()
    page.go_to(frame - 3)
    photograph(page, shots / "correction-3-after.png")

    assert keyframe(name, frame) == fixed
    assert {name: keyframe(name, 1) for name in truth} == drawn
    assert iou(name, frame) > 0.9
    # Both boxes held both people; the one that was corrected has left the other person, on the other frames as well.
    wrong = [at for at in FRAMES if at != frame and before[at] < 0.5]
    assert len(wrong) >= 4
    assert np.mean([iou(name, at) for at in wrong]) > 0.8
    # The other one competes for its pixels where it was right, so that what was right on the way there stays so.
    right = [at for at in FRAMES if before[at] > 0.8]
    assert np.mean([iou(name, at) for at in right]) > np.mean([before[at] for at in right]) - 0.1
