"""``python -m backend evaluate pieces``; what the evaluations do alike is tested with ``evaluate davis``."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.cli import evaluate_pieces
from backend.tracks import Box
from support.choices import LITE
from support.clips import make_clip
from support.fake_rooms import FakeVideo
from support.fake_tracker import FakeTracker
from support.mot import detection_rows, truth_rows, write_sequence

FRAMES = 60
LEFT: Box = (4.0, 4.0, 16.0, 14.0)
RIGHT: Box = (40.0, 30.0, 56.0, 42.0)


def boxes(box: Box, frames: range) -> list[tuple[int, Box]]:
    return [(frame, box) for frame in frames]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two objects that stay where they are; of the second there is a detection on frame 0 alone."""
    video = FakeVideo(FRAMES)
    found = detection_rows(boxes(LEFT, range(FRAMES))) + detection_rows(boxes(RIGHT, range(1)))
    truth = truth_rows(1, boxes(LEFT, range(FRAMES))) + truth_rows(2, boxes(RIGHT, range(FRAMES)))
    write_sequence(tmp_path / "mot", "one", [video.frame(frame) for frame in range(FRAMES)], truth, found)
    return tmp_path / "mot"


@pytest.fixture(autouse=True)
def tracker(monkeypatch: pytest.MonkeyPatch) -> FakeTracker:
    tracker = FakeTracker((0, 0))
    monkeypatch.setattr(evaluate_pieces, "choose", lambda settings: LITE)
    monkeypatch.setattr(evaluate_pieces, "tracker_factory", lambda settings, choice: lambda: tracker)
    return tracker


def evaluate(*arguments: str | Path) -> int:
    return main(["evaluate", "pieces", *map(str, arguments)])


def test_pieces_are_compared_with_the_whole(
    root: Path, tmp_path: Path, tracker: FakeTracker, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evaluate("--root", root, "--seconds", 2, "--overlap", 0.5, "--out", out) == 0
    assert [len(call.detections) for call in tracker.calls] == [60, 23, 25, 22]
    results = json.loads((out / "results.json").read_text())
    one = results["videos"]["one"]
    assert one["split"] == [
        {"first": 0, "last": 22, "cut": False},
        {"first": 18, "last": 42, "cut": False},
        {"first": 38, "last": 59, "cut": False},
    ]
    assert (one["whole"]["tracks"], one["whole"]["HOTA"], one["whole"]["IDSW"]) == (2, 100, 0)
    # The second object is found in the first piece alone: 23 of its 60 boxes.
    assert (one["pieces"]["tracks"], one["pieces"]["MOTA"]) == (2, pytest.approx(100 * 83 / 120, abs=0.01))
    assert one["agreement"]["pairs"] == {"1": "1", "2": "2"}
    assert one["agreement"]["share"] == pytest.approx(100 * 2 * 83 / 203, abs=0.01)
    assert one["agreement"]["differences"] == ["whole 2: pieces has nothing there on 23-59, elsewhere 2"]
    assert results["combined"]["pieces"]["HOTA"] == one["pieces"]["HOTA"]
    for way, count in (("whole", 120), ("pieces", 83)):
        with (out / "tracks" / f"one.{way}.txt").open() as file:
            assert len(list(csv.reader(file))) == count
    told = capsys.readouterr().out
    assert "one: 3 pieces; 81.8 % of all boxes agree in place and identity" in told
    assert "whole 2: pieces has nothing there on 23-59, elsewhere 2" in told


def test_everything_on_a_video_of_which_nothing_is_known(tmp_path: Path, tracker: FakeTracker) -> None:
    clip = make_clip(tmp_path / "clip.mp4", [FakeVideo(FRAMES).frame(frame) for frame in range(FRAMES)], fps=10)
    out = tmp_path / "out"
    rest = ("--seconds", 3, "--overlap", 0.5, "--out", out)
    assert evaluate("--video", clip, "--given", "everything", *rest) == 0
    assert all(call.everything is not None for call in tracker.calls) and len(tracker.calls) == 3
    results = json.loads((out / "results.json").read_text())
    assert results["combined"] == {}
    assert set(results["videos"]["clip"]["whole"]) == {"tracks", "seconds"}
    assert results["videos"]["clip"]["agreement"]["share"] == 100


def test_a_video_with_detections(tmp_path: Path, tracker: FakeTracker) -> None:
    clip = make_clip(tmp_path / "clip.mp4", [FakeVideo(FRAMES).frame(frame) for frame in range(FRAMES)], fps=10)
    found = tmp_path / "det.txt"
    found.write_text(detection_rows(boxes(LEFT, range(0, FRAMES, 5))))
    rest = ("--seconds", 3, "--overlap", 0.5, "--out", tmp_path / "out")
    assert evaluate("--video", clip, "--detections", found, *rest) == 0
    assert [len(call.detections) for call in tracker.calls] == [
        12,
        7,
        7,
    ]  # the second piece begins where a detector looked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--root", "R", "--seconds", "61"], "at most 60"),
        (["--root", "R", "--seconds", "4", "--overlap", "1.5"], "a quarter of that"),
        (["--root", "R", "--given", "everything", "--every", "2"], "--every is for --given detections"),
        (["--root", "R", "--detections", "F"], "--detections is for --video"),
        (["--video", "V"], "give --detections FILE"),
        (["--video", "V", "--given", "everything", "--limit", "9"], "--limit is for --root"),
    ],
)
def test_options_that_do_not_go_together(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(*options, "--out", tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
