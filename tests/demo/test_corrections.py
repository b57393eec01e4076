"""What people do to a track, through Label Studio's own interactive endpoint."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from backend.demo.check import shown_boxes
from backend.demo.clip import Actor, Scene
from backend.demo.project import Clip, make_project
from backend.demo.trial import is_complete
from backend.tracks import box_iou

pytestmark = pytest.mark.slow

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=20, fps=10)
PRESSES = 100
Region = dict[str, Any]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("corrections") / "corrections.mp4"
    SCENE.write(path)
    return Clip.of("corrections", path)


@pytest.fixture(scope="module")
def project(studio, clip):
    return make_project(studio.client, studio.backend_url, [clip], title="Corrections")


def press(project, region: Region) -> Region:
    """Press until the track is complete, as the page does it: each reply takes the region's place."""
    for _ in range(PRESSES):
        (region,) = project.press("corrections", [region])
        if is_complete(region):
            return region
    pytest.fail(f"not complete: {region['meta']}")


def sequence(region: Region) -> list[Region]:
    return region["value"]["sequence"]


def edited(region: Region, *keyframes: Region, deleted: int | None = None) -> Region:
    changed = copy.deepcopy(region)
    found = {one["frame"]: one for one in sequence(changed) if one["frame"] != deleted}
    changed["value"]["sequence"] = [
        one for _, one in sorted((found | {one["frame"]: one for one in keyframes}).items())
    ]
    return changed


def up_to(region: Region, frame: int) -> list[Region]:
    return [one for one in sequence(region) if one["frame"] <= frame]


def test_corrections_touch_what_they_are_about(project, clip):
    truth = SCENE.true_boxes()["car"]

    def keyframe(frame: int, margin: float = 0.0) -> Region:
        x0, y0, x1, y1 = truth[frame - 1]
        box = (x0 - margin, y0 - margin, x1 + margin, y1 + margin)
        return sequence(project.drawn_box("car", "Car", clip, frame - 1, box))[0]

    drawn = edited(project.drawn_box("car", "Car", clip, 0, truth[0]), keyframe(12))
    first = press(project, drawn)
    assert {one["frame"] for one in sequence(drawn)} <= {one["frame"] for one in sequence(first)}

    # A keyframe is added.
    fixed = keyframe(17, 6.0)
    corrected = press(project, edited(first, fixed))
    assert up_to(corrected, 12) == up_to(first, 12)
    assert fixed in sequence(corrected)
    boxes = shown_boxes(corrected, clip)
    assert box_iou(boxes[18], truth[17]) < 0.95 < box_iou(boxes[6], truth[5]) + 0.15  # the margin is carried on

    # Another annotator, who began with the same track, knows nothing of it.
    other = press(project, edited(first, keyframe(19, 6.0)))
    assert 17 not in {one["frame"] for one in sequence(other) if one == fixed}
    assert up_to(other, 12) == up_to(first, 12)
    assert sequence(press(project, corrected)) == sequence(corrected)

    # The object is gone after a frame: nothing is tracked, so that one press does it.
    (gone,) = project.press("corrections", [edited(corrected, {**fixed, "enabled": False}, deleted=20)])
    assert is_complete(gone)
    assert {**fixed, "enabled": False} in sequence(gone)
    last = next((one["frame"] for one in sequence(gone) if one["frame"] > 17), 21)
    assert not set(range(18, last)) & shown_boxes(gone, clip).keys()

    # Undo; then the keyframe is deleted, and leaves no trace.
    assert sequence(press(project, corrected)) == sequence(corrected)
    deleted = press(project, edited(corrected, deleted=17))
    assert fixed not in sequence(deleted)
    assert up_to(deleted, 12) == up_to(first, 12)
    assert box_iou(shown_boxes(deleted, clip)[18], shown_boxes(first, clip)[18]) > 0.9

    # Drawn anew, it is another object.
    anew = press(project, project.drawn_box("anew", "Car", clip, 9, truth[9]))
    assert all(box_iou(shown_boxes(anew, clip)[frame + 1], box) > 0.7 for frame, box in enumerate(truth))
