from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import get_args

import numpy as np
import pytest
import torch

from backend.propagation.propagator import Propagation
from backend.propagation.quality import Quality
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation
from backend.settings import Settings, load_settings
from backend.tracking import build
from backend.tracking.follow import Follower, Shown
from backend.tracking.plan import Pass
from backend.tracking.refine import REFINING, Refiner, RefineRules
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, FrameResult, Prompt
from support.fake_rooms import GOOD, HEIGHT, POOR, WIDTH, FakePropagator, FakeSegmenter, FakeVideo, encoding_of

RULES = RefineRules(below=0.7, agrees=0.7, sure=0.8, taken=0.1)
FRAME = 3


def rectangle(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y0:y1, x0:x1] = True
    return mask


ROUGH = rectangle(10, 10, 28, 30)
BETTER = rectangle(10, 10, 30, 30)


class Answering(FakeSegmenter):
    """Answers with masks, of which one is given; notes what it is asked."""

    def __init__(self, mask: BoolArray = BETTER, iou: float = 0.95) -> None:
        super().__init__()
        self.mask = mask
        self.iou = iou
        self.asked: list[Prompting] = []

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        self.asked += prompts
        # It likes the others better.
        masks = [rectangle(0, 0, WIDTH, HEIGHT), self.mask, rectangle(12, 12, 16, 16)]
        logits = torch.stack([torch.from_numpy(mask) * 12.0 - 6.0 for mask in masks])
        iou = torch.tensor([self.iou + 0.03, self.iou, self.iou + 0.03])
        return Segmentation(logits.expand(len(prompts), -1, -1, -1), iou.expand(len(prompts), -1))


class Room:
    """A refiner, and a propagator that has just found objects on a frame."""

    def __init__(self, segmenter: Answering | None = None, rules: RefineRules = RULES) -> None:
        self.segmenter = segmenter or Answering()
        self.video = FakeVideo(6)
        self.image = self.video.frame(FRAME)
        self.propagator = FakePropagator()
        self.refiner = Refiner(self.segmenter.as_segmenter, lambda _, image: self.segmenter.encode(image), rules)

    def refine(self, **found: Propagation) -> dict[str, Propagation]:
        encoding = encoding_of(self.image)
        self.propagator.step(
            FRAME, encoding, {name: one.mask for name, one in found.items() if one.mask is not None}, ()
        )
        self.propagator.log.clear()
        return self.refiner.refine(self.propagator, FRAME, self.image, encoding, found)


def poor(mask: BoolArray = ROUGH) -> Propagation:
    return Propagation(mask, 0.5, POOR)


def same(one: BoolArray | None, other: BoolArray) -> bool:
    return one is not None and np.array_equal(one, other)


def test_a_doubtful_mask_is_refined_and_remembered() -> None:
    room = Room()
    found = room.refine(a=poor())["a"]
    assert same(found.mask, BETTER)
    assert found.score > 0.9
    assert found.quality is not None
    assert found.quality.score == found.score
    assert room.propagator.log == [("amend", FRAME, ("a",))]
    assert same(room.propagator._masks["a"], BETTER)


@pytest.mark.parametrize(
    "found",
    [
        Propagation(ROUGH, 0.1, GOOD),
        Propagation(None, 0.1, POOR),
        Propagation(ROUGH, 0.1, None),
    ],
    ids=["good", "absent", "unknown"],
)
def test_what_is_not_in_doubt_is_not_asked_about_nor_encoded(found: Propagation) -> None:
    room = Room()
    assert room.refine(a=found) == {"a": found}
    assert room.segmenter.encoded == []
    assert room.segmenter.asked == []
    assert room.propagator.log == []


@pytest.mark.parametrize(("below", "asked"), [(0.5, 0), (0.7, 1), (math.inf, 2)])
def test_the_threshold_tells_what_is_in_doubt(below: float, asked: int) -> None:
    middling = Quality(certainty=0.6, stability=0.6, continuity=None, contested=0, peak=1)
    room = Room(rules=RefineRules(below))
    room.refine(a=Propagation(ROUGH, 0.1, middling), b=Propagation(rectangle(40, 30, 50, 40), 0.1, GOOD))
    assert len(room.segmenter.asked) == asked


def test_the_segmenter_is_asked_with_box_points_and_logits() -> None:
    room = Room()
    room.refine(a=poor(), b=Propagation(rectangle(28, 10, 40, 30), 0.9, GOOD))
    (cue,) = room.segmenter.asked
    assert cue.box == (10, 10, 28, 30)
    assert [point.positive for point in cue.points] == [True, False]
    assert cue.logits is not None
    assert tuple(cue.logits.shape) == (12, 16)


@pytest.mark.parametrize(
    ("answer", "others"),
    [
        (Answering(rectangle(10, 10, 20, 20)), {}),
        (Answering(rectangle(40, 10, 58, 30)), {}),
        (Answering(np.zeros((HEIGHT, WIDTH), bool)), {}),
        (Answering(iou=0.7), {}),
        (Answering(), {"b": Propagation(rectangle(27, 10, 40, 30), 0.9, GOOD)}),
    ],
    ids=["a part", "another thing", "nothing", "unsure", "a neighbour's"],
)
def test_refused(answer: Answering, others: dict[str, Propagation]) -> None:
    room = Room(answer)
    before = {"a": poor(), **others}
    assert room.refine(**before) == before
    assert len(room.segmenter.asked) == 1
    assert room.propagator.log == []


def test_what_is_accepted_takes_nothing_of_others() -> None:
    room = Room()
    other = rectangle(29, 10, 40, 30)
    found = room.refine(a=poor(), b=Propagation(other, 0.9, GOOD))
    assert same(found["a"].mask, rectangle(10, 10, 29, 30))
    assert same(found["b"].mask, other)


def test_of_two_that_are_refined_none_takes_what_the_other_got() -> None:
    room = Room()
    found = room.refine(a=poor(rectangle(10, 10, 28, 30)), b=poor(rectangle(11, 11, 30, 30)))
    a, b = found["a"].mask, found["b"].mask
    assert a is not None
    assert b is not None
    assert not (a & b & ~(rectangle(10, 10, 28, 30) & rectangle(11, 11, 30, 30))).any()


def test_it_is_told_how_often_it_helped(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    with caplog.at_level(logging.INFO):
        room.refiner.report()
        room.refine(a=poor())
        room.refine(a=poor(rectangle(40, 30, 50, 40)))
        room.refine(a=Propagation(ROUGH, 0.9, GOOD))
        room.refiner.report()
    assert caplog.messages == ["refinement: of 3 frames the segmenter was asked on 2 and believed on 1"]


def follow(refiner: Refiner | None, propagator: FakePropagator, count: int = 6) -> list[FrameResult]:
    video = FakeVideo(count)
    forward = Pass(tuple(range(1, count)), {frame: frozenset("a") for frame in range(1, count)}, 1)
    follower = Follower(
        video.as_reader, lambda _, image: encoding_of(image), propagator, {0: Shown({"a": ROUGH})}, refiner=refiner
    )
    return list(follower.follow(forward))


def test_a_pass_goes_on_from_what_was_refined() -> None:
    room = Room()
    propagator = FakePropagator(doubtful=[2])
    results = follow(room.refiner, propagator)
    masks = {result.frame: result.observations[0].mask for result in results}
    assert all(mask is not None for mask in masks.values())
    assert {frame: mask.area for frame, mask in masks.items() if mask} == {
        frame: ROUGH.sum() if frame < 2 else BETTER.sum() for frame in range(1, 6)
    }
    assert room.segmenter.encoded == [2]
    assert [entry[:2] for entry in propagator.log] == [
        ("step", 0),
        ("step", 1),
        ("step", 2),
        ("amend", 2),
        ("step", 3),
        ("step", 4),
        ("step", 5),
    ]
    scores = {result.frame: result.observations[0].score for result in results}
    assert scores[1] == 0.8
    assert scores[2] > 0.9


@pytest.mark.parametrize(("pause", "asked"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [1, 4, 7])])
def test_after_a_refusal_it_is_not_asked_again_for_a_while(pause: int, asked: list[int]) -> None:
    room = Room(Answering(iou=0.5), RefineRules(RULES.below, pause=pause))
    follow(room.refiner, FakePropagator(doubtful=range(8)), 8)
    assert room.segmenter.encoded == asked


def test_after_its_mask_was_accepted_it_is_asked_again_at_once() -> None:
    room = Room(rules=RefineRules(RULES.below, pause=3))
    follow(room.refiner, FakePropagator(doubtful=range(8)), 8)
    assert room.segmenter.encoded == [1, 2, 3, 4, 5, 6, 7]


def test_frames_that_are_caught_up_on_are_refined_without_a_trace() -> None:
    room = Room()
    propagator = FakePropagator(absent={"a": [1, 2]}, doubtful=[3, 4])
    results = {result.frame: result.observations[0] for result in follow(room.refiner, propagator, 9)}
    assert results[3].present
    assert results[3].mask is not None
    assert results[3].mask.area == BETTER.sum()


@pytest.mark.parametrize(("rules", "amended"), [(None, []), (RULES, [3, 4])], ids=["off", "triggered"])
def test_a_tracker_refines_where_it_is_told_to(rules: RefineRules | None, amended: list[int]) -> None:
    segmenter = Answering()
    propagators: list[FakePropagator] = []

    def new() -> FakePropagator:
        propagators.append(FakePropagator(doubtful=[3, 4]))
        return propagators[-1]

    class OwnEncoder:
        def encode(self, image):
            return encoding_of(image)

    tracker = VideoTracker(segmenter.as_segmenter, new, EncodingCache(10**6), encoder=OwnEncoder(), refining=rules)
    results = list(tracker.track(FakeVideo(7).as_reader, [Prompt("a", 0, mask=ROUGH)]))
    assert len(results) == 7
    entries = [entry for one in propagators[0].family for entry in one.log]
    assert [entry[1] for entry in entries if entry[0] == "amend"] == amended
    # Beside the frame that was prompted, only what is refined is encoded for the segmenter.
    assert segmenter.encoded == [0, *amended]


def test_every_value_of_the_setting_has_rules() -> None:
    assert set(get_args(Settings.model_fields["refine"].annotation)) == set(REFINING)
    assert load_settings().refine == "off"


@pytest.mark.parametrize(("refine", "amended"), [("off", []), ("triggered", [3]), ("always", [1, 2, 3, 4, 5, 6])])
def test_the_setting_reaches_the_tracker(refine: str, amended: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    propagator = FakePropagator(doubtful=[3])
    models = build.Models(Answering().as_segmenter, lambda _: propagator)
    monkeypatch.setattr(build, "_load_parts", lambda _: models)
    tracker = build.build_tracker(load_settings(refine=refine, embedder="off"))
    list(tracker.track(FakeVideo(7).as_reader, [Prompt("a", 0, mask=ROUGH)]))
    entries = [entry for one in propagator.family for entry in one.log]
    assert [entry[1] for entry in entries if entry[0] == "amend"] == amended
