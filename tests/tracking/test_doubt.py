from __future__ import annotations

import math

import pytest

from backend.tracking.doubt import DOUBTFUL, REACH, Look, confidence, next_look


def scores(count: int = 200, good: float = 0.9, **bad: float) -> dict[int, float]:
    """Scores by frame; ``f30_39=0.2`` sets those of frames 30 to 39."""
    found = dict.fromkeys(range(count), good)
    for name, score in bad.items():
        first, _, last = name.removeprefix("f").partition("_")
        found |= dict.fromkeys(range(int(first), int(last or first) + 1), score)
    return found


def test_where_nothing_is_doubtful_there_is_nowhere_to_look() -> None:
    assert next_look(scores(), {0}) is None
    assert next_look({}, {0}) is None
    assert next_look(scores(good=DOUBTFUL), {0}) is None


def test_a_long_doubtful_run_tells_more_than_the_worst_frame() -> None:
    found = next_look(scores(f50=0.0, f120_131=0.3), {0})
    assert found is not None
    assert (found.first, found.last) == (120, 131)
    assert 120 < found.frame < 131


def test_of_two_runs_alike_the_one_further_from_what_a_human_drew_tells_more() -> None:
    found = next_look(scores(f10_19=0.2, f100_109=0.2), {0})
    assert found is not None and found.first == 100
    found = next_look(scores(f10_19=0.2, f100_109=0.2), {0, 90, 115})
    assert found is not None and found.first == 10


def test_within_a_run_it_is_the_side_that_is_away_from_the_keyframe() -> None:
    found = next_look(scores(f1_20=0.2), {0})
    assert found is not None and found.frame > 10


def test_what_a_human_drew_is_never_doubtful() -> None:
    assert next_look(scores(f5=0.1), {5}) is None
    assert next_look(scores(f4_6=0.1), {5}) in (Look(4, 4, 4), Look(6, 6, 6))


def test_of_equals_the_earliest() -> None:
    assert next_look(scores(f50=0.2, f150=0.2), {100}) == Look(50, 50, 50)
    assert next_look(scores(f50=0.2, f150=0.2), ()) == Look(50, 50, 50)


def test_frames_that_are_missing_end_a_run() -> None:
    found = scores(f50_59=0.2)
    del found[55]
    assert next_look(found, {0}) in (Look(54, 50, 54), Look(56, 56, 59), Look(57, 56, 59))


def test_confidence_of_an_even_track_is_its_score() -> None:
    assert confidence(scores(good=0.7)) == pytest.approx(0.7)
    assert confidence(scores(good=0.7, f3=0.1), {3}) == pytest.approx(0.7)


def test_confidence_is_that_about_the_worst_place_however_long_the_track() -> None:
    short, long = scores(100, f40_51=0.1), scores(10_000, f40_51=0.1)
    assert confidence(long) == pytest.approx(confidence(short), abs=1e-2)
    assert confidence(long) < 0.75 < sum(long.values()) / len(long)
    assert confidence(scores(100, f40_41=0.1)) > confidence(short)


def test_confidence_weighs_frames_by_their_distance() -> None:
    near = math.exp(-1 / REACH)
    assert confidence({0: 0.4, 1: 0.8}) == pytest.approx((0.4 + near * 0.8) / (1 + near))
    far = math.exp(-30 / REACH)
    assert confidence({0: 0.4, 30: 0.8}) == pytest.approx((0.4 + far * 0.8) / (1 + far))


def test_confidence_where_there_is_nothing_to_judge() -> None:
    assert confidence({}) == 0.0
    assert confidence({3: 0.2}, {3}) == 1.0
