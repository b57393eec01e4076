from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.association.identity import Calibration
from backend.propagation.propagator import Encoded, Propagation
from backend.segmentation.cache import EncodingCache
from backend.segmentation.proposals import ProposalRules
from backend.segmentation.segmenter import Encoding
from backend.tracking import looks as tracking
from backend.tracking.everything import EverythingRules
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Observation
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeVideo
from support.proposing import Shape, ShapeSegmenter

FPS = 10  # of FakeVideo
LEFT: Box = (6.0, 6.0, 18.0, 16.0)
RIGHT: Box = (38.0, 28.0, 54.0, 40.0)
RULES = EverythingRules(proposals=ProposalRules(points=16))
Shapes = Callable[[int], Sequence[Shape]]


class Room:
    def __init__(
        self, count: int, shapes: Shapes, propagator: FakePropagator | None = None, cuts: Sequence[int] = ()
    ) -> None:
        self.video = FakeVideo(count, cuts)
        self.segmenter = ShapeSegmenter(shapes, (HEIGHT, WIDTH))
        self.propagator = propagator or FakePropagator()
        self.tracker = VideoTracker(self.segmenter.as_segmenter, lambda: self.propagator, EncodingCache(0))

    def track(self, **rules: object) -> dict[str, dict[int, Observation]]:
        """Observations by object and frame."""
        tracks: dict[str, dict[int, Observation]] = {}
        self.frames = []
        for result in self.tracker.track_everything(self.video.as_reader, rules=replace(RULES, **rules)):
            self.frames.append(result.frame)
            for one in result.observations:
                assert one.frame == result.frame
                assert one.frame not in tracks.setdefault(one.object_id, {})
                tracks[one.object_id][one.frame] = one
        return tracks


class Rated(FakePropagator):
    """Objects stay where they are; ``scores`` by name and frame."""

    def __init__(
        self,
        absent: Mapping[str, Collection[int]] | None = None,
        scores: Mapping[tuple[str, int], float] | None = None,
    ) -> None:
        super().__init__(absent)
        self._scores = scores or {}

    def step(
        self, frame: int, encoding: Encoded, given: Mapping[str, BoolArray], wanted: Collection[str]
    ) -> dict[str, Propagation]:
        found = super().step(frame, encoding, given, wanted)
        return {name: replace(one, score=self._scores.get((name, frame), one.score)) for name, one in found.items()}


def filled(*boxes: Box) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in boxes:
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return mask


class Straying(FakePropagator):
    """From some frame on, every mask has a further rectangle, and lacks others."""

    def __init__(self, since: int, further: Box, *without: Box) -> None:
        super().__init__()
        self._since = since
        self._further, self._without = filled(further), filled(*without)

    def step(
        self, frame: int, encoding: Encoded, given: Mapping[str, BoolArray], wanted: Collection[str]
    ) -> dict[str, Propagation]:
        found = super().step(frame, encoding, given, wanted)
        return {
            name: one
            if one.mask is None or frame < self._since
            else replace(one, mask=(one.mask | self._further) & ~self._without)
            for name, one in found.items()
        }


def still(*boxes: Box) -> Shapes:
    return lambda _: [Shape(box) for box in boxes]


def present(tracks: dict[str, dict[int, Observation]]) -> list[list[int]]:
    return [sorted(frame for frame, one in found.items() if one.present) for found in tracks.values()]


def test_whatever_is_there_is_tracked_once_and_from_the_first_frame_to_the_last() -> None:
    room = Room(35, still(LEFT, RIGHT))
    tracks = room.track()
    assert present(tracks) == [list(range(35))] * 2
    assert {tuple({one.box for one in found.values()}) for found in tracks.values()} == {(LEFT,), (RIGHT,)}
    assert sorted(set(room.frames)) == list(range(35))
    assert not any(one.human for found in tracks.values() for one in found.values())


def test_names_are_numbers() -> None:
    assert sorted(Room(12, still(LEFT, RIGHT)).track()) == ["1", "2"]


@pytest.mark.parametrize(("every", "first"), [(1.0, 20), (0.5, 15), (3.0, 30)])
def test_what_enters_later_is_found_by_the_next_search(every: float, first: int) -> None:
    room = Room(45, lambda frame: [Shape(LEFT)] + [Shape(RIGHT)] * (frame >= 12))
    tracks = room.track(every=every)
    assert present(tracks) == [list(range(45)), list(range(first, 45))]
    assert room.segmenter.frames == set(range(0, 45, round(every * FPS)))


def test_what_was_proposed_once_and_is_followed_need_not_be_proposed_again() -> None:
    room = Room(60, lambda frame: [Shape(LEFT)] * (frame == 0))
    assert present(room.track()) == [list(range(60))]


def test_nothing_is_asked_where_an_object_is_followed() -> None:
    room = Room(25, still(LEFT, RIGHT))
    room.track()
    for frame, point in room.segmenter.asked_on:
        if frame > 0:
            assert not any(x0 <= point.x < x1 and y0 <= point.y < y1 for x0, y0, x1, y1 in (LEFT, RIGHT))


def test_what_is_gone_on_the_next_look_was_no_object() -> None:
    room = Room(60, lambda frame: [Shape(LEFT)] * (frame == 0), Rated(absent={"1": range(3, 60)}))
    assert room.track() == {}


def test_what_is_not_sure_on_the_next_look_was_no_object() -> None:
    scores = {("1", frame): 0.4 for frame in range(1, 60)}
    assert Room(60, lambda frame: [Shape(LEFT)] * (frame == 0), Rated(scores=scores)).track() == {}
    assert len(Room(60, lambda frame: [Shape(LEFT)] * (frame == 0), Rated(scores=scores)).track(sure=0.3)) == 1


def test_an_object_that_leaves_ends_where_it_was_last() -> None:
    room = Room(60, lambda frame: [Shape(LEFT)] * (frame < 26), Rated(absent={"1": range(26, 60)}))
    assert present(room.track()) == [list(range(26))]
    assert room.propagator.steps[-1] < 26 + 3 * FPS


def test_the_shortest_video_has_objects_too() -> None:
    assert present(Room(3, still(LEFT)).track()) == [[0, 1, 2]]


def test_an_object_in_doubt_is_set_right_by_what_is_proposed() -> None:
    """It moves, and its propagation does not; on the second search that shows."""
    moving = Rated(scores={("1", 10): 0.3})
    x0, y0, x1, y1 = LEFT
    room = Room(16, lambda frame: [Shape((x0 + 0.3 * frame, y0, x1 + 0.3 * frame, y1))], moving)
    tracks = room.track()
    assert list(tracks) == ["1"]
    assert tracks["1"][9].box == LEFT
    assert tracks["1"][10].box == (x0 + 3, y0, x1 + 3, y1)


@pytest.mark.parametrize(
    "strays",
    [
        Straying(12, (18, 6, 31, 16)),
        Straying(12, LEFT, (6, 6, 13, 16)),
        Straying(12, LEFT, (9, 6, 10, 16), (13, 6, 14, 16)),
    ],
    ids=["more than twice as large", "less than half as large", "scattered"],
)
def test_what_is_propagated_badly_is_an_object_no_more(strays: Straying) -> None:
    """The look on frame 15 sees it."""
    assert present(Room(60, lambda frame: [Shape(LEFT)] * (frame == 0), strays).track()) == [list(range(15))]


def test_what_changes_may_be_proposed_as_it_is_now() -> None:
    larger = (6, 6, 31, 16)
    room = Room(60, lambda frame: [Shape(LEFT if frame < 12 else larger)], Straying(12, larger))
    assert present(room.track()) == [list(range(60))]


def test_some_change_is_nothing() -> None:
    strays = Straying(12, (18, 6, 29, 16))
    assert present(Room(60, lambda frame: [Shape(LEFT)] * (frame == 0), strays).track()) == [list(range(60))]


def test_no_more_objects_at_a_time_than_asked_for_and_the_best() -> None:
    row = [Shape((7.0 * n + 3, 20, 7.0 * n + 8, 26), iou=0.85 + 0.01 * n) for n in range(8)]
    tracks = Room(15, lambda _: row).track(most=3)
    assert sorted(one[0].box for one in tracks.values()) == [shape.box for shape in row[5:]]


def test_where_one_leaves_there_is_room_for_another() -> None:
    shapes = lambda frame: [Shape(LEFT, iou=0.99), Shape(RIGHT)][frame >= 15 :]  # noqa: E731
    room = Room(60, shapes, Rated(absent={"1": range(15, 60)}))
    assert present(room.track(most=1)) == [list(range(15)), list(range(20, 60))]


def test_after_a_cut_the_first_frame_is_searched() -> None:
    room = Room(
        40, lambda frame: [Shape(LEFT)] if frame < 17 else [Shape(RIGHT)], Rated(absent={"1": range(17, 40)}), [17]
    )
    assert present(room.track()) == [list(range(17)), list(range(17, 40))]
    assert room.segmenter.frames == {0, 10, 17, 27, 37}


def test_what_is_propagated_over_a_cut_is_nothing_unless_it_is_proposed_there() -> None:
    room = Room(60, lambda frame: [Shape(LEFT)] * (frame < 17), cuts=[17])
    assert present(room.track()) == [list(range(17))]
    room = Room(60, still(LEFT), cuts=[17])
    assert present(room.track()) == [list(range(60))]


class Looks:
    """An embedder to which an object looks as told by its frame and by where its box begins."""

    dimensions = 2

    def __init__(self, kind: Callable[[int, Box], int]) -> None:
        self._kind = kind

    def embed(self, encoding: Encoding, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        frame = int(encoding.embedding[0, 0, 0, 0])
        return torch.eye(2)[[self._kind(frame, (x0, y0, x1, y1)) for x0, y0, x1, y1 in boxes.tolist()]]


def test_who_is_who_after_a_cut_is_told_by_looks_and_not_by_what_was_propagated() -> None:
    """The object is elsewhere in the second shot, and in its place, where propagation finds it, there is another."""
    embedder = Looks(lambda frame, box: int((box[0] == LEFT[0]) == (frame >= 17)))
    room = Room(45, lambda frame: [Shape(LEFT)] if frame < 17 else [Shape(LEFT), Shape(RIGHT)], cuts=[17])
    room.tracker = VideoTracker(
        room.segmenter.as_segmenter,
        lambda: room.propagator,
        EncodingCache(0),
        looks=tracking.Looks(embedder, Calibration(middle=0.6, slope=20.0, swap=10.0)),
    )
    tracks = room.track()
    assert present(tracks) == [list(range(45)), list(range(17, 45))]
    assert {tracks["1"][frame].box for frame in range(17)} == {LEFT}
    assert {tracks["1"][frame].box for frame in range(17, 45)} == {RIGHT}
    assert {one.box for one in tracks["2"].values()} == {LEFT}


def test_cancelled_between_frames() -> None:
    room = Room(20, still(LEFT))
    done: list[int] = []
    for result in room.tracker.track_everything(room.video.as_reader, rules=RULES, cancelled=lambda: len(done) == 3):
        done.append(result.frame)
    assert len(done) == 3
