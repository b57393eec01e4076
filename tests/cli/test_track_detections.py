"""``python -m backend track --detections``."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.cli import track
from backend.tracking.everything import DEFAULT_EVERYTHING
from backend.tracks import Detection
from backend.video.reader import VideoReader
from support.choices import LITE
from support.clips import make_clip, moving_boxes_scene
from support.fake_tracker import FakeTracker
from support.mot import detection_rows

WIDTH, HEIGHT, FRAMES, FPS = 160, 120, 8, 10
CAR, MAN = (20.0, 30.0, 60.0, 70.0), (100.0, 20.0, 130.0, 60.0)
COCO = [
    {"image_id": 2, "category_id": 1, "bbox": [20, 30, 40, 40], "score": 0.9},
    {"image_id": 2, "category_id": 2, "bbox": [100, 20, 30, 40], "score": 0.6},
    {"image_id": 4, "category_id": 1, "bbox": [22, 30, 40, 40], "score": 0.8},
]
NAMES = MappingProxyType(
    {
        "images": [{"id": index, "file_name": f"{index:05d}.jpg"} for index in range(0, FRAMES, 2)],
        "categories": [{"id": 1, "name": "Car"}, {"id": 2, "name": "Person"}],
    }
)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scene = moving_boxes_scene(FRAMES, (WIDTH, HEIGHT))
    return make_clip(tmp_path_factory.mktemp("clips") / "street.mp4", scene.frames, fps=FPS)


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker()
    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: lambda: tracker)
    return tracker


def save(path: Path, value: object) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return str(path)


def start(video: Path, out: Path, *options: str) -> int:
    return main(["track", str(video), "--out", str(out), *options])


def test_the_same_files_as_of_prompts(video, tmp_path, tracker, capsys):
    rows = detection_rows([(2, CAR), (2, MAN), (4, CAR)])
    out = tmp_path / "out"
    assert start(video, out, "--detections", save(tmp_path / "det.txt", rows)) == 0
    (call,) = tracker.calls
    assert call.detections == {2: [Detection(CAR, 0.9), Detection(MAN, 0.9)], 4: [Detection(CAR, 0.9)]}
    assert sorted(path.name for path in out.iterdir()) == [
        "label_studio.json", "masks", "objects.json", "overlay.mp4", "video.json"
    ]  # fmt: skip
    assert json.loads((out / "objects.json").read_text()) == {
        "1": {"id": "1", "label": None},
        "2": {"id": "2", "label": None},
    }
    assert json.loads((out / "video.json").read_text())["tracked"] == [[2, FRAMES - 1]]
    with Image.open(out / "masks" / "00003.png") as image:
        mask = np.asarray(image)
    assert (mask[30:70, 21:61] == 1).all() and (mask[20:60, 101:131] == 2).all()
    with VideoReader(out / "overlay.mp4") as overlay:
        assert len(overlay) == FRAMES - 2
    (task,) = json.loads((out / "label_studio.json").read_text())
    regions = {result["id"]: result["value"]["sequence"] for result in task["predictions"][0]["result"]}
    assert set(regions) == {"1", "2"}
    assert regions["1"][0]["frame"] == 3
    assert "1: tracked 2-7; 2 keyframes" in capsys.readouterr().out


def test_classes_become_labels(video, tmp_path, tracker, caplog):
    files = ["--detections", save(tmp_path / "found.json", COCO), "--detections-images"]
    files.append(save(tmp_path / "images.json", dict(NAMES)))
    assert start(video, tmp_path / "out", *files, "--no-overlay") == 0
    numbers = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert [entry["label"] for entry in numbers.values()] == ["Car", "Person"]
    assert sorted(tracker.calls[0].detections) == [0, 2, 4, 6]
    assert "no label 'Car', 'Person'" not in caplog.text
    assert start(video, tmp_path / "named", *files, "--no-overlay", "--label", "Tram") == 0
    numbers = json.loads((tmp_path / "named" / "objects.json").read_text())
    assert [entry["label"] for entry in numbers.values()] == ["Tram", "Tram"]
    assert "no label 'Tram'" in caplog.text


def test_the_detectors_own_scale(video, tmp_path, tracker, capsys):
    file = ["--detections", save(tmp_path / "det.txt", detection_rows([(0, CAR), (1, CAR)], score=-0.2))]
    assert start(video, tmp_path / "out", *file) == 2
    assert "the highest score is -0.2, and below 0.5 nothing begins a track" in capsys.readouterr().err
    assert start(video, tmp_path / "out", *file, "--sure", "-0.5", "--weak", "-1") == 0
    (call,) = tracker.calls
    assert (call.rules.confident, call.rules.weak) == (-0.5, -1.0)
    assert start(video, tmp_path / "out", *file, "--sure", "0.1", "--weak", "0.2") == 2
    assert "--weak 0.2 is above --sure 0.1" in capsys.readouterr().err


def test_where_nothing_is_found_nothing_is_written(video, tmp_path, tracker, capsys):
    tracker.absent = frozenset(range(FRAMES))
    tracker.track_detections = lambda *_, **__: iter(())
    assert start(video, tmp_path / "out", "--detections", save(tmp_path / "det.txt", detection_rows([(0, CAR)]))) == 1
    assert "no object was found; nothing was written" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--detections", "d.txt", "--prompt", "car@0 box=1,1,9,9"], "--prompt and --detections say each what to"),
        (["--everything", "--prompts", "prompts.json"], "--prompts and --everything say each what to track"),
        (["--everything", "--detections", "d.txt"], "--detections and --everything say each what to track"),
        (["--everything", "--span", "1-3"], "--span is for --prompt"),
        (["--detections", "d.txt", "--direction", "both"], "--direction is for --prompt"),
        (["--prompt", "car@0 box=1,1,9,9", "--label", "Car"], "--label is for --detections and --everything"),
        (["--prompt", "car@0 box=1,1,9,9", "--sure", "0"], "--sure is for --detections"),
        (["--everything", "--weak", "0"], "--weak is for --detections"),
        (["--everything", "--detections-images", "i.json"], "--detections-images is for --detections"),
        (["--detections", "d.txt", "--every", "2"], "--every is for --everything"),
        (["--most", "2"], "--most is for --everything"),
        (["--everything", "--refine", "always"], "--refine is for --prompt: with --everything nothing is refined"),
    ],
)
def test_what_does_not_go_together(video, tmp_path, tracker, capsys, options, says):
    assert start(video, tmp_path / "out", *options) == 2
    assert says in capsys.readouterr().err
    assert tracker.calls == []


@pytest.mark.parametrize("option", [["--every", "0"], ["--every", "x"], ["--most", "0"], ["--sure", "nan"]])
def test_numbers_that_are_none(video, tmp_path, option):
    with pytest.raises(SystemExit):
        start(video, tmp_path / "out", "--everything", *option)


def test_everything(video, tmp_path, tracker):
    options = ["--everything", "--label", "Car", "--every", "2.5", "--most", "3", "--no-overlay"]
    assert start(video, tmp_path / "out", *options) == 0
    (call,) = tracker.calls
    assert call.everything == replace(DEFAULT_EVERYTHING, every=2.5, most=3)
    numbers = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert numbers == {"1": {"id": "1", "label": "Car"}}
    assert json.loads((tmp_path / "out" / "video.json").read_text())["tracked"] == [[0, FRAMES - 1]]


def test_the_defaults_are_those_that_the_help_tells(video, tmp_path, tracker, capsys):
    assert start(video, tmp_path / "out", "--everything", "--no-overlay") == 0
    assert tracker.calls[0].everything == DEFAULT_EVERYTHING
    with pytest.raises(SystemExit):
        main(["track", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"to the next (default: {DEFAULT_EVERYTHING.every:g})" in text
    assert f"show at a time (default: {DEFAULT_EVERYTHING.most})" in text


def test_the_help_does_not_wait_for_torch():
    code = "import sys, backend.cli.track, backend.cli.prelabel; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_that_is_wrong_is_refused_before_the_models_are_loaded(video, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(track, "choose", lambda settings: pytest.fail("the models were asked for"))
    assert start(video, tmp_path / "out", "--detections", save(tmp_path / "det.txt", "9,-1,1,1,5,5,1\n")) == 2
    assert "det.txt, line 1: there is no frame 9" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_more_objects_than_masks_can_hold(video, tmp_path, tracker, capsys):
    boxes = [(0, (x * 8.0, y * 6.0, x * 8.0 + 7, y * 6.0 + 5)) for x in range(20) for y in range(13)]
    file = save(tmp_path / "det.txt", detection_rows(boxes))
    assert start(video, tmp_path / "out", "--detections", file, "--no-overlay") == 0
    assert "incomplete: masks were not written: they hold 255 objects, and 260 were found" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "INCOMPLETE.txt", "label_studio.json", "video.json"
    ]  # fmt: skip
