from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from backend.association.greedy import GreedyMatcher, GreedyRules
from backend.association.matcher import Candidates, Matcher
from backend.association.optimal import OptimalMatcher, OptimalRules
from backend.tracks import Box, Mask

SIZE = (480, 640)
FPS = 10.0


def look(kind: int) -> np.ndarray:
    """What an object of a kind looks like; kinds have nothing in common."""
    return np.eye(6, dtype=np.float32)[kind] * 11  # as long as MASA's are


def found(
    *things: tuple[Box, np.ndarray], scores: Sequence[float] | None = None, masks: Sequence[Mask | None] | None = None
) -> Candidates:
    boxes = np.array([box for box, _ in things], np.float64).reshape(-1, 4)
    looks = torch.tensor(np.array([embedding for _, embedding in things], np.float32).reshape(-1, 6))
    return Candidates(boxes, np.array(scores or [0.9] * len(things)), looks, masks)


def at(x: float, y: float = 200.0, size: float = 40.0) -> Box:
    return (x, y, x + size, y + size)


def matcher(**rules: float) -> OptimalMatcher:
    return OptimalMatcher(SIZE, FPS, OptimalRules(**rules))


@pytest.fixture(params=["greedy", "optimal"])
def either(request: pytest.FixtureRequest) -> Matcher:
    """Both keep the protocol."""
    return GreedyMatcher(GreedyRules(fps=FPS)) if request.param == "greedy" else matcher()


def test_numbers_count_from_0_and_follow_what_looks_alike(either: Matcher) -> None:
    assert either.step(0, found((at(100), look(0)), (at(200), look(1)))) == [0, 1]
    assert either.step(1, found((at(204), look(1)), (at(300), look(2)), (at(102), look(0)))) == [1, 2, 0]


def test_frames_may_be_left_out_or_empty(either: Matcher) -> None:
    assert either.step(3, found((at(100), look(0)))) == [0]
    assert either.step(4, found()) == []
    assert either.step(6, found((at(103), look(0)))) == [0]


def test_one_of_a_low_score_is_nobody(either: Matcher) -> None:
    assert either.step(0, found((at(100), look(0)), scores=[0.05])) == [None]
    assert either.step(1, found((at(100), look(0)), scores=[0.95])) == [0]


def test_a_weak_one_continues_a_track_and_begins_none() -> None:
    tracker = matcher()
    assert tracker.step(0, found((at(100), look(0)), (at(300), look(1)), scores=[0.9, 0.3])) == [0, None]
    assert tracker.step(1, found((at(100), look(0)), (at(300), look(1)), scores=[0.3, 0.3])) == [0, None]


def test_the_best_for_all_is_not_the_best_for_the_first() -> None:
    """The first candidate is a little more like track 0 than the second one is, and nothing like track 1."""
    a, b = look(0), look(1)
    first, second = a, 0.95 * a + 0.1 * b
    rules = OptimalRules(place=0.0, match=0.05, temperature=1.0)
    tracker = OptimalMatcher(SIZE, FPS, rules)
    tracker.step(0, found((at(100), a), (at(120), 0.9 * a + 0.45 * b)))
    assert tracker.step(1, found((at(110), second), (at(110), first))) == [1, 0]
    tracker = OptimalMatcher(SIZE, FPS, rules)
    tracker.step(0, found((at(100), a), (at(120), 0.9 * a + 0.45 * b)))
    assert tracker.step(1, found((at(110), first), (at(110), second))) == [0, 1]


def test_two_that_look_alike_and_cross_are_told_by_their_motion() -> None:
    """Where they pass by one another, each is nearer to where the other one was."""
    tracker = matcher()
    for frame in range(17):
        there = [(at(100 + 30 * frame), look(0)), (at(625 - 30 * frame, 215), look(0))]
        assert tracker.step(frame, found(*there)) == [0, 1]
    assert tracker.tracks[0].motion.velocity == pytest.approx([300, 0])


def test_two_that_meet_and_stop_are_told_by_their_looks() -> None:
    """By their motion they would have passed by one another."""
    tracker = matcher()
    for frame in range(12):
        way = 30 * max(0, 8 - frame)
        assert tracker.step(frame, found((at(340 - way), look(0)), (at(385 + way), look(1)))) == [0, 1]


def test_masks_tell_apart_what_boxes_do_not() -> None:
    """Two triangles of one box and one look, in changing order."""
    upper = np.zeros(SIZE, bool)
    upper[200:240, 100:140] = np.tri(40, dtype=bool)
    lower = np.zeros(SIZE, bool)
    lower[200:240, 100:140] = ~np.tri(40, dtype=bool)
    masks = [Mask.from_array(upper), Mask.from_array(lower)]
    same = [(at(100), look(0))] * 2
    tracker = matcher(match=0.3)
    assert tracker.step(0, found(*same, masks=masks)) == [0, 1]
    assert tracker.step(1, found(*same, masks=masks[::-1])) == [1, 0]
    assert tracker.step(2, found(*same, masks=masks)) == [0, 1]


@pytest.mark.parametrize(("shared", "expected"), [(0.5, [0, 1]), (2.0, [1, 0])], ids=["not learned", "learned"])
def test_what_two_masks_share_says_of_neither_what_it_looks_like(shared: float, expected: list[int]) -> None:
    """What is segmented of one box is what another one shows; then they change places while nobody looks."""
    inside = np.zeros(SIZE, bool)
    inside[210:230, 210:230] = True
    middle, aside = Mask.from_array(inside), Mask.from_array(np.roll(inside, -60, 1))
    large, small = (150.0, 180.0, 250.0, 260.0), at(200)
    both = look(0) + look(1)
    tracks = matcher(shared=shared)
    assert tracks.step(0, found((large, look(0)), (small, look(1)), masks=[aside, middle])) == [0, 1]
    for frame in range(1, 9):
        assert tracks.step(frame, found((large, both), (small, both), masks=[middle, middle])) == [0, 1]
    assert tracks.step(10, found((small, look(0)), (large, look(1)), masks=[middle, aside])) == expected


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("fps", [5.0, 50.0])
def test_nothing_depends_on_the_resolution_or_the_frame_rate(scale: float, fps: float) -> None:
    """An object that appears far from where another one of its looks was a moment ago is another one, and after two
    seconds it is not."""

    def after(seconds: float) -> list[int | None]:
        tracker = OptimalMatcher((round(480 * scale), round(640 * scale)), fps)
        box = tuple(scale * side for side in at(100))
        far = tuple(scale * side for side in at(400))
        tracker.step(0, found((box, look(0))))
        return tracker.step(round(seconds * fps), found((far, look(0))))

    assert after(0.2) == [1]
    assert after(2.0) == [0]


@pytest.mark.parametrize(("away", "expected"), [(9.9, 0), (10.2, 1)])
def test_memory_is_measured_in_seconds(away: float, expected: int) -> None:
    for fps in (10.0, 30.0):
        tracker = OptimalMatcher(SIZE, fps)
        tracker.step(0, found((at(100), look(0))))
        assert tracker.step(round(away * fps), found((at(100), look(0)))) == [expected]


def test_it_looks_different_after_a_while_and_is_still_known() -> None:
    tracker = matcher()
    for frame in range(20):
        part = frame / 19
        assert tracker.step(frame, found((at(100), (1 - part) * look(0) + part * look(1)))) == [0]


def test_what_does_not_belong_together_is_refused() -> None:
    with pytest.raises(ValueError, match="2 boxes, 1 scores and 2 embeddings"):
        Candidates(np.zeros((2, 4)), np.ones(1), torch.zeros(2, 6))
    with pytest.raises(ValueError, match="and 1 masks"):
        Candidates(np.zeros((2, 4)), np.ones(2), torch.zeros(2, 6), [None])
