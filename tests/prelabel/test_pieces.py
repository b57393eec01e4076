from __future__ import annotations

import pickle
from collections.abc import Collection, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from backend.association.identity import Calibration
from backend.errors import FrameOutOfRange, SettingsError
from backend.export.tracked import TrackedObject
from backend.prelabel.finder import Finder
from backend.prelabel.given import Given, GivenDetections, GivenNothing
from backend.prelabel.joining import Joiner, join
from backend.prelabel.pieces import DEFAULT_PIECES, Piece, PieceRules, PieceTracking, plan_pieces, track_piece
from backend.propagation.propagator import Propagation
from backend.segmentation.cache import EncodingCache
from backend.tracking.lives import Rules
from backend.tracking.looks import Looks
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Detection, ImageArray
from support.colours import SIZE, Colours, Places, picture
from support.fake_rooms import FakePropagator, FakeSegmenter, FakeVideo
from support.fake_tracker import FakeTracker

RULES = PieceRules(seconds=4.0, overlap=1.0)  # of FakeVideo 40 and 10 frames


def plan(video: FakeVideo, rules: PieceRules = RULES) -> list[Piece]:
    return plan_pieces(video.as_reader, rules)


# --- the plan ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 41, 59])
def test_a_video_that_is_not_long_is_one_piece_and_not_looked_at(count: int) -> None:
    video = FakeVideo(count)
    assert plan(video) == [Piece(0, range(count), range(count))]
    assert video.asked == []


def test_nothing_is_split_where_that_is_not_wanted() -> None:
    assert len(plan(FakeVideo(5000), PieceRules(seconds=0))) == 1


@pytest.mark.parametrize(
    ("fps", "rules"), [(0.4, DEFAULT_PIECES), (0.02, DEFAULT_PIECES), (10, PieceRules(0.01, 0.002))]
)
def test_nothing_is_split_where_no_frame_could_be_shared(fps: float, rules: PieceRules) -> None:
    video = FakeVideo(100)
    video.fps = fps
    assert plan(video, rules) == [Piece(0, range(100), range(100))]


def test_a_piece_has_a_frame_at_least() -> None:
    assert [list(piece.frames) for piece in plan(FakeVideo(5), PieceRules(0.01, 0))] == [[0], [1], [2], [3], [4]]


@pytest.mark.parametrize("count", [60, 100, 119, 301])
def test_pieces_are_of_one_length_and_overlap(count: int) -> None:
    pieces = plan(FakeVideo(count))
    assert len(pieces) == round(count / 40)
    assert [frame for piece in pieces for frame in piece.own] == list(range(count))
    assert [piece.number for piece in pieces] == list(range(len(pieces)))
    assert max(len(piece.own) for piece in pieces) - min(len(piece.own) for piece in pieces) <= 1
    for before, piece in pairwise(pieces):
        assert before.frames.stop - piece.frames.start == 10
        assert piece.own.start - piece.frames.start == before.frames.stop - before.own.stop == 5
        assert not piece.cut
    assert pieces[0].frames.start == 0 and pieces[-1].frames.stop == count


def test_a_video_is_split_at_a_cut_near_the_border() -> None:
    pieces = plan(FakeVideo(80, cuts=[34, 44]))
    assert pieces == [Piece(0, range(44), range(44)), Piece(1, range(44, 80), range(44, 80), cut=True)]


def test_of_two_cuts_that_are_as_near_it_is_the_earlier_one() -> None:
    assert plan(FakeVideo(80, cuts=[36, 44]))[1].own.start == 36


def test_a_cut_that_is_far_from_the_border_splits_nothing() -> None:
    first, second = plan(FakeVideo(80, cuts=[20]))
    assert (first.own.stop, second.cut, len(first.frames), len(second.frames)) == (40, False, 45, 45)


def test_only_frames_near_the_borders_are_looked_at() -> None:
    video = FakeVideo(200)
    plan(video)
    # 6 frames on either side of each border, and those that tell a cut from a flash or a dissolve.
    assert set(video.asked) >= {frame for border in (40, 80, 120, 160) for frame in range(border - 6, border + 7)}
    assert not set(video.asked) & {frame for border in (40, 80, 120) for frame in range(border + 18, border + 22)}


def test_it_depends_on_the_video_alone() -> None:
    assert plan(FakeVideo(120, cuts=[77])) == plan(FakeVideo(120, cuts=[77]))


@pytest.mark.parametrize(
    "rules",
    [{"seconds": -1}, {"seconds": 61}, {"seconds": float("nan")}, {"overlap": 20}, {"overlap": -1}, {"slack": 1}],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="give"):
        PieceRules(**{"seconds": 30.0, **rules})


def looked(frames: Collection[int], *, complete: bool = True) -> GivenDetections:
    return GivenDetections({frame: [] for frame in frames}, Rules(complete=complete))


def spans(given: Given, count: int = 120, cuts: Collection[int] = ()) -> list[tuple[int, int]]:
    """First and last frame of each piece."""
    found = plan_pieces(FakeVideo(count, cuts).as_reader, RULES, given)
    return [(piece.frames.start, piece.frames.stop - 1) for piece in found]


def test_a_piece_begins_where_a_detector_looked() -> None:
    assert spans(looked(range(120))) == spans(GivenNothing()) == [(0, 44), (35, 84), (75, 119)]
    assert spans(looked(range(0, 120, 6))) == [(0, 44), (30, 84), (72, 119)]


def test_where_no_detector_looked_nothing_is_split() -> None:
    # Before frame 75 the last look is 11 frames earlier, and what goes on over it is known to the piece before.
    assert spans(looked([*range(65), *range(90, 120)])) == [(0, 44), (35, 119)]
    assert spans(looked([0])) == spans(looked([])) == [(0, 119)]


def test_after_a_cut_a_detector_must_look_soon() -> None:
    assert spans(looked([*range(42), 54, *range(60, 120)]), cuts=[44]) == [(0, 43), (44, 84), (75, 119)]
    assert spans(looked([*range(42), *range(55, 120)]), cuts=[44]) == [(0, 84), (75, 119)]


def test_what_a_human_drew_here_and_there_is_tracked_in_one_piece() -> None:
    assert spans(looked(range(120), complete=False)) == [(0, 119)]


# --- a piece -----------------------------------------------------------------------------------


def detections(frames: range, label: str | None = None) -> GivenDetections:
    return GivenDetections({frame: [Detection((5.0, 5.0, 15.0, 15.0), 0.9, label)] for frame in frames})


def test_a_piece_gets_what_is_given_of_its_frames_alone() -> None:
    tracker = FakeTracker((0, 0))
    work = PieceTracking(FakeVideo(80).as_reader, detections(range(0, 80, 3), "Car"), plan(FakeVideo(80))[1])
    assert list(work.run(tracker)) == list(range(35, 80)) and len(work) == 45
    assert list(tracker.calls[0].detections) == [1, 4, *range(7, 45, 3)]  # 36, 39, ...
    (one,) = work.result.objects
    assert sorted(one.track.observations) == list(range(36, 80))
    assert all(frame == found.frame for frame, found in one.track.observations.items())
    assert one.votes == {"Car": (0.9, 1)}


def test_nothing_is_given_where_everything_is_tracked() -> None:
    tracker = FakeTracker((0, 0))
    result = track_piece(tracker, FakeVideo(80).as_reader, GivenNothing(most=3), plan(FakeVideo(80))[1])
    assert tracker.calls[0].everything is not None and tracker.calls[0].everything.most == 3
    assert sorted(result.objects[0].track.observations) == list(range(35, 80))


def test_a_piece_that_is_cancelled_ends() -> None:
    work = PieceTracking(FakeVideo(80).as_reader, GivenNothing(), plan(FakeVideo(80))[0])
    done: list[int] = []
    for frame in work.run(FakeTracker(), lambda: len(done) == 3):
        done.append(frame)
    assert done == [0, 1, 2]


def test_a_piece_lies_in_the_video() -> None:
    with pytest.raises(FrameOutOfRange):
        PieceTracking(FakeVideo(40).as_reader, GivenNothing(), Piece(1, range(35, 80), range(40, 80)))


def test_one_piece_is_what_the_whole_is() -> None:
    video, given = FakeVideo(50).as_reader, detections(range(3, 50, 4), "Car")
    finder = Finder(given)
    list(finder.run(FakeTracker(), video))
    (piece,) = plan(FakeVideo(50))
    assert told(join([track_piece(FakeTracker(), video, given, piece)])) == told(finder.objects())


# --- pieces and the whole ----------------------------------------------------------------------


class Street(FakeVideo):
    """Squares of three colours. The red one walks to the right all the time; the green one is away over the border
    between the first two pieces, and so is the blue one, which comes back on the other side of it."""

    def __init__(self, cuts: Collection[int] = ()) -> None:
        super().__init__(120, cuts)
        self.height, self.width = SIZE

    def places(self, frame: int) -> Places:
        return {
            "a": 2 + frame // 2,
            "b": 80 if not 20 <= frame < 62 else None,
            "c": (100 if frame < 30 else 65 if frame >= 75 else None),
        }

    def frame(self, index: int) -> ImageArray:
        image = picture(self.places(index))
        image[0, 0] = (0, index, 0)
        return image

    def detections(self, every: int = 2) -> GivenDetections:
        found: dict[int, list[Detection]] = {}
        for frame in range(0, len(self), every):
            lefts = [left for left in self.places(frame).values() if left is not None]
            found[frame] = [Detection((float(left), 10.0, left + 10.0, 20.0), 0.9) for left in lefts]
        return GivenDetections(found)


class Pictures:
    """Encodes a frame as it is."""

    def encode(self, image: ImageArray) -> ImageArray:
        return image


class Colourful(FakePropagator):
    """Finds what has the colour of what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._colours: dict[str, ImageArray] = {}

    def step(
        self, frame: int, encoding: Any, given: Mapping[str, BoolArray], wanted: Collection[str], claims: Any = None
    ) -> dict[str, Propagation]:
        self._masks |= given
        self._colours |= {name: np.median(encoding[mask], axis=0) for name, mask in given.items()}
        found = {name: (encoding == self._colours[name]).all(2) for name in wanted}
        return {name: Propagation(mask if mask.any() else None, 0.9) for name, mask in found.items()}


def tracker() -> VideoTracker:
    looks = Looks(Colours(), Calibration(middle=0.9, slope=50, swap=50), Pictures())
    segmenter = FakeSegmenter().as_segmenter
    return VideoTracker(segmenter, Colourful, EncodingCache(10**8), encoder=Pictures(), looks=looks)


def told(objects: Collection[TrackedObject]) -> list[tuple[str, str | None, dict[int, Box | None]]]:
    return [
        (one.id, one.label, {frame: found.box for frame, found in sorted(one.track.observations.items())})
        for one in objects
    ]


def present(objects: Collection[TrackedObject]) -> list[dict[int, Box]]:
    """Of each object where it is seen."""
    return [{frame: box for frame, box in boxes.items() if box is not None} for _, _, boxes in told(objects)]


def test_pieces_find_what_the_whole_does() -> None:
    video = Street()
    finder = Finder(video.detections())
    list(finder.run(tracker(), video.as_reader))
    pieces = plan(video)
    results = [track_piece(tracker(), video.as_reader, video.detections(), piece) for piece in pieces]
    assert [len(piece.own) for piece in pieces] == [40, 40, 40]
    objects = join(results)
    assert present(objects) == present(finder.objects())
    assert [len(boxes) for boxes in present(objects)] == [120, 78, 74]  # with detections on every other frame


def test_results_travel_and_are_small() -> None:
    video = Street()
    results = [track_piece(tracker(), video.as_reader, video.detections(), piece) for piece in plan(video)]
    sent = [pickle.dumps(result) for result in results]
    assert max(map(len, sent)) < 60_000
    assert told(join(pickle.loads(one) for one in sent)) == told(join(results))
    assert all(0 < len(one.seconds) == len(one.views) <= 16 for result in results for one in result.objects)


def test_looks_are_known_by_the_clock_of_the_whole() -> None:
    video = Street()
    result = track_piece(tracker(), video.as_reader, video.detections(), plan(video)[2])
    for one in result.objects:
        first = min(frame for frame, found in one.track.observations.items() if found.present)
        assert one.seconds[0] == pytest.approx(first / video.fps, abs=0.2)


def test_the_order_in_which_pieces_are_done_does_not_matter() -> None:
    video = Street()
    shared = tracker()
    pieces = plan(video)
    done = {piece.number: track_piece(shared, video.as_reader, video.detections(), piece) for piece in pieces[::-1]}
    apart = [track_piece(tracker(), video.as_reader, video.detections(), piece) for piece in pieces]
    assert told(join(done[number] for number in range(3))) == told(join(apart))


def test_pieces_are_joined_in_their_order() -> None:
    video = Street()
    joiner = Joiner()
    result = track_piece(tracker(), video.as_reader, video.detections(), plan(video)[1])
    with pytest.raises(ValueError, match="piece 1 was given where piece 0"):
        joiner.add(result)
