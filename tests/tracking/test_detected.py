from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pytest

from backend.errors import FrameOutOfRange
from backend.propagation.propagator import Encoded, Propagation
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation
from backend.tracking.labels import Labels
from backend.tracking.lives import Rules
from backend.tracking.matching import Sight
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Detection, FrameResult, Observation
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo

FPS = 10  # of FakeVideo
LEFT: Box = (4.0, 4.0, 16.0, 14.0)
RIGHT: Box = (40.0, 30.0, 56.0, 42.0)
Detections = dict[int, list[Detection]]


class Moving(FakePropagator):
    """Moves each mask on by its object's velocity, in pixels a frame, from where it was given."""

    def __init__(
        self,
        velocity: Mapping[str, tuple[int, int]] | None = None,
        scores: Mapping[tuple[str, int], float] | None = None,
        absent: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        super().__init__(absent)
        self._velocity = velocity or {}
        self._scores = scores or {}
        self._since: dict[str, int] = {}

    def step(
        self, frame: int, encoding: Encoded, given: Mapping[str, BoolArray], wanted: Collection[str]
    ) -> dict[str, Propagation]:
        self._since.update(dict.fromkeys(given, frame))
        found = {}
        for name, one in super().step(frame, encoding, given, wanted).items():
            score = self._scores.get((name, frame), one.score)
            found[name] = Propagation(None if one.mask is None else self._moved(name, one.mask, frame), score)
        return found

    def _moved(self, name: str, mask: BoolArray, frame: int) -> BoolArray:
        dx, dy = self._velocity.get(name, (0, 0))
        age = frame - self._since[name]
        return np.roll(mask, (dy * age, dx * age), axis=(0, 1))


class Room:
    def __init__(self, count: int, propagator: FakePropagator | None = None, cuts: Sequence[int] = ()) -> None:
        self.video = FakeVideo(count, cuts)
        self.segmenter = FakeSegmenter()
        self.propagator = propagator or Moving()
        self.tracker = VideoTracker(self.segmenter.as_segmenter, lambda: self.propagator, EncodingCache(10**6))

    def results(self, detections: Detections, **options) -> Iterator[FrameResult]:
        return self.tracker.track_detections(self.video.as_reader, detections, **options)

    def track(self, detections: Detections, **options) -> dict[str, dict[int, Observation]]:
        """Observations by object and frame."""
        tracks: dict[str, dict[int, Observation]] = {}
        for result in self.results(detections, **options):
            for one in result.observations:
                assert one.frame == result.frame
                assert one.frame not in tracks.setdefault(one.object_id, {})
                tracks[one.object_id][one.frame] = one
        return tracks

    @property
    def given(self) -> list[tuple[int, tuple[str, ...]]]:
        """The frames on which objects were given to the propagator, and which."""
        return [(entry[1], entry[2]) for entry in self.propagator.log if entry[0] == "step" and entry[2]]


def everywhere(count: int, *boxes: Box, score: float = 0.9) -> Detections:
    return {frame: [Detection(box, score) for box in boxes] for frame in range(count)}


def moved(box: Box, dx: float, dy: float = 0) -> Box:
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


def test_each_detected_object_becomes_a_track_from_its_first_frame_on() -> None:
    room = Room(8)
    detections = everywhere(8, LEFT) | {frame: [Detection(LEFT, 0.9), Detection(RIGHT, 0.8)] for frame in range(3, 8)}
    tracks = room.track(detections)
    assert {name: sorted(found) for name, found in tracks.items()} == {"1": list(range(8)), "2": list(range(3, 8))}
    assert {one.box for one in tracks["1"].values()} == {LEFT}
    assert {one.box for one in tracks["2"].values()} == {RIGHT}
    assert not any(one.human for found in tracks.values() for one in found.values())
    assert room.given == [(0, ("1",)), (3, ("2",))]


def test_a_result_for_every_frame_and_late_ones_of_earlier_frames() -> None:
    order = [
        (result.frame, [one.object_id for one in result.observations])
        for result in Room(5).results({1: [Detection(LEFT, 0.9)], 3: [Detection(LEFT, 0.9)]})
    ]
    assert order == [(0, []), (1, []), (2, []), (1, ["1"]), (2, ["1"]), (3, ["1"]), (4, ["1"])]


def test_with_an_encoder_of_its_own_only_what_is_segmented_is_encoded_for_the_segmenter() -> None:
    room, encoder = Room(6), FakeSegmenter()
    tracker = VideoTracker(
        room.segmenter.as_segmenter, lambda: room.propagator, EncodingCache(10**6), encoder=encoder.as_segmenter
    )
    detections = everywhere(6, LEFT) | {frame: [Detection(LEFT, 0.9), Detection(RIGHT, 0.8)] for frame in range(3, 6)}
    assert {one.frame for one in tracker.track_detections(room.video.as_reader, detections)} == set(range(6))
    assert room.segmenter.encoded == [0, 3]
    assert encoder.encoded == list(range(6))


def test_where_nothing_is_followed_nothing_is_encoded() -> None:
    room = Room(6)
    assert [result.frame for result in room.results({frame: [] for frame in range(6)})] == list(range(6))
    assert room.segmenter.encoded == []


def test_what_is_detected_once_is_no_object() -> None:
    room = Room(12)
    assert room.track(everywhere(12) | {2: [Detection(LEFT, 0.99)]}) == {}
    assert room.propagator.steps == [3, 4]  # then it is given up


def test_weak_detections_begin_nothing_and_continue_what_is_there() -> None:
    weak = everywhere(40, LEFT, score=0.3)
    assert Room(40).track(weak) == {}
    tracks = Room(40).track(weak | {0: [Detection(LEFT, 0.6)]})
    assert list(tracks["1"]) == list(range(40))
    strict = Room(40).track(weak | {0: [Detection(LEFT, 0.6)]}, rules=Rules(weak=0.4))
    assert strict == {}


@pytest.mark.parametrize(("confident", "expected"), [(0.7, 1), (0.95, 0)])
def test_how_sure_a_detection_must_be_is_the_caller_s(confident: float, expected: int) -> None:
    assert len(Room(4).track(everywhere(4, LEFT), rules=Rules(confident=confident))) == expected


def test_an_object_that_is_no_longer_detected_ends_where_it_was_last() -> None:
    room = Room(50)
    tracks = room.track({frame: [Detection(LEFT, 0.9)] if frame < 10 else [] for frame in range(50)})
    assert sorted(tracks["1"]) == list(range(10))
    assert room.propagator.steps[-1] == 9 + 2 * FPS + 1  # patience: two seconds


def test_an_object_that_is_not_detected_for_a_while_has_no_gap() -> None:
    gone = range(10, 25)
    tracks = Room(40).track({frame: [] if frame in gone else [Detection(LEFT, 0.9)] for frame in range(40)})
    assert {name: sorted(found) for name, found in tracks.items()} == {"1": list(range(40))}


def test_after_it_has_ended_an_object_is_another_one() -> None:
    gone = range(10, 40)
    room = Room(60)
    tracks = room.track({frame: [] if frame in gone else [Detection(LEFT, 0.9)] for frame in range(60)})
    assert [sorted(found) for found in tracks.values()] == [list(range(10)), list(range(40, 60))]


@pytest.mark.parametrize("every", [2, 7])
def test_between_frames_that_were_looked_at_objects_are_propagated(every: int) -> None:
    room = Room(30, Moving({"1": (1, 0)}))
    detections = {frame: [Detection(moved(LEFT, frame), 0.9)] for frame in range(0, 30, every)}
    (track,) = room.track(detections).values()
    assert {frame: one.box for frame, one in track.items()} == {frame: moved(LEFT, frame) for frame in range(30)}


def test_two_that_cross_keep_their_names() -> None:
    """They pass by one another above and below, and are detected in changing order."""
    upper, lower = (2.0, 10.0, 14.0, 26.0), (50.0, 18.0, 62.0, 34.0)
    room = Room(45, Moving({"1": (1, 0), "2": (-1, 0)}))
    detections: Detections = {}
    for frame in range(45):
        both = [Detection(moved(upper, frame), 0.9), Detection(moved(lower, -frame), 0.9 - 0.01 * (frame % 3))]
        detections[frame] = both[:: 1 if frame % 2 == 0 else -1]
    tracks = room.track(detections)
    assert sorted(tracks) == ["1", "2"]
    for frame in range(45):
        assert tracks["1"][frame].box == moved(upper, frame)
        assert tracks["2"][frame].box == moved(lower, -frame)
    assert room.given == [(0, ("1", "2"))]


def test_a_doubtful_object_is_set_right() -> None:
    """It moves one pixel a frame, and its propagation does not; from frame 6 on that shows."""
    room = Room(12, Moving(scores={("1", frame): 0.3 for frame in range(6, 12)}))
    tracks = room.track({frame: [Detection(moved(LEFT, 0.5 * frame), 0.9)] for frame in range(12)})
    assert room.given == [(0, ("1",)), (6, ("1",)), (11, ("1",))]  # half a second lies between
    assert [tracks["1"][frame].box for frame in (5, 6, 10)] == [LEFT, moved(LEFT, 3), moved(LEFT, 3)]
    assert tracks["1"][6].score == pytest.approx(0.9)  # the segmenter's
    assert not tracks["1"][6].human


def test_what_is_sure_of_itself_is_left_alone() -> None:
    room = Room(12)
    room.track({frame: [Detection(moved(LEFT, 0.5 * frame), 0.9)] for frame in range(12)})
    assert room.given == [(0, ("1",))]


@pytest.mark.parametrize(
    ("score", "neighbour"), [(0.4, RIGHT), (0.9, moved(LEFT, 6))], ids=["weak detection", "another object beside it"]
)
def test_nothing_is_set_right_by_what_may_be_wrong(score: float, neighbour: Box) -> None:
    room = Room(12, Moving(scores={("1", frame): 0.3 for frame in range(1, 12)}))
    detections = everywhere(12, LEFT, neighbour) | {
        frame: [Detection(LEFT, score), Detection(neighbour, 0.8)] for frame in range(1, 12)
    }
    tracks = room.track(detections)
    assert sorted(tracks) == ["1", "2"]
    assert room.given == [(0, ("1", "2"))]


def test_a_mask_that_does_not_fill_its_detection_sets_nothing_right() -> None:
    room = Room(8, Moving(scores={("1", frame): 0.3 for frame in range(1, 8)}))
    whole = room.segmenter.segment

    def part(encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        found = whole(encoding, prompts, multimask=multimask)
        if encoding.embedding[0, 0, 0, 0] > 0:
            found.logits[..., 8:] = -5.0  # a third of LEFT is left
        return found

    room.segmenter.segment = part
    tracks = room.track(everywhere(8, LEFT))
    assert {one.box for one in tracks["1"].values()} == {LEFT}
    assert room.given == [(0, ("1",))]


def test_an_object_that_was_lost_is_set_right_where_it_was_last() -> None:
    room = Room(20, Moving(absent={"1": [8]}))
    tracks = room.track(everywhere(20, LEFT))
    assert sorted(tracks) == ["1"]
    assert room.given == [(0, ("1",)), (8, ("1",))]
    assert all(one.present for one in tracks["1"].values())


def test_one_object_detected_twice_is_one() -> None:
    assert list(Room(10).track(everywhere(10, LEFT, moved(LEFT, 2)))) == ["1"]


def test_after_a_cut_everything_is_looked_for_and_nothing_is_where_it_was() -> None:
    """The object is not in the second shot; what is in its place there is another one."""
    room = Room(40, Moving(absent={"1": range(20, 40)}), cuts=[20])
    tracks = room.track(everywhere(40, LEFT))
    assert room.propagator.log.count(("lose",)) == 1
    present = {name: [frame for frame, one in found.items() if one.present] for name, found in tracks.items()}
    assert present == {"1": list(range(20)), "2": list(range(20, 40))}


def test_detections_are_cut_at_the_picture_s_border() -> None:
    beyond = [(-10.0, -4.0, 8.0, 10.0), (WIDTH - 9.0, HEIGHT - 9.0, WIDTH + 20.0, HEIGHT + 30.0)]
    outside = (WIDTH + 1.0, 5.0, WIDTH + 9.0, 15.0)
    tracks = Room(5).track(everywhere(5, *beyond, outside))
    assert [found[4].box for found in tracks.values()] == [(0, 0, 8, 10), (WIDTH - 9, HEIGHT - 9, WIDTH, HEIGHT)]


def test_a_detection_that_holds_nothing_is_none() -> None:
    room = Room(5)
    room.segmenter.blind = True
    assert room.track(everywhere(5, LEFT)) == {}


def test_a_new_object_takes_nothing_of_the_others() -> None:
    """A third of it lies over an object that is followed; of another one, more than half does."""
    near, far = (12.0, 4.0, 24.0, 14.0), (9.0, 4.0, 18.0, 14.0)
    tracks = Room(8).track(everywhere(8, LEFT) | {f: [Detection(LEFT, 0.9), Detection(near, 0.8)] for f in range(2, 8)})
    assert tracks["2"][7].box == (16, 4, 24, 14)
    tracks = Room(8).track(everywhere(8, LEFT) | {f: [Detection(LEFT, 0.9), Detection(far, 0.8)] for f in range(2, 8)})
    assert list(tracks) == ["1"]


def test_who_matches_is_the_caller_s() -> None:
    asked: list[tuple[list[str], int]] = []

    def match(objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight) -> dict[str, int]:
        asked.append((sorted(objects), len(detections)))
        return {}

    assert Room(3).track(everywhere(3, LEFT), match=match) == {}
    assert (["1"], 1) in asked


def test_cancelled_between_frames() -> None:
    room = Room(20)
    done: list[int] = []
    for result in room.results(everywhere(20, LEFT), cancelled=lambda: len(done) == 3):
        done.append(result.frame)
    assert len(done) == 3


def test_a_detection_beyond_the_video_is_refused_before_anything_is_read() -> None:
    room = Room(5)
    with pytest.raises(FrameOutOfRange, match="no frame 5"):
        room.results({5: []})
    assert room.video.asked == []


def test_objects_of_two_labels_in_one_place_are_two() -> None:
    """As a rider and a horse, whose box holds the rider's too."""
    rider, horse = (10.0, 10.0, 30.0, 20.0), (10.0, 10.0, 30.0, 30.0)

    def both(*labels: str | None) -> Detections:
        return {frame: [Detection(rider, 0.9, labels[0]), Detection(horse, 0.8, labels[1])] for frame in range(4)}

    assert set(Room(4).track(both(None, None))) == {"1"}
    labels = Labels()
    tracks = Room(4).track(both("Person", "Horse"), labels=labels)
    assert {name: labels.of(name) for name in tracks} == {"1": "Person", "2": "Horse"}
    assert {name: found[3].box for name, found in tracks.items()} == {"1": rider, "2": (10.0, 20.0, 30.0, 30.0)}


def test_an_object_of_another_label_is_not_continued() -> None:
    labels = Labels()
    detections = everywhere(3, LEFT) | {frame: [Detection(LEFT, 0.9, "Car")] for frame in range(3)}
    detections |= {frame: [Detection(moved(LEFT, 1), 0.9, "Dog")] for frame in range(3, 40)}
    tracks = Room(40).track(detections, labels=labels)
    assert labels.of("1") == "Car"
    # No detection of its own label meets it any more, so that it ends, and the other one begins in its place.
    assert max(tracks["1"]) < 5
    assert {labels.of(name) for name in tracks} == {"Car", "Dog"}


def test_where_one_detection_is_enough_it_makes_an_object() -> None:
    once = {2: [Detection(LEFT, 0.9)]}
    assert Room(5).track(once) == {}
    tracks = Room(5).track(once, rules=Rules(at_once=True))
    assert {name: sorted(found) for name, found in tracks.items()} == {"1": [2, 3, 4]}


def test_where_detections_are_not_all_there_is_a_frame_without_one_says_nothing() -> None:
    """As keyframes of several objects, each with its own frames."""
    detections = {0: [Detection(LEFT, 0.9)], **{frame: [Detection(RIGHT, 0.9)] for frame in range(5, 40, 5)}}
    both = Room(40).track(detections, rules=Rules(at_once=True))
    assert max(both["1"]) < 39
    both = Room(40).track(detections, rules=Rules(at_once=True, complete=False))
    assert {name: sorted(found) for name, found in both.items()} == {"1": list(range(40)), "2": list(range(5, 40))}
