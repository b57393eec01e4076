"""Which task has which of the videos of a file of detections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.detections.files import open_detections
from backend.errors import DatasetError, SettingsError
from backend.prelabel.from_file import FilePlan, FromFile
from backend.prelabel.given import GivenDetections
from backend.prelabel.plan import Leave, Left
from backend.service.timeline import Timeline
from backend.tracking.lives import DEFAULT_RULES
from backend.tracks import Detection
from backend.video.clock import FrameClock
from support.fake_rooms import FakeVideo

VIDEO = FakeVideo(12)
TIMELINE = Timeline(FrameClock(np.arange(12) / 10, 1.2, 10.0), (64, 48), tuple(range(12)), ())
ROWS = "1,-1,11,21,30,15,0.9\n3,-1,11,21,30,15,0.9\n"
UPLOAD = "/data/upload/1/0123abcd-dog_at_sea.mp4"


def coco(tmp_path: Path, *names: str, empty: str | None = None, score: float = 0.9, category: str = "Car") -> Path:
    """A file with an image of each video, in directories, and a box on each."""
    images = [{"id": number, "file_name": f"{name}/3.jpg"} for number, name in enumerate(names)]
    images += [{"id": 99, "file_name": f"{empty}/3.jpg"}] * (empty is not None)
    boxes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 20, 30, 15], "score": score}
        for number in range(len(names))
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": category}]}
    path = tmp_path / "found.json"
    path.write_text(json.dumps(whole))
    return path


def rows(tmp_path: Path, content: str = ROWS) -> Path:
    path = tmp_path / "det.txt"
    path.write_text(content)
    return path


def given(path: Path, *, label: str | None = None, labels: tuple[str, ...] = ("Car",), **rules: Any) -> FromFile:
    return FromFile(open_detections(path), label=label, labels=labels, rules=replace(DEFAULT_RULES, **rules))


def planned(source: FromFile, value: str) -> FilePlan:
    plan = source.plan(value)
    assert isinstance(plan, FilePlan)
    return plan


def detections(source: FromFile, value: str) -> dict[int, list[Detection]]:
    found = planned(source, value).given(TIMELINE, VIDEO)  # type: ignore[arg-type]
    assert isinstance(found, GivenDetections)
    return {frame: list(ones) for frame, ones in found.detections.items()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dog", "dog.mp4"),
        ("dog", "/data/local-files/?d=videos/dog.mov"),
        ("dog", "https://example.org/a/dog.mp4?signature=x"),
        ("videos/dog", "dog.mp4"),
        ("dog.mp4", "/data/local-files/?d=videos/dog.mp4"),
        ("dog at sea", UPLOAD),
        ("0123abcd-dog_at_sea", UPLOAD),
        ("dog_at_sea.mp4", UPLOAD),
        ("seq.01", "seq.01.mp4"),
    ],
)
def test_a_video_is_known_by_its_files_name(tmp_path, name, value):
    source = given(coco(tmp_path, name, "cat"))
    for met in (value, "cat.mp4", "bird.mp4"):
        source.meet(met, asked_for=True)
    source.check(chosen=False)
    assert detections(source, value) == {3: [Detection((10, 20, 40, 35), 0.9, "Car")]}
    assert source.plan("bird.mp4") == Left("found.json has nothing of its video")
    assert source.plan("") == Left("found.json has nothing of its video")
    assert str(source.plan(value)) == "the detections of found.json"


def test_of_videos_of_one_name_the_directories_tell(tmp_path):
    source = given(coco(tmp_path, "train/a/dog", "val/a/dog"))
    whole = json.loads((tmp_path / "found.json").read_text())
    whole["images"][1]["file_name"] = "val/a/dog/7.jpg"
    (tmp_path / "found.json").write_text(json.dumps(whole))
    assert list(detections(given(tmp_path / "found.json"), "/data/local-files/?d=val/a/dog.mp4")) == [7]
    with pytest.raises(DatasetError, match=r"the video dog.mp4 may be any of 'train/a/dog', 'val/a/dog'"):
        source.plan("a/dog.mp4")


def test_what_matches_no_task_is_named(tmp_path):
    source = given(coco(tmp_path, "dog", "cat", "bird", empty="fish"))
    source.meet("dog.mp4", asked_for=True)
    source.meet("cat.mp4", asked_for=False)  # another task of the project's
    with pytest.raises(DatasetError, match=r"found\.json: no task of the project has a video of the name 'bird'\."):
        source.check(chosen=False)


def test_a_single_video_may_be_of_the_one_task_that_was_named(tmp_path):
    for chosen in (True, False):
        source = given(coco(tmp_path, "dog"))
        source.meet("whatever.mp4", asked_for=True)
        if chosen:
            source.check(chosen=True)
            assert list(detections(source, "whatever.mp4")) == [3]
        else:
            with pytest.raises(DatasetError, match="no task of the project has a video of the name 'dog'"):
                source.check(chosen=False)


def test_rows_are_of_one_task(tmp_path):
    source = given(rows(tmp_path))
    source.meet("a.mp4", asked_for=True)
    source.meet("b.mp4", asked_for=False)
    source.check(chosen=True)
    assert planned(source, "a.mp4").label == "Car"  # the project's only one
    assert list(detections(source, "a.mp4")) == [0, 2]
    source.meet("b.mp4", asked_for=True)
    with pytest.raises(SettingsError, match=r"det\.txt does not say of which video it is: name its task by --tasks"):
        source.check(chosen=True)


def test_labels_are_the_projects(tmp_path):
    assert planned_label(given(coco(tmp_path, "dog"))) is None  # what the detections say
    assert planned_label(given(coco(tmp_path, "dog"), label="Person", labels=("Car", "Person"))) == "Person"
    with pytest.raises(SettingsError, match="the project has no label 'Tram', only Car; say by --label"):
        given(coco(tmp_path, "dog", category="Tram"))
    assert planned_label(given(coco(tmp_path, "dog", category="Tram"), label="Car")) == "Car"
    with pytest.raises(SettingsError, match="does not say what it detects: give --label; the project has Car, Person"):
        given(rows(tmp_path), labels=("Car", "Person"))
    given(rows(tmp_path), labels=())


def planned_label(source: FromFile) -> str | None:
    return planned(source, "dog.mp4").label


def test_scores_that_begin_no_track(tmp_path):
    with pytest.raises(SettingsError, match=r"the highest score is 0.3, and below 0.5 nothing begins a track"):
        given(coco(tmp_path, "dog", score=0.3))
    given(coco(tmp_path, "dog", score=0.3), confident=0.2)
    with pytest.raises(DatasetError, match="has no detection"):
        given(coco(tmp_path, empty="dog"))


def test_a_video_without_a_sure_detection_is_left_and_one_without_any_is_not(tmp_path):
    path = coco(tmp_path, "dog", "cat", empty="bird")
    whole = json.loads(path.read_text())
    whole["annotations"][0]["score"] = 0.3
    path.write_text(json.dumps(whole))
    source = given(path)
    with pytest.raises(Leave, match=r"the highest score of its boxes is 0\.3, and below 0\.5 nothing begins"):
        detections(source, "dog.mp4")
    assert detections(source, "bird.mp4") == {3: []}


PRINTED = """
import sys
from pathlib import Path
from backend.detections.files import open_detections
from backend.prelabel.from_file import FilePlan
from backend.tracking.lives import DEFAULT_RULES
for path in sys.argv[1:]:
    print(FilePlan(open_detections(Path(path)), None, None, DEFAULT_RULES).fingerprint)
"""


def test_another_process_knows_the_same_plan_again(tmp_path: Path) -> None:
    def printed(seed: str) -> list[str]:
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-c", PRINTED, str(coco(tmp_path, "dog", "cat")), str(rows(tmp_path))]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    assert len(set(printed("1"))) == 2
    assert printed("1") == printed("2")


def test_what_else_is_detected_is_another_plan(tmp_path: Path) -> None:
    def fingerprint(path: Path, name: str, **rules: Any) -> str:
        return planned(given(path, label="Car", **rules), f"/{name}.mp4").fingerprint

    first = fingerprint(coco(tmp_path, "dog", "cat"), "dog")
    assert first == fingerprint(coco(tmp_path, "dog", "cat"), "dog")
    others = {
        fingerprint(coco(tmp_path, "dog", "cat"), "cat"),
        fingerprint(coco(tmp_path, "dog", score=0.8), "dog"),
        fingerprint(coco(tmp_path, "dog"), "dog", confident=0.7),
        fingerprint(coco(tmp_path, "dog", empty="dog"), "dog"),
    }
    assert len(others | {first}) == 5
