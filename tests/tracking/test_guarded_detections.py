"""Detected squares that cross, a propagator that takes one for the other there, and the guard that sees it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from backend.association.identity import Calibration
from backend.propagation.propagator import Propagation
from backend.segmentation.cache import EncodingCache
from backend.tracking.lives import Rules
from backend.tracking.looks import Looks
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Detection, ImageArray, Track
from support.colours import SIZE, picture, square
from support.fake_rooms import FakePropagator, FakeSegmenter, FakeVideo

COUNT, CROSSING = 18, 7
TRUE = {"1": "a", "2": "b"}  # what those are called that are detected


def places(frame: int) -> dict[str, int | None]:
    """``a`` goes to the right and ``b`` to the left; on frame 7 they are in one place."""
    return {"a": 20 + 4 * frame, "b": 76 - 4 * frame}


def box_of(left: int | None) -> Box:
    assert left is not None
    return (float(left), 10.0, left + 10.0, 20.0)


class Street(FakeVideo):
    def __init__(self) -> None:
        super().__init__(COUNT)
        self.height, self.width = SIZE

    def frame(self, index: int) -> ImageArray:
        image = picture(places(index))
        image[0, 0] = (0, index, 0)
        return image


class Eye:
    """To it a square looks like its colour, which it reads off the frame's number and the place."""

    dimensions = 3

    def embed(self, encoding: Any, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        image = picture(places(int(encoding.embedding[0, 0, 0, 0])))
        assert masks is not None
        return torch.stack([torch.from_numpy(image[mask].mean(0) + 1).float() for mask in masks if mask is not None])


class Confused(FakePropagator):
    """Beyond the crossing it goes on with each under the other's name, until it is told."""

    def __init__(self, unsure: Collection[int] = ()) -> None:
        super().__init__()
        self.unsure = unsure
        self.exchanged: list[tuple[str, str, list[int]]] = []

    def step(
        self, frame: int, encoding: Any, given: Mapping[str, BoolArray], wanted: Collection[str], claims: Any = None
    ) -> dict[str, Propagation]:
        super().step(frame, encoding, given, wanted)
        wrong = frame > CROSSING and not self.exchanged
        other = {"a": "b", "b": "a"} if wrong else {}
        lefts = {name: places(frame)[other.get(TRUE[name], TRUE[name])] or 0 for name in wanted}
        score = 0.3 if frame in self.unsure else 0.9
        return {name: Propagation(square(left), score) for name, left in lefts.items()}

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        self.exchanged.append((one, other, sorted(frames)))


def follow(propagator: Confused, looks: Looks | None, looked: Collection[int], **rules: Any) -> dict[str, Track]:
    tracker = VideoTracker(FakeSegmenter().as_segmenter, lambda: propagator, EncodingCache(0), looks=looks)
    detections = {
        frame: [Detection(box_of(places(frame)[name]), score) for name, score in (("a", 0.9), ("b", 0.8))]
        for frame in looked
    }
    tracks: dict[str, Track] = {}
    for result in tracker.track_detections(Street().as_reader, detections, rules=Rules(**rules)):
        for found in result.observations:
            assert found.frame == result.frame
            tracks.setdefault(found.object_id, Track(found.object_id)).add(found)
    return tracks


def wrong(tracks: Mapping[str, Track]) -> list[int]:
    """The frames on which anybody is called by the wrong name; there are both on each frame."""
    assert {name: sorted(track.observations) for name, track in tracks.items()} == {
        key: [*range(COUNT)] for key in TRUE
    }
    boxes = {name: {frame: one.box for frame, one in track.observations.items()} for name, track in tracks.items()}
    return sorted(
        {frame for name, found in boxes.items() for frame in found if found[frame] != box_of(places(frame)[TRUE[name]])}
    )


def looks() -> Looks:
    return Looks(Eye(), Calibration(middle=0.7, slope=30.0, swap=30.0))


@pytest.mark.parametrize("every", [1, 2, 5])
def test_tracks_that_were_swapped_are_told_again(every: int) -> None:
    propagator = Confused()
    assert wrong(follow(propagator, looks(), range(0, COUNT, every))) == []
    ((one, other, frames),) = propagator.exchanged
    assert {one, other} == set(TRUE)
    assert frames[0] == CROSSING


def test_who_was_given_by_the_wrong_name_is_given_anew() -> None:
    """Both are set right on frame 9, as each other; on frame 10 that shows."""
    propagator = Confused(unsure=[9])
    assert wrong(follow(propagator, looks(), range(COUNT))) == []
    given = [(frame, names) for verb, frame, names, _ in propagator.log if names]
    assert given == [(0, ("1", "2")), (9, ("1", "2")), (10, ("1", "2"))]
    assert all(propagator._masks[name].argmax(1).max() == places(10)[true] for name, true in TRUE.items())


def test_without_looks_nobody_sees_that() -> None:
    assert wrong(follow(Confused(), None, range(COUNT))) == [*range(CROSSING + 1, COUNT)]


def test_boxes_on_one_frame_are_enough() -> None:
    """As where a human drew them there."""
    assert wrong(follow(Confused(), looks(), [0], at_once=True, complete=False)) == []


def test_who_is_not_detected_for_a_while_is_called_by_its_own_name() -> None:
    """After they crossed nobody is seen; then ``b`` alone, until it is over."""
    propagator = Confused()
    tracker = VideoTracker(FakeSegmenter().as_segmenter, lambda: propagator, EncodingCache(0), looks=looks())
    detections: dict[int, list[Detection]] = {frame: [] for frame in range(COUNT)}
    for frame in range(CROSSING + 1):
        detections[frame] = [Detection(box_of(places(frame)[name]), 0.9 - (name == "b") / 9) for name in "ab"]
    for frame in range(14, COUNT):
        detections[frame] = [Detection(box_of(places(frame)["b"]), 0.8)]
    tracks: dict[str, Track] = {}
    for result in tracker.track_detections(Street().as_reader, detections):
        for found in result.observations:
            tracks.setdefault(found.object_id, Track(found.object_id)).add(found)
    last = {name: max(track.observations) for name, track in tracks.items()}
    assert last == {"1": CROSSING, "2": COUNT - 1}
    assert [tracks["2"].observations[frame].box for frame in range(COUNT)] == [
        box_of(places(frame)["b"]) for frame in range(COUNT)
    ]


def test_what_nobody_detects_is_looked_for_only_where_detections_are_not_all_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "backend.tracking.tracker.propose",
        lambda segmenter, encoding, rules: asked.append(int(encoding.embedding[0, 0, 0, 0])) or [],
    )
    for complete, expected in ((True, []), (False, [8])):
        propagator = FakePropagator({"2": range(5, 11)})
        tracker = VideoTracker(
            FakeSegmenter().as_segmenter, lambda one=propagator: one, EncodingCache(0), looks=looks()
        )
        detections = {frame: [Detection(box_of(places(0)[name]), 0.9) for name in "ab"] for frame in (0, 1)}
        for _ in tracker.track_detections(Street().as_reader, detections, rules=Rules(complete=complete)):
            pass
        assert asked == expected


class Changing:
    """To it everything looks like something else after a cut: more like what was there before than not, by far not
    the same."""

    dimensions = 2

    def embed(self, encoding: Any, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        after = float(encoding.embedding[0, 0, 0, 0]) >= CUT
        return torch.tensor([[0.66, 0.75] if after else [1.0, 0.0]]).repeat(len(boxes), 1)


CUT = 20


@pytest.mark.parametrize("known", [True, False], ids=["with looks", "without"])
def test_in_another_shot_what_is_propagated_may_be_somebody_else(known: bool) -> None:
    """It is found where it was, and detected there: without looks nobody would think of that."""
    told = Looks(Changing(), Calibration(middle=0.7, slope=20.0, swap=20.0)) if known else None
    tracker = VideoTracker(FakeSegmenter().as_segmenter, FakePropagator, EncodingCache(0), looks=told)
    detections = {frame: [Detection((4.0, 4.0, 16.0, 14.0), 0.9)] for frame in range(2 * CUT)}
    present: dict[str, list[int]] = {}
    for result in tracker.track_detections(FakeVideo(2 * CUT, [CUT]).as_reader, detections):
        for found in result.observations:
            if found.present:
                present.setdefault(found.object_id, []).append(found.frame)
    first, second = [*range(CUT)], [*range(CUT, 2 * CUT)]
    assert {name: sorted(frames) for name, frames in present.items()} == (
        {"1": first, "2": second} if known else {"1": first + second}
    )
