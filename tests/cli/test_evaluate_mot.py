"""``python -m backend evaluate mot``; what the evaluations do alike is tested with ``evaluate davis``."""

from __future__ import annotations

import csv
import json
import signal
import sys
from pathlib import Path

import pytest

from backend import __version__
from backend.__main__ import main
from backend.cli import evaluate_mot
from backend.evaluation.association import COLUMNS
from backend.segmentation.cache import EncodingCache
from backend.service import engine
from backend.tracking.tracker import VideoTracker
from backend.tracks import Box
from backend.video.reader import VideoReader
from support.choices import LITE
from support.clips import SceneObject, moving_boxes_scene
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo
from support.mot import detection_rows, truth_rows, write_sequence

FRAMES = 6
LEFT: Box = (4.0, 4.0, 16.0, 14.0)
RIGHT: Box = (40.0, 30.0, 56.0, 42.0)
PERFECT = dict.fromkeys(COLUMNS, 100) | {"IDSW": 0}


def still(box: Box, first: int = 0, step: int = 1) -> list[tuple[int, Box]]:
    return [(frame, box) for frame in range(first, FRAMES, step)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """ "one" has an object that stays where it is; "two" has another one from frame 2 on, of class 4."""
    root = tmp_path / "mot"
    images = [FakeVideo(FRAMES).frame(frame) for frame in range(FRAMES)]
    left, right = truth_rows(7, still(LEFT)), truth_rows(3, still(RIGHT, 2), "1,4,1")
    found = detection_rows(still(LEFT))
    write_sequence(root, "one", images, left, found)
    write_sequence(root, "two", images, left + right, found + detection_rows(still(RIGHT, 2), 0.6))
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "out"


@pytest.fixture(autouse=True)
def segmenter(monkeypatch: pytest.MonkeyPatch) -> FakeSegmenter:
    """Fakes instead of the models; what does not move is tracked perfectly."""
    segmenter = FakeSegmenter()
    tracker = VideoTracker(segmenter.as_segmenter, FakePropagator, EncodingCache(10**6))
    monkeypatch.setattr(evaluate_mot, "choose", lambda settings: LITE)
    monkeypatch.setattr(evaluate_mot, "tracker_factory", lambda settings, choice: lambda: tracker)
    return segmenter


def start(root: Path, out: Path, *options: str) -> int:
    return main(["evaluate", "mot", "--root", str(root), "--out", str(out), *options])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def read_json(out: Path) -> dict:
    return json.loads((out / "results.json").read_text("utf-8"))


def scores(entry: dict) -> dict[str, float]:
    return {name: entry[name] for name in COLUMNS}


def rows(out: Path, name: str) -> list[list[float]]:
    with (out / "tracks" / f"{name}.txt").open(newline="") as file:
        return [[float(value) for value in row] for row in csv.reader(file)]


def test_marked_objects(root, out, capsys):
    assert start(root, out) == 0
    assert names(out) == ["results.json", "tracks"]
    read = read_json(out)
    assert list(read["sequences"]) == ["one", "two"]
    one, two = read["sequences"].values()
    assert scores(one) == scores(two) == read["combined"] == pytest.approx(PERFECT)
    assert [one[key] for key in ("frames", "boxes", "tracks")] == [FRAMES, 1, 1]
    assert [two[key] for key in ("frames", "boxes", "tracks")] == [FRAMES, 2, 2]
    assert isinstance(one["seconds"], float)
    assert {key: read[key] for key in read if key not in ("sequences", "combined")} == {
        "given": "keyframes",
        "every": None,
        "rules": None,
        "classes": None,
        "limit": None,
        "profile": "lite",
        "segmenter": "mobile_sam",
        "propagator": "sam_tokens",
        "embedder": "sam",
        "device": "cpu",
        "version": __version__,
        "missing": {},
    }
    # Frames and pixels from 1; the confidence on the marked frame is the segmenter's.
    assert rows(out, "two")[0] == [1, 7, 5, 5, 12, 10, 0.9, -1, -1, -1]
    assert rows(out, "two")[-2:] == [[6, 3, 41, 31, 16, 12, 0.8, -1, -1, -1], [6, 7, 5, 5, 12, 10, 0.8, -1, -1, -1]]
    assert len(rows(out, "two")) == FRAMES + FRAMES - 2
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()[:1]] == [
        ["sequence", "frames", "given", "tracks", *COLUMNS, "seconds"]
    ]
    assert [line.split()[:-1] for line in said.out.splitlines()[1:4]] == [
        ["one", "6", "1", "1", *["100.0"] * 6, "0"],
        ["two", "6", "2", "2", *["100.0"] * 6, "0"],
        ["combined", "12", "3", "3", *["100.0"] * 6, "0"],
    ]
    assert f"results in {out}" in said.out
    assert "Config" not in said.out + said.err  # TrackEval's


def test_marks_on_more_frames(root, out):
    assert start(root, out, "--every", "2", "--sequences", "two") == 0
    assert read_json(out)["every"] == 2
    assert read_json(out)["sequences"]["two"]["boxes"] == 3 + 2


def test_detected_objects(root, out):
    assert start(root, out, "--given", "detections") == 0
    read = read_json(out)
    assert read["combined"] == pytest.approx(PERFECT)
    assert read["sequences"]["two"]["boxes"] == FRAMES + FRAMES - 2
    assert (read["given"], read["every"]) == ("detections", 1)
    assert read["rules"]["confident"] == 0.5
    assert {row[1] for row in rows(out, "two")} == {1, 2}


def test_how_sure_a_detection_must_be(root, out):
    assert start(root, out, "--given", "detections", "--sure", "0.7", "--weak", "0.2", "--sequences", "two") == 0
    read = read_json(out)
    assert (read["rules"]["confident"], read["rules"]["weak"]) == (0.7, 0.2)
    assert read["sequences"]["two"]["tracks"] == 1
    assert read["combined"]["MOTA"] == 60  # 4 of 10 boxes are missed


def test_what_is_sure_is_strong_enough_to_go_on(root, out):
    assert start(root, out, "--given", "detections", "--sure", "-0.5") == 0
    assert read_json(out)["rules"]["weak"] == -0.5


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_detections_from_elsewhere(root, out, tmp_path, kind):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "two.txt").write_text(detection_rows(still(RIGHT, 2)))
    given = mine if kind == "directory" else mine / "two.txt"
    assert start(root, out, "--given", "detections", "--detections", str(given), "--sequences", "two") == 0
    assert {tuple(row[2:6]) for row in rows(out, "two")} == {(41, 31, 16, 12)}


def test_detections_on_every_so_many_th_frame(root, out):
    assert start(root, out, "--given", "detections", "--every", "5", "--sequences", "one") == 0
    read = read_json(out)
    assert read["sequences"]["one"]["boxes"] == 2
    assert read["combined"] == pytest.approx(PERFECT)


def test_chosen_classes(root, out):
    assert start(root, out, "--classes", "4", "--sequences", "two") == 0
    assert read_json(out)["classes"] == [4]
    assert {row[1] for row in rows(out, "two")} == {3}
    assert read_json(out)["combined"] == pytest.approx(PERFECT)


def test_what_does_not_count_may_be_tracked(root, out):
    assert start(root, out, "--given", "detections", "--classes", "4", "--sequences", "two") == 0
    assert read_json(out)["sequences"]["two"]["tracks"] == 2
    assert read_json(out)["combined"] == pytest.approx(PERFECT)


def test_limited_sequences_end_earlier(root, out):
    assert start(root, out, "--limit", "3") == 0
    assert read_json(out)["limit"] == 3
    assert [entry["frames"] for entry in read_json(out)["sequences"].values()] == [3, 3]
    assert read_json(out)["combined"] == pytest.approx(PERFECT)


def test_overlays(root, out):
    assert start(root, out, "--overlay", "--sequences", "two") == 0
    assert names(out) == ["overlays", "results.json", "tracks"]
    with VideoReader(out / "overlays" / "two.mp4") as video:
        assert (len(video), video.width, video.height) == (FRAMES, WIDTH, HEIGHT)


def test_nothing_tracked_is_a_result_and_no_video(root, out):
    assert start(root, out, "--given", "detections", "--sure", "0.99", "--sequences", "one", "--overlay") == 2
    assert names(out) == ["INCOMPLETE.txt", "results.json", "tracks"]
    assert read_json(out)["combined"]["HOTA"] == 0
    assert (out / "tracks" / "one.txt").read_text() == ""
    assert (out / "INCOMPLETE.txt").read_text() == "overlays/one.mp4 was not drawn: nothing was tracked\n"


def test_a_sequence_without_anything_to_find_costs_only_itself(root, out):
    assert start(root, out, "--classes", "4") == 2
    assert list(read_json(out)["sequences"]) == ["two"]
    assert "nothing to mark" in read_json(out)["missing"]["one"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--sequences", "three"], "has no sequence three; it has one, two"),
        (["--sure", "0.7"], "--sure is for --given detections"),
        (["--weak", "0"], "--weak is for --given detections"),
        (["--detections", "x"], "--detections is for --given detections"),
        (["--given", "detections", "--sure", "0.2", "--weak", "0.3"], "--weak 0.3 is above --sure 0.2"),
        (["--given", "detections", "--detections", "det.txt"], "one file for 2 sequences"),
        (["--given", "detections", "--detections", "none.txt", "--sequences", "one"], "none.txt cannot be read"),
        (["--given", "detections", "--detections", "."], "one.txt cannot be read"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(root, out, tmp_path, monkeypatch, capsys, options, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "det.txt").write_text("")
    monkeypatch.setattr(evaluate_mot, "tracker_factory", lambda settings, choice: pytest.fail("loaded"))
    assert start(root, out, *options) == 2
    assert problem in capsys.readouterr().err
    assert not out.parent.exists()


@pytest.mark.parametrize(("file", "given"), [("gt/gt.txt", "keyframes"), ("det/det.txt", "detections")])
def test_a_malformed_row_is_told_before_a_model_is_loaded(root, out, monkeypatch, capsys, file, given):
    monkeypatch.setattr(evaluate_mot, "tracker_factory", lambda settings, choice: pytest.fail("loaded"))
    with (root / "two" / file).open("a") as appended:
        appended.write("1,8,1,1,wide,4,1\n")
    lines = (root / "two" / file).read_text().count("\n")
    assert start(root, out, "--given", given) == 2
    assert f"{root / 'two' / file}, line {lines}: 'wide' is no number" in capsys.readouterr().err


def test_without_trackeval_nothing_is_tracked_in_vain(root, out, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    assert start(root, out) == 2
    assert "pip install --no-deps -r requirements-trackeval.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--every", "0"], ["--limit", "1"], ["--classes", "1,x"], ["--classes", ""], ["--given", "masks"]],
)
def test_malformed_options(root, out, capsys, options):
    with pytest.raises(SystemExit) as end:
        start(root, out, *options)
    assert end.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize("score", ["high", "nan", "inf"])
def test_malformed_scores(root, out, capsys, score):
    with pytest.raises(SystemExit):
        start(root, out, "--given", "detections", "--sure", score)
    assert f"{score!r} is no score" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["keyframes", "detections"])
def test_ctrl_c_keeps_the_sequences_that_are_done(root, out, segmenter, given):
    encode = segmenter.encode

    def pressed(image):
        if len(segmenter.encoded) == FRAMES + 2:
            signal.raise_signal(signal.SIGINT)
        return encode(image)

    segmenter.encode = pressed
    assert start(root, out, "--given", given) == 130
    assert list(read_json(out)["sequences"]) == ["one"]
    assert names(out / "tracks") == ["one.txt"]
    assert (out / "INCOMPLETE.txt").read_text() == "two is missing: interrupted\n"


# --- with the real models -----------------------------------------------------------------------

OBJECTS = (
    SceneObject("red", (200, 50, 40), (34, 26), (12.0, 20.0), (6.0, 1.0)),
    SceneObject("blue", (40, 70, 200), (28, 30), (110.0, 66.0), (-6.0, -1.0), shape="box"),
)


@pytest.mark.slow
@pytest.mark.parametrize("given", ["keyframes", "detections"])
def test_two_moving_objects_with_mobile_sam(tmp_path, out, monkeypatch, mobile_sam_path, given):
    monkeypatch.setattr(evaluate_mot, "choose", engine.choose)
    monkeypatch.setattr(evaluate_mot, "tracker_factory", engine.tracker_factory)
    scene = moving_boxes_scene(8, objects=OBJECTS)
    tracks = [[(frame, box) for frame, box in enumerate(scene.boxes[item.name]) if box is not None] for item in OBJECTS]
    truth = "".join(truth_rows(number, boxes) for number, boxes in enumerate(tracks, start=1))
    # The detector misses either object on a frame of its own.
    detections = detection_rows([one for one in tracks[0] if one[0] != 3] + [one for one in tracks[1] if one[0] != 5])
    write_sequence(tmp_path / "mot", "scene", scene.frames, truth, detections)
    options = ["--profile", "lite", "--device", "cpu", "--weights-dir", str(mobile_sam_path.parent)]
    assert start(tmp_path / "mot", out, "--given", given, *options) == 0
    read = read_json(out)
    assert read["sequences"]["scene"]["tracks"] == 2
    assert read["combined"]["IDSW"] == 0
    assert read["combined"]["IDF1"] > 95
    assert read["combined"]["HOTA"] > 80
