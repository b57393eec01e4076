"""By which rate Label Studio counted, as far as regions tell."""

from __future__ import annotations

import pytest

from backend.labelstudio.rates import ChosenRate, RateEvidence, check_declared, guess_rate
from backend.labelstudio.results import parse_results
from support.exports import keyframe, video_region

NTSC = 30000 / 1001


def evidence(*said: tuple[int | None, float | None]) -> RateEvidence | None:
    regions = [
        video_region(str(number), [keyframe(1)], framesCount=count, duration=duration)
        for number, (count, duration) in enumerate(said)
    ]
    return RateEvidence.of(parse_results(regions, "result").videos)


def test_what_most_regions_say():
    assert evidence((60, 6.0), (30, 6.0), (60, 6.0)).rate == 10
    assert evidence((None, None), (0, 3.0), (5, 0.0)) is None


@pytest.mark.parametrize("rate", [10, 12.5, 23.976, 24, 25, 29.97, NTSC, 30, 59.94, 60])
@pytest.mark.parametrize("duration", [0.4, 1.0, 7.3, 61.561, 3600.02])
def test_the_rate_that_was_is_never_ruled_out(rate, duration):
    """Label Studio writes the rounded product of the two."""
    assert evidence((round(rate * duration), round(duration, 3))).allows(rate)


def test_a_long_video_tells_rates_apart_that_a_short_one_does_not():
    short, long = evidence((60, 2.0)), evidence((1800, 60.0))
    assert short.allows(30) and short.allows(29.97)
    assert long.allows(30) and not long.allows(29.97)


@pytest.mark.parametrize(
    ("said", "data", "own", "expected"),
    [
        ((60, 2.0), {"fps": 29.97}, 30.0, 29.97),  # the task's own word, which agrees
        ((60, 2.0), {"fps": 25}, 30.0, 30.0),  # which does not agree: the video's own rate
        ((60, 2.0), {"FrameRate": "29.97"}, 12.0, 29.97),
        ((60, 2.0), {}, NTSC, NTSC),
        ((48, 2.0), {}, 10.0, 24.0),  # nobody declared anything
        ((50, 2.0), {}, 10.0, 25.0),  # a rate that is usual
        ((34, 2.0), {}, 10.0, 17.0),  # the only thing that is left
    ],
)
def test_guesses_agree_with_the_regions(said, data, own, expected):
    chosen = guess_rate(evidence(said), data, own)
    assert chosen.rate == pytest.approx(expected)
    assert chosen.warning is None


def test_without_regions_it_is_the_tasks_or_the_default_and_a_warning_where_the_video_has_another():
    assert guess_rate(None, {"fps": "10"}, 10.0) == ChosenRate(10)
    assert "10, the task's, is taken" in guess_rate(None, {"fps": 10}, 23.976).warning
    assert guess_rate(None, {"fps": 0}, 23.976) == ChosenRate(24)
    chosen = guess_rate(None, {}, 10.0)
    assert chosen.rate == 24
    assert "the video has 10. Give --label-config or --frame-rate" in chosen.warning


def test_what_was_declared_stands_with_a_warning_where_regions_contradict_it():
    assert check_declared(30.0, evidence((60, 2.0))).warning is None
    assert check_declared(30.0, None).warning is None
    chosen = check_declared(24.0, evidence((60, 2.0)))
    assert chosen.rate == 24
    assert "said to be 24, but the regions were drawn at 30 (60 frames in 2 s)" in chosen.warning
