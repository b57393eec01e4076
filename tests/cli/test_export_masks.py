"""``export --masks-from-store``: the masks of a project that has boxes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.tracks import Mask
from support.clips import coded_frames, make_clip
from support.exports import task, write_export
from support.fake_tracker import FakeTracker
from support.service import DRAWN, FPS, FRAMES, Service, clip, keyframe, moved, region

Item = dict[str, Any]
DATA = {"video": "clip.mp4", "fps": FPS}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    clip(tmp_path / "media")
    service = Service(tmp_path)
    yield service
    service.close()


def exported(tmp_path: Path, *regions: Item, number: int = 1, project: int = 1, data: Item = DATA) -> Path:
    """Label Studio's JSON export of a project with one task."""
    return write_export(tmp_path / "export.json", [task(number, data, copy.deepcopy(regions), project=project)])


def run(service: Service, source: Path, formats: str, *options: str) -> Path:
    """The directory of an export that has to succeed."""
    out = source.with_name("out")
    assert main(command(service, source, formats, *options)) == 0
    return out


def command(service: Service, source: Path, formats: str, *options: str) -> list[str]:
    places = ["--media", str(service.settings.media_root), "--data-dir", str(service.settings.data_dir)]
    out = ["--out", str(source.with_name("out")), "--frame-rate", str(FPS)]
    return ["export", str(source), "--format", formats, *places, *out, "--masks-from-store", *options]


def numbers(out: Path) -> dict[int, Any]:
    """DAVIS's masks by frame."""
    found = {}
    for path in sorted((out / "davis" / "Annotations" / "480p" / "1-clip").iterdir()):
        with Image.open(path) as image:
            found[int(path.stem)] = np.array(image)
    return found


def test_a_box_project_has_masks(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service.tracker.absent = frozenset({25})
    first = service.press_one(region("a", DRAWN))
    second = service.press_one(region("b", keyframe(1, 100, 80, 20, 20), label="Person"))
    out = run(service, exported(tmp_path, first, second), "davis,coco,coco-video,mots,yolo-segment,mot")
    assert "warnings: 0\n" in capsys.readouterr().out
    masks = numbers(out)
    assert list(masks) == list(range(FRAMES))
    for frame, found in masks.items():
        expected = np.zeros((120, 160), int)
        if frame != 25:
            expected[80:100, 100 + frame : 120 + frame] = 2
            expected[30:54, 40 + frame - 9 : 72 + frame - 9] = 1
        np.testing.assert_array_equal(found, expected)
    (car, person) = json.loads((out / "coco-video" / "train" / "instances.json").read_text())["annotations"]
    assert (car["areas"][9], person["areas"][9], person["areas"][25]) == (32 * 24, 400, None)


def test_a_humans_box_counts_and_its_mask_is_the_kept_one(service: Service, tmp_path: Path) -> None:
    """The mask of a drawn box is smaller than what was drawn."""
    drawn = keyframe(10, 40.4, 30.4, 31.3, 23.3)
    item = service.press_one(region("a", drawn))
    out = run(service, exported(tmp_path, item), "coco")
    content = json.loads((out / "coco" / "annotations.json").read_text())
    (found,) = [one for one in content["annotations"] if content["images"][one["image_id"] - 1]["frame_index"] == 9]
    assert found["bbox"] == pytest.approx([40.4, 30.4, 31.3, 23.3])
    counts = found["segmentation"]["counts"].encode()
    assert Mask((120, 160), counts).box == (40, 30, 72, 54)


def test_without_the_store_nothing_changes(service: Service, tmp_path: Path) -> None:
    source = exported(tmp_path, service.press_one(region("a", DRAWN)))
    parts = [part for part in command(service, source, "coco") if part != "--masks-from-store"]
    assert main(parts) == 0
    content = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    assert {str(one["segmentation"]) for one in content["annotations"]} == {"[]"}


def test_what_was_corrected_and_not_tracked_again_is_refused_and_said(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.tracker.velocity = (2, 0)
    item = service.press_one(region("a", keyframe(1, 10, 30, 32, 24)))
    first, *_, last = (one["frame"] for one in item["value"]["sequence"])
    assert (first, last) == (1, 30)
    corrected = moved(item, 20, x=60.0)
    source = exported(tmp_path, corrected)
    assert main(command(service, source, "davis")) == 2
    said = capsys.readouterr().err
    assert "object 'a' of '1-clip' has a box without a mask on frame 1 and 27 more" in said
    assert "--masked-only" in said
    assert not (tmp_path / "out").exists()

    out = run(service, source, "davis", "--masked-only")
    assert list(numbers(out)) == [0, 29]  # where the box is as it was handed out
    said = capsys.readouterr().out
    changed = "it was changed since it was tracked: without a mask on 28 frames, the first is Label Studio's frame 2"
    assert f"{changed}; press t, and export again (Car a of task 1)" in said
    assert "28 frames left out: a box has no mask there (task 1)" in said

    again = service.press_one(corrected)
    assert list(numbers(run(service, exported(tmp_path, again), "davis", "--force"))) == list(range(FRAMES))


def test_boxes_are_written_though_their_masks_are_stale(service: Service, tmp_path: Path) -> None:
    service.tracker.velocity = (2, 0)
    item = service.press_one(region("a", keyframe(1, 10, 30, 32, 24)))
    out = run(service, exported(tmp_path, moved(item, 20, x=60.0)), "mot,coco")
    assert len((out / "mot" / "1-clip" / "gt" / "gt.txt").read_text().splitlines()) == FRAMES
    content = json.loads((out / "coco" / "annotations.json").read_text())
    assert [bool(one["segmentation"]) for one in content["annotations"]] == [True, *[False] * 28, True]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({"number": 2}, "was not tracked by this backend"),
        ({"project": 2}, "was not tracked by this backend"),
        ({"data": {"video": "other/clip.mp4"}}, "are of another video"),
    ],
)
def test_masks_of_something_else_do_not_count(
    service: Service, tmp_path: Path, place: Item, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    item = service.press_one(region("a", DRAWN))
    assert main(command(service, exported(tmp_path, item, **place), "davis")) == 2
    run(service, exported(tmp_path, item, **place), "mot")
    assert reason in capsys.readouterr().out


def test_masks_of_another_size_do_not_count(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file was replaced by another one of its name."""
    item = service.press_one(region("a", DRAWN))
    make_clip(tmp_path / "media" / "clip.mp4", coded_frames(FRAMES, 320, 240), fps=FPS)
    run(service, exported(tmp_path, item), "mot")
    assert "are of another video" in capsys.readouterr().out


def test_a_track_that_is_not_complete_has_no_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip(tmp_path / "media")
    service = Service(tmp_path, FakeTracker(paced=True), budget=0.05)
    try:
        source = exported(tmp_path, service.press_one(region("a", DRAWN)))
        run(service, source, "mot")
    finally:
        service.close()
    assert "its track is not complete; press t once more" in capsys.readouterr().out


def test_predictions_have_their_masks_too(service: Service, tmp_path: Path) -> None:
    item = service.press_one(region("a", DRAWN))
    predicted = task(1, DATA, None, project=1) | {"predictions": [{"id": 1, "result": [item]}]}
    source = write_export(tmp_path / "export.json", [predicted])
    assert len(numbers(run(service, source, "davis", "--predictions"))) == FRAMES


def test_a_data_directory_without_a_store_is_refused(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = exported(tmp_path, service.press_one(region("a", DRAWN)))
    assert main([*command(service, source, "davis"), "--data-dir", str(tmp_path / "empty")]) == 2
    assert "there is none; give the data directory of the backend that tracked" in capsys.readouterr().err
