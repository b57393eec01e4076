"""``python -m backend prelabel --videos`` and ``--manifest``: videos of no project."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from backend import __version__
from backend.__main__ import main
from backend.cli import prelabel_workers
from backend.detections import kept
from backend.detections.files import open_detections
from support.choices import LITE
from support.fake_tracker import FakeTracker
from support.service import CONFIG, FPS, HEIGHT, WIDTH, clip

VERSION = f"keytrack-{__version__}-lite"
DOG = {"name": "dog", "label": "Person", "frame": 4, "box": [40.5, 30, 72, 54]}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip(tmp_path_factory.mktemp("media"))


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker()
    monkeypatch.setattr(prelabel_workers, "choose", lambda settings: LITE)
    monkeypatch.setattr(prelabel_workers, "tracker_factory", lambda settings, choice: lambda: tracker)
    return tracker


@pytest.fixture
def clips(tmp_path: Path, video: Path) -> Path:
    (tmp_path / "clips" / "far").mkdir(parents=True)
    for name in ("a.mp4", "b.MP4", "far/a.mp4", ".hidden.mp4"):
        shutil.copy(video, tmp_path / "clips" / name)
    (tmp_path / "clips" / "notes.txt").write_text("no video")
    (tmp_path / "config.xml").write_text(CONFIG)
    return tmp_path / "clips"


def start(clips: Path, *options: str) -> int:
    root = clips.parent
    places = ["--out", str(root / "out"), "--label-config", str(root / "config.xml"), "--data-dir", str(root)]
    return main(["prelabel", *places, *options])


def manifest(clips: Path, *rows: object) -> str:
    path = clips.parent / "list.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return str(path)


def written(clips: Path) -> dict[str, dict[str, Any]]:
    out = clips.parent / "out"
    found = {
        path.relative_to(out).as_posix(): json.loads(path.read_text()) for path in out.rglob("*") if path.is_file()
    }
    assert all(len(tasks) == 1 for tasks in found.values())
    return {name: tasks[0] for name, tasks in found.items()}


def test_the_videos_of_a_directory(clips, tracker, capsys):
    assert start(clips, "--videos", str(clips)) == 2
    assert "say what the objects are: the labeling configuration has the labels Car, Person" in capsys.readouterr().err
    assert start(clips, "--videos", str(clips), "--label", "Car") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 videos: 3 tracked, 0 left, 0 failed"
    found = written(clips)
    assert sorted(found) == ["a.mp4.json", "b.MP4.json", "far/a.mp4.json"]
    far = found["far/a.mp4.json"]
    assert far["data"] == {"video": "/data/local-files/?d=clips/far/a.mp4", "fps": FPS}
    (prediction,) = far["predictions"]
    assert (prediction["model_version"], prediction["score"]) == (VERSION, pytest.approx(0.75))
    assert [one["value"]["labels"] for one in prediction["result"]] == [["Car"]]
    ids = {task["predictions"][0]["result"][0]["id"] for task in found.values()}
    assert len(ids) == 3
    # What is complete is done; what is not is done again, and comes to the same.
    (clips.parent / "out" / "a.mp4.json").write_text('[{"data": {')
    assert start(clips, "--videos", str(clips), "--label", "Car") == 0
    assert f"b.MP4: left: it has its file, by {VERSION}" in capsys.readouterr().out
    assert len(tracker.calls) == 4
    assert written(clips) == found
    assert start(clips, "--videos", str(clips), "--label", "Person") == 0
    assert len(tracker.calls) == 7


def test_detections_of_a_directory(clips, tracker, capsys):
    rows = "3,-1,40,30,32,24,0.9\n5,-1,42,30,32,24,0.9\n"
    (clips.parent / "det.txt").write_text(rows)
    options = ["--detections", str(clips.parent / "det.txt"), "--label", "Car"]
    assert start(clips, "--videos", str(clips / "far"), *options) == 0
    assert sorted(tracker.calls[0].detections) == [2, 4]
    assert start(clips, "--videos", str(clips), *options) == 2
    assert "does not say of which video it is" in capsys.readouterr().err


def test_a_manifest(clips, tracker, capsys):
    Image.new("L", (WIDTH, HEIGHT), 255).save(clips / "dog.png")
    (clips / "det.txt").write_text("3,-1,40,30,32,24,0.9\n5,-1,42,30,32,24,0.9\n")
    masked = [{"name": "dog", "frame": 0, "mask": "clips/dog.png"}]
    (clips / "prompts.json").write_text(json.dumps([DOG]))
    rows = manifest(
        clips,
        {"video": "clips/a.mp4", "prompts": [DOG]},
        "",
        {"video": "clips/a.mp4", "name": "mask", "prompts": masked, "label": "Car", "url": "s3://bucket/a.mp4"},
        {"video": "clips/a.mp4", "name": "file", "prompts": "clips/prompts.json", "frame_rate": 5},
        {"video": str(clips / "b.MP4"), "detections": "clips/det.txt", "label": "Car"},
        {"video": "clips/far/a.mp4", "name": "far/all", "label": "Person"},
    )
    assert start(clips, "--manifest", rows) == 0
    found = written(clips)
    assert sorted(found) == ["a.mp4.json", "b.MP4.json", "far/all.json", "file.json", "mask.json"]
    labels = {name: task["predictions"][0]["result"][0]["value"]["labels"] for name, task in found.items()}
    assert labels == {
        "a.mp4.json": ["Person"],
        "b.MP4.json": ["Car"],
        "far/all.json": ["Person"],
        "file.json": ["Person"],
        "mask.json": ["Car"],
    }
    assert found["mask.json"]["data"]["video"] == "s3://bucket/a.mp4"
    assert found["file.json"]["data"]["fps"] == 5
    # A box that somebody gave is a keyframe as it was given.
    sequence = found["a.mp4.json"]["predictions"][0]["result"][0]["value"]["sequence"]
    (given,) = [one for one in sequence if one["frame"] == 5]
    box = [one / 100 * side for one, side in ((given["x"], WIDTH), (given["width"], WIDTH))]
    assert box == pytest.approx([40.5, 31.5])
    # Another prompt is another wish.
    rows = manifest(clips, {"video": "clips/a.mp4", "prompts": [DOG | {"frame": 6}]})
    assert start(clips, "--manifest", rows) == 0
    assert len(tracker.calls) == 6


def test_rows_that_share_a_file_of_detections(clips, tracker, capsys, monkeypatch):
    read = []
    monkeypatch.setattr(kept, "open_detections", lambda *paths: read.append(paths[0].name) or open_detections(*paths))
    images = [{"id": 10 * index + 2, "file_name": f"{name}/2.jpg"} for index, name in enumerate("abc")]
    boxes = [
        {"id": one["id"], "image_id": one["id"], "category_id": 1, "bbox": [40, 30, 32, 24], "score": 0.9}
        for one in images[:2]
    ]
    whole = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "Car"}]}
    (clips / "found.json").write_text(json.dumps(whole))
    shared = {"detections": "clips/found.json"}
    rows = [{"video": "clips/a.mp4"} | shared, {"video": "clips/b.MP4"} | shared]
    none = {"video": "clips/a.mp4", "name": "d", "detections": "clips/none.json"}
    assert start(clips, "--manifest", manifest(clips, *rows, none)) == 1
    assert sorted(written(clips)) == ["a.mp4.json", "b.MP4.json"]
    assert [len(call.detections) for call in tracker.calls] == [1, 1]
    assert "failed: d: " in capsys.readouterr().out
    assert read == ["found.json"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "list.jsonl:2: Invalid JSON"),
        ({"label": "Car"}, "list.jsonl:2: video: Field required"),
        ({"video": "clips/b.MP4", "colour": 1}, "list.jsonl:2: colour: Extra inputs are not permitted"),
        ({"video": "clips/b.MP4", "prompts": [{"name": "x"}]}, "list.jsonl:2: prompts."),
        ({"video": "clips/b.MP4"}, "list.jsonl:2: label: without prompts or detections say what the objects are"),
        ({"video": "clips/b.MP4", "label": "Tram"}, "list.jsonl:2: label Tram: the labeling configuration has no such"),
        ({"video": "clips/b.MP4", "prompts": [], "label": "Car"}, "list.jsonl:2: prompts: there is none"),
        (
            {"video": "clips/b.MP4", "prompts": [DOG], "detections": "d"},
            "list.jsonl:2: prompts and detections say each",
        ),
        ({"video": "clips/b.MP4", "detections_images": "d", "label": "Car"}, "list.jsonl:2: detections_images is for"),
        (
            {"video": "far/a.mp4", "label": "Car"},
            "list.jsonl:2: its results would go to a.mp4.json, as those of line 1",
        ),
        ({"video": "clips/b.MP4", "name": "../x", "label": "Car"}, "list.jsonl:2: the name '../x' is no file's"),
        ({"video": "clips/b.MP4", "name": "./a.mp4", "label": "Car"}, "list.jsonl:2: the name './a.mp4' is no file's"),
        ({"video": "http://[a/b.mp4", "label": "Car"}, "list.jsonl:2: video http://[a/b.mp4 is no address"),
        (
            {"video": "clips/b.MP4", "prompts": [DOG | {"label": "Dog"}]},
            "list.jsonl:2: prompts[0]: label Dog: the labeling configuration has no such",
        ),
    ],
)
def test_rows_that_are_none(clips, tracker, capsys, row, message):
    assert start(clips, "--manifest", manifest(clips, {"video": "clips/a.mp4", "label": "Car"}, row)) == 2
    assert message in capsys.readouterr().err
    assert not (clips.parent / "out").exists()


def test_what_fails_is_listed_and_the_others_are_done(clips, tracker, capsys):
    (clips / "prompts.json").write_text(json.dumps([DOG | {"label": "Dog"}]))
    rows = manifest(
        clips,
        {"video": "none.mp4", "label": "Car"},
        {"video": "clips/a.mp4", "prompts": [DOG | {"frame": 99}]},
        {"video": "clips/a.mp4", "name": "mask", "prompts": [{"name": "dog", "frame": 0, "mask": "none.png"}]},
        {"video": "clips/a.mp4", "name": "found", "detections": "none.txt", "label": "Car"},
        {"video": "https://media.example.org/a.mp4", "name": "away", "label": "Car"},
        {"video": "clips/a.mp4", "name": "strange", "prompts": "clips/prompts.json"},
        {"video": "clips/b.MP4", "label": "Car"},
    )
    assert start(clips, "--manifest", rows) == 1
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert [line.split(": ")[1] for line in failed] == ["none.mp4", "a.mp4", "mask", "found", "away", "strange"]
    words = ["none.mp4", "list.jsonl:2: prompts[0]: there is no frame 99", "none.png", "none.txt", "--allowed-hosts"]
    words.append("prompts.json[0]: label Dog: the labeling configuration has no such label")
    assert all(word in line for word, line in zip(words, failed, strict=True))
    assert list(written(clips)) == ["b.MP4.json"]


def test_a_name_that_is_no_text(clips, tracker, capsys):
    Path(os.fsdecode(os.fsencode(clips) + b"/b\xff.mp4")).touch()
    assert start(clips, "--videos", str(clips), "--label", "Car") == 2
    assert "the name 'clips/b\\udcff.mp4' is no text in UTF-8; rename it" in capsys.readouterr().err


def test_options_of_other_sources(clips, tracker, capsys):
    rows = manifest(clips, {"video": "clips/a.mp4", "label": "Car"})
    for options, message in [
        (["--manifest", rows, "--tasks", "1"], "--tasks is for --project"),
        (["--manifest", rows, "--detections", "x"], "--detections is for --project and --videos"),
        (["--manifest", rows, "--out", rows], "list.jsonl is a file; give a directory"),
        (["--videos", str(clips / "none")], "none is not a directory"),
        (["--manifest", str(clips / "none")], "none cannot be read"),
        (["--manifest", rows, "--workers", "2"], "--workers is for --ray"),
        (["--manifest", rows, "--piece-seconds", "1000"], "pieces of 1000 seconds: give at most"),
    ]:
        assert start(clips, *options) == 2
        assert message in capsys.readouterr().err
    assert main(["prelabel", "--manifest", rows, "--data-dir", str(clips)]) == 2
    assert "need --out DIR" in capsys.readouterr().err


def test_a_report(clips, tracker):
    assert start(clips, "--videos", str(clips), "--label", "Car", "--report", str(clips.parent / "report")) == 0
    page = (clips.parent / "report" / "index.html").read_text()
    assert "far/a.mp4" in page
    assert list((clips.parent / "report" / "pictures").glob("*.jpg"))


def test_long_videos_are_tracked_in_pieces(clips, tracker):
    options = ["--videos", str(clips / "far"), "--label", "Car"]
    assert start(clips, *options, "--piece-seconds", "1") == 0
    assert len(tracker.calls) == 3
    (pieces,) = written(clips).values()
    assert start(clips, *options) == 0
    assert len(tracker.calls) == 4
    (whole,) = written(clips).values()
    assert [one["id"] for one in whole["predictions"][0]["result"]] == [
        one["id"] for one in pieces["predictions"][0]["result"]
    ]


def test_a_video_that_was_replaced_is_tracked_again(clips, tracker, capsys):
    options = ["--videos", str(clips), "--label", "Car"]
    assert start(clips, *options) == 0
    state = (clips / "a.mp4").stat()
    os.utime(clips / "a.mp4", ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    capsys.readouterr()
    assert start(clips, *options) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 videos: 1 tracked, 2 left, 0 failed"
    rows = manifest(clips, {"video": "clips/a.mp4", "name": "listed", "label": "Car"})
    for tracked in (1, 0):
        assert start(clips, "--manifest", rows) == 0
        assert f"1 video: {tracked} tracked" in capsys.readouterr().out
    with (clips / "a.mp4").open("ab") as file:
        file.write(bytes(8))
    os.utime(clips / "a.mp4", ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
    assert start(clips, "--manifest", rows) == 0
    assert "1 video: 1 tracked" in capsys.readouterr().out
