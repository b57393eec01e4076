from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.association.embedder import Embedder
from backend.association.identity import Calibration, Gallery
from backend.segmentation.cache import EncodingCache
from backend.tracking.appearance import AppearanceMatcher, AppearanceRules
from backend.tracking.looks import Looks
from backend.tracking.matching import Sight
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Detection, Mask, Observation
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo

CALIBRATION = Calibration(middle=0.6, slope=20.0, swap=10.0)
FPS = 10  # of FakeVideo
A: Box = (4.0, 4.0, 16.0, 14.0)
B: Box = (40.0, 30.0, 56.0, 42.0)
C: Box = (30.0, 2.0, 44.0, 12.0)


class Eye:
    """An embedder to which an object looks as told by where its box is, and on which frame."""

    dimensions = 4

    def __init__(self, kinds: Mapping[Box, int]) -> None:
        self.kinds = dict(kinds)
        self.asked: list[tuple[Box, ...]] = []

    def embed(self, encoding: object, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        given = [tuple(box) for box in boxes.tolist()]
        self.asked.append(tuple(given))
        assert masks is not None
        for box, mask in zip(given, masks, strict=True):
            assert mask is not None
            assert Mask.from_array(mask).box == box
        return torch.eye(4)[[self.kinds[box] for box in given]]


def filled(box: Box) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    x0, y0, x1, y1 = (round(side) for side in box)
    mask[y0:y1, x0:x1] = True
    return mask


def sight(second: float, seen: Mapping[str, Box | None]) -> Sight:
    found = {
        name: Observation(name, 0, None if box is None else Mask.from_array(filled(box)), 0.9)
        for name, box in seen.items()
    }
    return Sight(second, found, lambda: pytest.fail("encoded"), lambda: "looked at", lambda one: filled(one.box))


def detected(*boxes: Box) -> list[Detection]:
    return [Detection(box, 0.9) for box in boxes]


def learned(eye: Eye, rules: AppearanceRules | None = None) -> AppearanceMatcher:
    """It knows what "1" looked like at A and "2" at B."""
    known = {name: Gallery(memory=5.0) for name in "12"}
    for name, box in {"1": A, "2": B}.items():
        known[name].add(0.0, torch.eye(4)[eye.kinds[box]])
    return AppearanceMatcher(Looks(cast(Embedder, eye), CALIBRATION), known, rules)


def test_where_an_object_is_overlap_decides() -> None:
    """It looks like the other one now."""
    eye = Eye({A: 0, B: 1})
    match = learned(eye)
    eye.kinds = {A: 1, B: 0}
    assert match({"1": A, "2": B}, detected(A, B), sight(1.0, {"1": A, "2": B})) == {"1": 0, "2": 1}


@pytest.mark.parametrize("where", [B, None], ids=["it was elsewhere", "nobody knows where it was"])
def test_a_lost_object_is_known_again(where: Box | None) -> None:
    match = learned(Eye({A: 0, B: 1, C: 1}))
    assert match({"2": where}, detected(A, C), sight(1.0, {"1": A, "2": None})) == {"2": 1}


def test_what_looks_like_nobody_is_somebody_else() -> None:
    match = learned(Eye({A: 0, B: 1, C: 2}))
    assert match({"1": None, "2": None}, detected(C), sight(1.0, {})) == {}


def test_of_several_the_most_probable_assignment() -> None:
    eye = Eye({A: 0, B: 1, C: 0})
    match = learned(eye)
    eye.kinds = {A: 1, C: 0}
    assert match({"1": None, "2": None}, detected(A, C), sight(1.0, {})) == {"1": 1, "2": 0}


def test_an_object_that_is_found_is_not_looked_for() -> None:
    """No detection meets it, and one looks like it."""
    match = learned(Eye({A: 0, B: 1, C: 0}))
    assert match({"1": A}, detected(C), sight(1.0, {"1": A})) == {}


def test_where_no_object_is_lost_nothing_is_embedded() -> None:
    eye = Eye({A: 0, B: 1, C: 2})
    learned(eye)({"1": A, "2": B}, detected(A, B, C), sight(0.5, {"1": A, "2": B}))
    assert eye.asked == []


def test_of_whom_nothing_is_known_nobody_is_found() -> None:
    eye = Eye({C: 0})
    match = AppearanceMatcher(Looks(cast(Embedder, eye), CALIBRATION), {"1": Gallery()})
    assert match({"1": None, "2": None}, detected(C), sight(1.0, {})) == {}
    assert eye.asked == []


def test_looks_are_forgotten() -> None:
    match = learned(Eye({A: 0, B: 1, C: 0}))
    assert match({"1": None}, detected(C), sight(4.9, {})) == {"1": 0}
    assert match({"1": None}, detected(C), sight(5.1, {})) == {}


def test_how_sure_it_must_be_is_the_caller_s() -> None:
    match = learned(Eye({A: 0, B: 1, C: 0}), AppearanceRules(again=0.9999))
    assert match({"1": None}, detected(C), sight(1.0, {})) == {}


class Room:
    """A video of which a detector sees: "1" at A, gone between two frames, and then back at C."""

    def __init__(self, gone: range, absent: range) -> None:
        self.count = gone.stop + 15
        self.gone = gone
        self.propagator = FakePropagator({"1": absent})

    def tracks(self, kinds: Mapping[Box, int] | None = None) -> dict[str, list[int]]:
        """The frames on which each object is present; matched by overlap unless it is told what is seen where."""
        detections: dict[int, list[Detection]] = {}
        for frame in range(self.count):
            detections[frame] = [] if frame in self.gone else detected(A if frame < self.gone.start else C)
        looks = None if kinds is None else Looks(cast(Embedder, Eye(kinds)), CALIBRATION)
        segmenter = FakeSegmenter().as_segmenter
        tracker = VideoTracker(segmenter, lambda: self.propagator, EncodingCache(10**6), looks=looks)
        tracks: dict[str, list[int]] = {}
        for result in tracker.track_detections(FakeVideo(self.count).as_reader, detections):
            for one in result.observations:
                if one.present:
                    tracks.setdefault(one.object_id, []).append(one.frame)
        return {name: sorted(frames) for name, frames in tracks.items()}


LONG, SHORT = range(15, 45), range(15, 25)  # patience is two seconds
CASES = pytest.mark.parametrize("gone", [LONG, SHORT], ids=["after it had ended", "while it is followed"])


@CASES
def test_an_object_that_comes_back_elsewhere_keeps_its_name(gone: range) -> None:
    # On the first frame that shows it again, the propagator has not found it yet.
    tracks = Room(gone, range(gone.start, gone.stop + 1)).tracks({A: 0, C: 0})
    assert tracks == {"1": [*range(gone.start), *range(gone.stop, gone.stop + 15)]}


@CASES
def test_another_one_that_comes_there_gets_a_name_of_its_own(gone: range) -> None:
    expected = {"1": list(range(gone.start)), "2": list(range(gone.stop, gone.stop + 15))}
    assert Room(gone, range(gone.start, 99)).tracks({A: 0, C: 1}) == expected
    assert Room(gone, range(gone.start, 99)).tracks() == expected
