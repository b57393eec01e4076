"""Keyframes per object per 100 frames, compute and curves, computed by hand."""

from __future__ import annotations

import json

import pytest

from backend.evaluation.effort_results import (
    Correction,
    as_json,
    correction,
    figures,
    mean_curve,
    sequence_curve,
    to_json,
)
from support.effort import make_effort, make_run, make_sequence, quick, runs


def test_figures_are_means_over_objects():
    found = figures([runs(50, 2, 10, 4), runs(100, 2, 40, 3), runs(25, 1, 5, 1)], "mean")
    assert found.keyframes == pytest.approx({"keytrack": (4 + 2 + 4) / 3, "linear": (20 + 40 + 20) / 3, "reprompt": 5})
    assert found.ratio_to_linear == pytest.approx(8)
    assert found.reached == {"keytrack": True, "linear": True, "reprompt": True}


def test_the_goals_apart():
    item = {**runs(10, 1, 1, 1), "keytrack": quick(10, 2, 4)}
    assert figures([item], "mean").keyframes["keytrack"] == 20
    assert figures([item], "share").keyframes["keytrack"] == 40


def test_an_object_that_did_not_get_there_counts_with_the_cap():
    found = figures([runs(20, 2, 9, 3, most=6), runs(20, 2, 4, 3, most=6)], "mean")
    assert found.keyframes["linear"] == pytest.approx((30 + 20) / 2)
    assert found.reached == {"keytrack": True, "linear": False, "reprompt": True}


def test_a_correction_as_a_share_of_a_full_pass():
    first = make_run(11, [(k, 0.5, 0.1) for k in range(1, 5)], propagated=[10, 9, 8, 2])
    second = make_run(41, [(1, 0.5, 0.1), (2, 1.0, 1.0)], propagated=[40, 10])
    assert correction([first, second]) == Correction(frames=pytest.approx(0.525), seconds=pytest.approx(0.525))
    assert correction([make_run(11, [(1, 1.0, 1.0)], propagated=[10])]) == Correction(None, None)
    refused = make_run(11, [(1, 0.5, 0.1), (2, 1.0, 1.0)], propagated=[0, 9])
    assert correction([refused]) == Correction(None, None)


def test_the_curve_of_a_sequence_is_the_mean_over_its_objects():
    first = make_run(10, [(1, 0.4, 0.0), (3, 0.95, 1.0)])
    second = make_run(10, [(1, 0.6, 0.0), (2, 0.7, 0.5), (3, 0.8, 0.5), (4, 1.0, 1.0)])
    curve = sequence_curve([first, second])
    assert curve.x == (1, 2, 3, 4)
    assert curve.y == pytest.approx((0.5, (0.675 + 0.7) / 2, (0.95 + 0.8) / 2, (0.95 + 1.0) / 2))
    assert curve.reached == 3.5


def test_the_mean_curve_counts_by_100_frames():
    short, long = make_run(10, [(1, 0.5, 0.0), (2, 1.0, 1.0)]), make_run(50, [(1, 0.2, 0.0), (11, 0.9, 1.0)])
    curve = mean_curve([short, long])
    assert curve.x == (10, 20, 22)  # the short one has a keyframe per 10 frames at least
    assert curve.y == pytest.approx(((0.5 + 0.48) / 2, (1 + 0.83) / 2, (1 + 0.9) / 2))
    assert curve.reached == 21


def test_a_curve_that_does_not_meet_the_target():
    assert sequence_curve([make_run(10, [(1, 0.5, 0.0)], most=1), quick(10, 1, 1)]).reached is None


def test_json():
    objects = (runs(50, 2, 10, 4), runs(50, 4, 12, 4))
    effort = make_effort(
        make_sequence("bear", 50, *objects),
        make_sequence("boat", 20, runs(20, 1, 3, 2)),
        missing={"cat": "interrupted"},
    )
    found = json.loads(as_json(effort))
    assert found == to_json(effort)
    assert found["mean"]["keytrack"] == pytest.approx((4 + 8 + 5) / 3, abs=1e-4)
    assert found["mean"]["linear"] == pytest.approx((20 + 24 + 15) / 3, abs=1e-4)
    assert found["mean"]["ratio_to_linear"] == pytest.approx(59 / 17, abs=1e-4)
    assert found["mean"]["reprompt"] == pytest.approx((8 + 8 + 10) / 3, abs=1e-4)
    assert set(found["sequences"]) == {"bear", "boat"}
    bear = found["sequences"]["bear"]
    assert {name: bear[name] for name in ("keytrack", "linear", "reprompt", "ratio_to_linear", "frames")} == {
        "keytrack": 6,
        "linear": 22,
        "reprompt": 8,
        "ratio_to_linear": 3.6667,
        "frames": 50,
    }
    assert bear["frames_above"]["linear"] == 22
    assert bear["correction"]["keytrack"] == {"frames": 1.0, "seconds": 1.0}
    run = bear["objects"]["1"]["keytrack"]
    assert run["curve"] == [[1, 0.5, 0.3], [2, 0.95, 1.0]]
    assert (run["keyframes"], run["reached"]) == ({"mean": 2, "share": 2}, {"mean": True, "share": True})
    assert (run["propagated"], run["seconds"], run["marked"]) == ([49, 49], [24.5, 24.5], [0])
    settings = {
        "by": "box",
        "most": None,
        "keyframe_iou": 0.95,
        "limit": None,
        "profile": "lite",
        "segmenter": "mobile_sam",
        "propagator": "sam_tokens",
        "embedder": "sam",
        "device": "cpu",
        "version": "1.2.3",
    }
    assert {name: found[name] for name in settings} == settings
    assert found["missing"] == {"cat": "interrupted"}


def test_json_has_null_where_there_is_no_number():
    effort = make_effort(make_sequence("bear", 9, runs(9, 1, 1, 1), first_press=None))
    found = to_json(effort)["sequences"]["bear"]
    assert (found["first_press_seconds"], found["correction"]["keytrack"]) == (None, {"frames": None, "seconds": None})
