"""``evaluate davis``: what is asked of the tracker, and what lies in the directory afterwards."""

from __future__ import annotations

import csv
import io
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from backend import __version__
from backend.__main__ import main
from backend.cli import evaluate_davis, sequences
from backend.errors import VideoError
from backend.evaluation.davis import find_sequences
from backend.video.reader import VideoReader
from support.choices import LITE
from support.clips import moving_boxes_scene
from support.davis import HEIGHT, WIDTH, ScriptedTracker, numbers, write_sequence

FRAMES = 5
HALF = numbers((1, 5, 5, 10, 15)) == 1
WRITTEN = ["frames.csv", "results.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three sequences of five frames: bear and cows with one object in 2016's manner, dogs with two."""
    root = tmp_path / "davis"
    for name in ("bear", "cows"):
        write_sequence(root, name, [numbers((255, 5, 5, 15, 15))] * FRAMES, indexed=False)
    dogs = [numbers((1, 5 + x, 5, 15 + x, 15), (2, 25, 5, 30, 20), (255, 0, 0, 2, 2)) for x in range(FRAMES)]
    write_sequence(root, "dogs", dogs)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "out"


@pytest.fixture
def tracker(root: Path, monkeypatch: pytest.MonkeyPatch) -> ScriptedTracker:
    """What is measured instead of the models: perfect but for bear, of which it finds half."""
    sequences = {sequence.name: sequence for sequence in find_sequences(root)}

    def found(directory: str, name: str, frame: int):
        return HALF if directory == "bear" else sequences[directory].truth(frame)[name], 0.8

    tracker = ScriptedTracker(found, looks=[HALF] * 99)
    use(tracker, monkeypatch)
    return tracker


def use(tracker: ScriptedTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_davis, "choose", lambda settings: LITE)
    monkeypatch.setattr(evaluate_davis, "tracker_factory", lambda settings, choice: lambda: tracker)


def start(root: Path, out: Path, *options: str, prompt: str = "mask") -> int:
    return main(["evaluate", "davis", "--root", str(root), "--out", str(out), "--prompt", prompt, *options])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def read_json(out: Path) -> dict:
    return json.loads((out / "results.json").read_text("utf-8"))


def measured(out: Path) -> list[str]:
    return list(read_json(out)["sequences"])


def test_all_sequences(root, out, tracker, capsys):
    assert start(root, out) == 0
    assert names(out) == WRITTEN
    assert names(out.parent) == ["out"]
    read = read_json(out)
    assert list(read["sequences"]) == ["bear", "cows", "dogs"]
    for entry in read["sequences"].values():
        assert set(entry) == {"J", "F", "J&F", "frames", "seconds"}
        assert entry["frames"] == FRAMES
        assert isinstance(entry["seconds"], float)
    bear, cows, dogs = read["sequences"].values()
    assert bear["J"] == 50
    assert [cows[key] for key in ("J", "F", "J&F")] == [dogs[key] for key in ("J", "F", "J&F")] == [100, 100, 100]
    assert bear["J&F"] == pytest.approx((50 + bear["F"]) / 2, abs=0.01)
    # Four objects, of which bear's is one.
    assert read["mean"]["J"] == 87.5
    assert read["mean"]["F"] == pytest.approx((300 + bear["F"]) / 4, abs=0.01)
    assert {key: read[key] for key in read if key not in ("sequences", "mean")} == {
        "prompt": "mask",
        "clicks": None,
        "limit": None,
        "profile": "lite",
        "refine": "off",
        "segmenter": "mobile_sam",
        "propagator": "sam_tokens",
        "embedder": "sam",
        "device": "cpu",
        "version": __version__,
        "missing": {},
    }
    lines = list(csv.DictReader((out / "frames.csv").read_text("utf-8").splitlines()))
    assert len(lines) == 4 * FRAMES
    assert [line["counts"] for line in lines[:FRAMES]] == ["0", "1", "1", "1", "0"]
    said = capsys.readouterr()
    assert [line.split()[:3] for line in said.out.splitlines()[:5]] == [
        ["sequence", "frames", "J"],
        ["bear", "5", "50.0"],
        ["cows", "5", "100.0"],
        ["dogs", "5", "100.0"],
        ["mean", "15", "87.5"],
    ]
    assert f"results in {out}" in said.out
    assert "frame/s" not in said.err  # no progress bar where nobody looks


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sequences", "dogs, bear"], ["dogs", "bear"]),
        (["--sequences", "cows"], ["cows"]),
        (["--split", "val.txt"], ["cows", "dogs"]),
    ],
)
def test_chosen_sequences(root, out, tracker, tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val.txt").write_text("cows\ndogs\n")
    assert start(root, out, *options) == 0
    assert measured(out) == expected


def test_limited_sequences_end_earlier(root, out, tracker):
    assert start(root, out, "--limit", "4", "--sequences", "dogs") == 0
    assert read_json(out)["limit"] == 4
    assert read_json(out)["sequences"]["dogs"]["frames"] == 4
    lines = list(csv.DictReader((out / "frames.csv").read_text("utf-8").splitlines()))
    assert [line["counts"] for line in lines] == ["0", "1", "1", "0"] * 2


def test_boxes(root, out, tracker):
    assert start(root, out, "--sequences", "dogs", prompt="box") == 0
    assert [prompt.box for prompt in tracker.asked[0]] == [(5, 5, 15, 15), (25, 5, 30, 20)]
    assert read_json(out)["prompt"] == "box"


@pytest.mark.parametrize(("options", "clicks"), [([], 1), (["--clicks", "3"], 3)])
def test_clicks(root, out, tracker, options, clicks):
    assert start(root, out, "--sequences", "bear", *options, prompt="click") == 0
    (prompt,) = tracker.asked[0]
    assert len(prompt.points) == clicks
    assert len(tracker.looked) == clicks - 1
    assert (read_json(out)["prompt"], read_json(out)["clicks"]) == ("click", clicks)


def test_overlays(root, out, tracker):
    assert start(root, out, "--overlay", "--sequences", "bear,dogs") == 0
    assert names(out) == [*WRITTEN[:1], "overlays", *WRITTEN[1:]]
    assert names(out / "overlays") == ["bear.mp4", "dogs.mp4"]
    with VideoReader(out / "overlays" / "dogs.mp4") as video:
        assert (len(video), video.width, video.height) == (FRAMES, WIDTH, HEIGHT)
        (dogs,) = find_sequences(root, names=["dogs"])
        painted, plain = video.frame(2).astype(int), dogs.video().frame(2).astype(int)
        for truth in dogs.truth(2).values():
            assert np.abs(painted - plain)[truth].mean() > 40


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--sequences", "cat"], "no sequence cat; it has bear, cows, dogs"),
        (["--split", "none.txt"], "--split none.txt: cannot be read"),
        (["--clicks", "3"], "--clicks 3: there are none with --prompt mask"),
        (["--root", "none"], "none is not laid out as DAVIS is"),
        (["--device", "tpu"], "--device"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(
    root, out, tracker, tmp_path, monkeypatch, capsys, options, problem
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(evaluate_davis, "tracker_factory", lambda settings, choice: pytest.fail("loaded"))
    assert start(root, out, *options) == 2
    assert problem in capsys.readouterr().err
    assert names(tmp_path) == ["davis"]


@pytest.mark.parametrize(
    "options",
    [
        ["--limit", "2"],
        ["--limit", "x"],
        ["--clicks", "0"],
        ["--sequences", "bear,,cows"],
        ["--sequences", "bear", "--split", "val.txt"],
        ["--prompt", "scribble"],
    ],
)
def test_malformed_options(root, out, tracker, options, capsys):
    with pytest.raises(SystemExit) as end:
        start(root, out, *options)
    assert end.value.code == 2
    assert options[-2] in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["--root", "--out", "--prompt"])
def test_required_options(missing, capsys):
    given = {"--root": "x", "--out": "y", "--prompt": "box"}
    options = [part for option, value in given.items() if option != missing for part in (option, value)]
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "davis", *options])
    assert end.value.code == 2
    assert f"required: {missing}" in capsys.readouterr().err


def test_earlier_results_are_replaced_only_on_demand(root, out, tracker, capsys):
    assert start(root, out, "--overlay", "--sequences", "bear") == 0
    assert start(root, out, "--sequences", "cows") == 2
    assert "--force" in capsys.readouterr().err
    assert measured(out) == ["bear"]
    assert len(tracker.asked) == 1
    assert start(root, out, "--sequences", "cows", "--force") == 0
    assert measured(out) == ["cows"]
    assert names(out) == WRITTEN


def test_a_broken_sequence_costs_only_itself(root, out, tracker, capsys, caplog):
    (root / "JPEGImages" / "480p" / "cows" / "00003.jpg").write_bytes(b"no image")
    assert start(root, out) == 2
    assert measured(out) == ["bear", "dogs"]
    reason = read_json(out)["missing"]["cows"]
    assert "00003.jpg cannot be read as an image" in reason
    assert (out / "INCOMPLETE.txt").read_text() == f"cows is missing: {reason}\n"
    assert f"incomplete: cows is missing: {reason}" in capsys.readouterr().out
    assert "the sequence cows failed: " in caplog.text
    assert not any(line.startswith("cows") for line in (out / "frames.csv").read_text().splitlines())


def test_where_all_are_broken_nothing_is_written(root, out, tracker, tmp_path, capsys):
    for name in ("bear", "dogs"):
        (root / "Annotations" / "480p" / name / "00000.png").write_bytes(b"no image")
    assert start(root, out, "--sequences", "bear,dogs") == 2
    said = capsys.readouterr().out
    assert "bear is missing" in said
    assert "dogs is missing" in said
    assert "nothing was written" in said
    assert names(out.parent) == []


def test_an_error_of_our_own_keeps_what_is_done(root, out, tracker):
    finds = tracker.found

    def found(directory, name, frame):
        if directory == "dogs":
            raise ZeroDivisionError("of our own")
        return finds(directory, name, frame)

    tracker.found = found
    with pytest.raises(ZeroDivisionError):
        start(root, out)
    assert measured(out) == ["bear", "cows"]
    assert read_json(out)["missing"] == {"dogs": "stopped by an error (of our own)"}


def press(tracker: ScriptedTracker, directory: str, frame: int, times: int = 1) -> None:
    """Ctrl-C while a frame is tracked."""
    finds = tracker.found

    def found(where, name, index):
        if (where, index) == (directory, frame):
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
        return finds(where, name, index)

    tracker.found = found


def test_ctrl_c_keeps_the_sequences_that_are_done(root, out, tracker, capsys):
    press(tracker, "cows", 2)
    before = signal.getsignal(signal.SIGINT)
    assert start(root, out, "--overlay") == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert measured(out) == ["bear"]
    assert names(out / "overlays") == ["bear.mp4"]
    assert (out / "INCOMPLETE.txt").read_text() == "cows is missing: interrupted\ndogs is missing: interrupted\n"
    assert read_json(out)["missing"] == {"cows": "interrupted", "dogs": "interrupted"}
    assert "incomplete: dogs is missing: interrupted" in capsys.readouterr().out
    assert len(tracker.asked) == 2


@pytest.mark.parametrize(("directory", "times"), [("bear", 1), ("cows", 2)])
def test_ctrl_c_in_the_first_sequence_or_twice_leaves_nothing(root, out, tracker, directory, times):
    press(tracker, directory, 2, times)
    assert start(root, out) == 130
    assert names(out.parent) == []


def test_ctrl_c_while_drawing_keeps_the_measures(root, out, tracker, monkeypatch):
    advanced = []

    def advance(bar):
        advanced.append(bar)
        if len(advanced) == FRAMES + 1:  # the first frame that is drawn
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(sequences, "advance", advance)
    assert start(root, out, "--overlay", "--sequences", "bear,cows") == 130
    assert measured(out) == ["bear"]
    assert (out / "INCOMPLETE.txt").read_text() == (
        "cows is missing: interrupted\noverlays/bear.mp4 was not drawn: interrupted\n"
    )


def test_an_overlay_that_cannot_be_drawn_costs_no_measures(root, out, tracker, monkeypatch):
    def write_overlay(path, *args, **options):
        raise VideoError(f"cannot write {path.name}: the disk is full")

    monkeypatch.setattr(sequences, "write_overlay", write_overlay)
    assert start(root, out, "--overlay", "--sequences", "bear") == 2
    assert measured(out) == ["bear"]
    assert "overlays/bear.mp4 was not drawn: cannot write" in (out / "INCOMPLETE.txt").read_text()


def test_a_terminal_sees_the_progress(root, out, tracker, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert start(root, out, "--sequences", "dogs", "--overlay") == 0
    shown = sys.stderr.getvalue()
    assert "dogs: 100%" in shown
    assert f"{FRAMES}/{FRAMES}" in shown
    assert "drawing dogs: 100%" in shown


def test_help(capsys):
    for arguments, expected in ((["--help"], "davis"), (["davis", "--help"], "JPEGImages/480p/NAME/00000.jpg")):
        with pytest.raises(SystemExit):
            main(["evaluate", *arguments])
        assert expected in capsys.readouterr().out


@pytest.mark.slow
def test_the_built_in_model(tmp_path, out, mobile_sam_path):
    scene = moving_boxes_scene(4)
    truths = [(red + 2 * blue).astype(np.uint8) for red, blue in zip(*scene.masks.values(), strict=True)]
    write_sequence(tmp_path / "davis", "boxes", truths, images=scene.frames)
    options = ["--clicks", "2", "--device", "cpu", "--profile", "lite", "--weights-dir", str(mobile_sam_path.parent)]
    assert start(tmp_path / "davis", out, *options, prompt="click") == 0
    read = read_json(out)
    assert read["mean"] == {key: read["sequences"]["boxes"][key] for key in ("J", "F", "J&F")}
    assert read["mean"]["J"] > 80
    assert read["mean"]["F"] > 80
