"""``evaluate effort``: what is asked of the tracker, and what lies in the directory afterwards."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import __version__
from backend.__main__ import main
from backend.cli import evaluate_effort
from backend.errors import VideoError
from backend.evaluation.effort_plot import WIDTH as PLOT_WIDTH
from backend.evaluation.effort_plot import height
from backend.service.engine import Choice
from backend.settings import Settings
from support.choices import LITE
from support.clips import SceneObject, moving_boxes_scene
from support.davis import numbers, write_sequence
from support.fake_tracker import FakeTracker

FRAMES = 10
WRITTEN = ["effort.html", "effort.png", "results.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """In bear an object stays; of cows, which are two, one moves by a pixel a frame."""
    root = tmp_path / "davis"
    write_sequence(root, "bear", [numbers((255, 5, 5, 25, 25))] * FRAMES, indexed=False)
    cows = [numbers((1, 0, 0, 15, 15), (2, 15 + x, 10, 27 + x, 22)) for x in range(FRAMES)]
    write_sequence(root, "cows", cows)
    return root


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results" / "out"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that trackers were built with."""
    return []


@pytest.fixture
def tracker(monkeypatch: pytest.MonkeyPatch, built: list[Settings]) -> FakeTracker:
    """What corrects instead of the models: boxes stay where they were drawn."""
    tracker = FakeTracker((0, 0))

    def factory(settings: Settings, choice: Choice):
        built.append(settings)
        return lambda: tracker

    monkeypatch.setattr(evaluate_effort, "choose", lambda settings: LITE)
    monkeypatch.setattr(evaluate_effort, "tracker_factory", factory)
    return tracker


def start(root: Path, out: Path, *options: str) -> int:
    return main(["evaluate", "effort", "--root", str(root), "--out", str(out), *options])


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def read_json(out: Path) -> dict:
    return json.loads((out / "results.json").read_text("utf-8"))


def test_all_sequences(root, out, tracker, built, capsys, caplog):
    with caplog.at_level(logging.INFO):
        assert start(root, out, "--keyframe-iou", "1") == 0
    assert names(out) == WRITTEN
    assert names(out.parent) == ["out"]
    read = read_json(out)
    assert list(read["sequences"]) == ["bear", "cows"]
    bear, cows = read["sequences"].values()
    assert [bear[way] for way in ("keytrack", "linear", "reprompt", "ratio_to_linear")] == [10, 10, 10, 1]
    # Of the cows one takes a keyframe of ten frames, the other two to be interpolated.
    assert cows["linear"] == (10 + 20) / 2
    assert list(cows["objects"]) == ["1", "2"]
    assert read["mean"]["linear"] == pytest.approx((10 + 10 + 20) / 3, abs=1e-4)
    assert read["mean"]["ratio_to_linear"] == pytest.approx(read["mean"]["linear"] / read["mean"]["keytrack"], abs=1e-4)
    assert {key: read[key] for key in read if key not in ("sequences", "mean")} == {
        "by": "box",
        "most": None,
        "keyframe_iou": 1,
        "limit": None,
        "target_iou": 0.9,
        "target_share": 0.9,
        "profile": "lite",
        "segmenter": "mobile_sam",
        "propagator": "sam_tokens",
        "embedder": "sam",
        "device": "cpu",
        "version": __version__,
        "missing": {},
    }
    with Image.open(out / "effort.png") as image:
        assert image.size == (PLOT_WIDTH, height(2))
    page = (out / "effort.html").read_text("utf-8")
    assert "bear" in page and "cows" in page
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[1].split()[:6] == ["sequence", "frames", "Keytrack", "Linear", "Re-prompt", "ratio"]
    assert lines[2].split()[:6] == ["bear", "10", "10.0", "10.0", "10.0", "1.0×"]
    assert f"results in {out}" in said.out
    assert "bear, object 1, Keytrack: 1 interactions, mean IoU 1.000, 100 % of the frames above 0.9" in caplog.text


def test_no_frame_is_encoded_twice_for_want_of_memory(root, out, tracker, built, monkeypatch):
    monkeypatch.setenv("KEYTRACK_EMBEDDING_CACHE_BYTES", "1000000")
    assert start(root, out) == 0
    monkeypatch.setenv("KEYTRACK_EMBEDDING_CACHE_BYTES", "9000000000")
    assert start(root, out, "--force", "--limit", "3") == 0
    assert [settings.embedding_cache_bytes for settings in built] == [FRAMES * 8 * 2**20, 9_000_000_000]


@pytest.mark.parametrize(
    ("options", "expected"),
    [(["--sequences", "cows, bear"], ["cows", "bear"]), (["--split", "val.txt"], ["cows"])],
)
def test_chosen_sequences(root, out, tracker, tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "val.txt").write_text("cows\n")
    assert start(root, out, *options) == 0
    assert list(read_json(out)["sequences"]) == expected


def test_limits(root, out, tracker):
    assert start(root, out, "--sequences", "cows", "--limit", "8", "--most", "1") == 0
    read = read_json(out)
    assert (read["limit"], read["most"], read["sequences"]["cows"]["frames"]) == (8, 1, 8)
    assert read["sequences"]["cows"]["reached"] == {"keytrack": False, "linear": False, "reprompt": False}
    assert read["sequences"]["cows"]["keytrack"] == 12.5


def test_corrections_by_clicks(root, out, tracker):
    assert start(root, out, "--sequences", "bear", "--by", "click") == 0
    assert read_json(out)["by"] == "click"
    assert "interactions per object" in (out / "effort.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--sequences", "cat"], "no sequence cat; it has bear, cows"),
        (["--root", "none"], "none is not laid out as DAVIS is"),
        (["--keyframe-iou", "3"], "--keyframe-iou"),
    ],
)
def test_mistakes_are_told_before_a_model_is_loaded(root, out, tracker, built, capsys, options, problem):
    assert start(root, out, *options) == 2
    assert problem in capsys.readouterr().err
    assert not built and not out.parent.exists()


@pytest.mark.parametrize("options", [["--most", "0"], ["--limit", "1"], ["--by", "mask"]])
def test_options_that_cannot_be(root, out, tracker, options):
    with pytest.raises(SystemExit) as stop:
        start(root, out, *options)
    assert stop.value.code == 2


def test_without_matplotlib_nothing_is_begun(root, out, tracker, built, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert start(root, out) == 2
    assert "pip install -r requirements-eval.txt" in capsys.readouterr().err
    assert not built


def test_earlier_results_are_replaced_only_by_force(root, out, tracker, capsys):
    assert start(root, out, "--sequences", "bear") == 0
    assert start(root, out, "--sequences", "cows") == 2
    assert "--force" in capsys.readouterr().err
    assert start(root, out, "--sequences", "cows", "--force") == 0
    assert list(read_json(out)["sequences"]) == ["cows"]


def test_a_sequence_that_fails_leaves_the_others(root, out, tracker, capsys):
    (root / "JPEGImages" / "480p" / "bear" / "00000.jpg").write_bytes(b"no image")
    assert start(root, out) == 2
    assert list(read_json(out)["sequences"]) == ["cows"]
    assert "cannot be read as an image" in read_json(out)["missing"]["bear"]
    assert "bear is missing" in (out / "INCOMPLETE.txt").read_text("utf-8")
    assert "bear is missing" in (out / "effort.html").read_text("utf-8")
    assert "incomplete: bear is missing" in capsys.readouterr().out


def test_an_unreadable_frame_later_on(root, out, tracker):
    tracker.fails_at[7] = VideoError("frame 7 is gone")
    assert start(root, out) == 2
    assert not out.exists()


def test_ctrl_c_keeps_what_is_done(root, out, tracker, monkeypatch, capsys):
    from backend.evaluation import effort_sequences

    annotate = effort_sequences.annotate

    def interrupted(target, *args, **options):
        if target.name == "2":
            signal.raise_signal(signal.SIGINT)
        return annotate(target, *args, **options)

    monkeypatch.setattr(effort_sequences, "annotate", interrupted)
    assert start(root, out) == 130
    assert names(out) == ["INCOMPLETE.txt", *WRITTEN]
    assert list(read_json(out)["sequences"]) == ["bear"]
    assert read_json(out)["missing"] == {"cows": "interrupted"}
    assert "cows is missing: interrupted" in (out / "INCOMPLETE.txt").read_text("utf-8")
    assert "incomplete: cows is missing" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("by", ["box", "click"])
def test_the_built_in_model_needs_fewer_keyframes_where_an_object_turns(tmp_path, out, mobile_sam_path, by):
    bouncing = SceneObject("ball", (220, 40, 30), (40, 36), (20.0, 30.0), (16.0, 4.0))
    scene = moving_boxes_scene(12, (160, 120), [bouncing])
    truths = [mask.astype(np.uint8) for mask in scene.masks["ball"]]
    write_sequence(tmp_path / "davis", "ball", truths, images=scene.frames)
    options = ["--weights-dir", str(mobile_sam_path.parent), "--device", "cpu", "--threads", "1", "--by", by]
    assert start(tmp_path / "davis", out, *options) == 0
    ball = read_json(out)["sequences"]["ball"]
    assert ball["reached"] == {"keytrack": True, "linear": True, "reprompt": True}
    assert ball["ratio_to_linear"] > 1
    runs = ball["objects"]["1"]
    assert runs["linear"]["keyframes"]["mean"] >= 3  # it turns at least once
    assert runs["keytrack"]["propagated"][0] == 11
    assert runs["linear"]["propagated"] == [0] * len(runs["linear"]["curve"])
