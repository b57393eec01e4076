from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.errors import FrameOutOfRange, PromptError, VideoError
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.build import fast_dtype
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Segmenter
from backend.tracking.fusion import AGREE_FRAMES
from backend.tracking.plan import TURN
from backend.tracking.stretches import Before
from backend.tracking.tracker import VideoTracker
from backend.tracks import Direction, FrameResult, ImageArray, Observation, Point, Prompt, box_iou
from backend.video.frames import FrameSource
from backend.video.reader import VideoReader
from support.clips import SceneObject, make_clip, moving_boxes_scene
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo

BOX = (8.0, 6.0, 40.0, 30.0)


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


class Room:
    def __init__(self, count: int, cuts: Collection[int] = (), cache: int = 10**6, **absent: Collection[int]) -> None:
        self.video = FakeVideo(count, cuts)
        self.segmenter = FakeSegmenter()
        self.propagators: list[FakePropagator] = []
        self.absent = absent
        self.tracker = VideoTracker(self.segmenter.as_segmenter, self._new, EncodingCache(cache))

    def track(self, *prompts: Prompt, **options) -> Iterator[FrameResult]:
        return self.tracker.track(self.video.as_reader, prompts, **options)

    def _new(self) -> FakePropagator:
        self.propagators.append(FakePropagator(self.absent))
        return self.propagators[-1]


def boxed(name: str, frame: int) -> Prompt:
    return Prompt(name, frame, BOX)


def collected(results: Iterator[FrameResult], *, replaced: bool = False) -> dict[tuple[str, int], Observation]:
    """Observations by object and frame; ``replaced`` ones of a frame are the last."""
    found: dict[tuple[str, int], Observation] = {}
    for result in results:
        for one in result.observations:
            assert one.frame == result.frame
            assert replaced or (one.object_id, one.frame) not in found
            found[one.object_id, one.frame] = one
    return found


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("both", range(30)), ("forward", range(12, 30)), ("backward", range(13))],
)
def test_every_frame_of_the_way_once(direction: Direction, expected: range) -> None:
    found = collected(Room(30).track(boxed("a", 12), direction=direction))
    assert sorted(frame for _, frame in found) == list(expected)
    assert [frame for (_, frame), one in found.items() if one.human] == [12]
    assert all(one.present for one in found.values())


def test_a_prompt_outside_the_span_is_remembered_and_nothing_more() -> None:
    room = Room(30)
    found = collected(room.track(boxed("a", 2), boxed("a", 12), span=(12, 15), direction="forward"))
    assert sorted(frame for _, frame in found) == [12, 13, 14, 15]
    assert sorted(set(room.segmenter.encoded)) == [2, 12, 13, 14, 15]
    assert [step[:2] for step in room.propagators[0].log if step[0] == "step"][:2] == [("step", 2), ("step", 12)]


def test_nearest_first_and_in_turns() -> None:
    order = [result.frame for result in Room(60).track(boxed("a", 30))]
    assert order[0] == 30
    assert order[1 : 1 + TURN] == list(range(31, 31 + TURN))
    assert order[1 + TURN : 1 + 2 * TURN] == list(range(29, 29 - TURN, -1))
    assert [frame for frame in order if frame > 30] == list(range(31, 60))
    assert [frame for frame in order if frame < 30] == list(range(29, -1, -1))


def test_prompted_frames_come_first_and_are_the_human_s() -> None:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5:9, 5:9] = True
    room = Room(20)
    results = list(room.track(boxed("a", 15), Prompt("a", 4, mask=mask), boxed("b", 15)))
    assert [result.frame for result in results[:2]] == [4, 15]
    assert [one.object_id for one in results[1].observations] == ["a", "b"]
    (drawn,) = results[0].observations
    assert drawn.human
    assert drawn.score == 1.0
    assert drawn.mask is not None
    assert np.array_equal(drawn.mask.array(), mask)
    assert not any(one.human for result in results[2:] for one in result.observations)


def test_several_prompts_several_objects() -> None:
    room = Room(25)
    found = collected(
        room.track(boxed("a", 3), boxed("a", 12), boxed("b", 20), direction={"a": "forward", "b": "backward"}),
        replaced=True,
    )
    assert sorted(frame for name, frame in found if name == "a") == list(range(3, 25))
    assert sorted(frame for name, frame in found if name == "b") == list(range(21))
    assert sorted(key for key, one in found.items() if one.human) == [("a", 3), ("a", 12), ("b", 20)]


def test_both_ways_know_all_prompts() -> None:
    room = Room(20)
    collected(room.track(boxed("a", 3), boxed("a", 12)), replaced=True)
    first = room.propagators[0]
    assert [entry[1:3] for entry in first.log if entry[0] == "step" and entry[2]] == [(3, ("a",)), (12, ("a",))]
    # What the first prompt's mask lets one expect in the second one's box was asked for.
    assert ("expect", ("a",)) in first.log
    assert len(first.family) == 3


def corrected(
    room: Room, *prompts: Prompt, changed: Collection[int], removed: Collection[int] = ()
) -> list[FrameResult]:
    """Object a was tracked from a box on frame 2, and is tracked again."""
    tracked = collected(room.track(boxed("a", 2)))
    before = Before({frame: one for (_, frame), one in tracked.items()}, frozenset(changed), frozenset(removed))
    room.segmenter.asked.clear()
    return list(room.track(*prompts, before={"a": before}))


def test_a_correction_goes_no_further_than_to_where_it_agrees() -> None:
    room = Room(60)
    results = corrected(room, boxed("a", 2), boxed("a", 30), changed=[30])
    # The same box again: both ways meet what was there at once.
    assert sorted(result.frame for result in results) == [
        *range(30 - AGREE_FRAMES, 30),
        *range(30, 31 + AGREE_FRAMES),
    ]
    assert [result.frame for result in results if result.observations[0].human] == [30]
    assert len(room.segmenter.asked) == 2  # for one prompt


def test_what_is_corrected_replaces_what_was_wrong() -> None:
    room = Room(40)
    other = Prompt("a", 20, (40.0, 30.0, 50.0, 40.0))
    found = {result.frame: result.observations[0] for result in corrected(room, boxed("a", 2), other, changed=[20])}
    assert all(found[frame].box == other.box for frame in range(20, 40))
    # Both are as sure: in between, what is nearer counts.
    before = [frame for frame in range(3, 20) if frame in found and found[frame].box == other.box]
    assert before == list(range(before[0], 20))
    assert 9 <= before[0] <= 13


def test_a_prompt_that_is_gone_leaves_nothing() -> None:
    room = Room(20)
    results = corrected(room, boxed("a", 15), changed=[15], removed=[2])
    assert {result.frame for result in results} == set(range(20))


def test_nothing_changed() -> None:
    assert corrected(Room(20), boxed("a", 2), changed=[]) == []


def test_an_object_that_is_new_leaves_the_others_alone() -> None:
    room = Room(20)
    results = corrected(room, boxed("a", 2), boxed("b", 5), changed=[])
    assert {one.object_id for result in results for one in result.observations} == {"b"}


@pytest.mark.parametrize("absent", [range(8, 13), range(8, 20), range(1, 20), range(17, 20)])
def test_frames_without_the_object_are_told_too(absent: range) -> None:
    found = collected(Room(20, a=absent).track(boxed("a", 0)))
    assert sorted(frame for _, frame in found) == list(range(20))
    for frame in range(20):
        assert found["a", frame].present == (frame not in absent)


def test_span() -> None:
    found = collected(Room(50).track(boxed("a", 12), span=(9, 20)))
    assert sorted(frame for _, frame in found) == list(range(9, 21))


def test_the_frames_of_a_pass_may_be_made_ready_elsewhere() -> None:
    asked: list[list[int]] = []

    def ahead(frames: FrameSource, indices: Iterable[int]) -> Generator[tuple[int, ImageArray], None, None]:
        asked.append(list(indices))
        yield from ((index, frames.frame(index)) for index in asked[-1])

    video, segmenter = FakeVideo(6), FakeSegmenter()
    tracker = VideoTracker(segmenter.as_segmenter, FakePropagator, EncodingCache(10**6), ahead=ahead)
    found = collected(tracker.track(video.as_reader, [boxed("a", 2)]))
    assert sorted(frame for _, frame in found) == list(range(6))
    assert asked == [[3, 4, 5], [1, 0]]


def test_a_propagator_may_have_an_encoder_of_its_own() -> None:
    """Then only frames with prompts are encoded for the segmenter."""
    video, segmenter, encoder = FakeVideo(9), FakeSegmenter(), FakeSegmenter()
    propagators: list[FakePropagator] = []

    def new() -> FakePropagator:
        propagators.append(FakePropagator())
        return propagators[-1]

    tracker = VideoTracker(segmenter.as_segmenter, new, EncodingCache(10**6), encoder=encoder.as_segmenter)
    for _ in range(2):
        collected(tracker.track(video.as_reader, [boxed("a", 2), boxed("b", 6)]))
        assert sorted(segmenter.encoded) == [2, 6]
        assert sorted(encoder.encoded) == list(range(9))


def test_without_a_cache_a_frame_is_encoded_once_for_both() -> None:
    video, segmenter = FakeVideo(5), FakeSegmenter()
    tracker = VideoTracker(segmenter.as_segmenter, FakePropagator, EncodingCache(0))
    collected(tracker.track(video.as_reader, [boxed("a", 0)]))
    # The way on begins with the prompted frame.
    assert segmenter.encoded == [0, 1, 2, 3, 4]


def test_a_video_of_one_frame() -> None:
    (result,) = Room(1).track(boxed("a", 0))
    assert result.observations[0].human


@pytest.mark.parametrize(
    ("prompts", "options", "error"),
    [
        ([], {}, PromptError),
        ([Prompt("a", 0)], {}, PromptError),
        ([Prompt("a", 0, (5, 5, 5, 9))], {}, PromptError),
        ([Prompt("a", 0, points=(Point(900, 1),))], {}, PromptError),
        ([Prompt("a", 0, mask=np.ones((2, 2), bool))], {}, PromptError),
        ([boxed("a", 3), boxed("a", 3)], {}, PromptError),
        ([boxed("a", 10)], {}, FrameOutOfRange),
        ([boxed("a", 1)], {"span": (0, 10)}, FrameOutOfRange),
        ([boxed("a", 1)], {"span": (2, 5)}, PromptError),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_decoded(prompts, options, error) -> None:
    room = Room(10)
    with pytest.raises(error):
        room.track(*prompts, **options)
    assert room.video.asked == []
    assert room.propagators == []


def test_nothing_happens_before_the_first_result_is_asked_for() -> None:
    room = Room(10)
    room.track(boxed("a", 3))
    assert room.video.asked == []


def test_where_nothing_can_be_made_out() -> None:
    room = Room(10)
    room.segmenter.blind = True
    with pytest.raises(PromptError, match="'a' on frame 3"):
        list(room.track(boxed("a", 3)))


@pytest.mark.parametrize("after", [0, 1, 2, 7, 20])
def test_cancelling_ends_the_results(after: int) -> None:
    room, taken = Room(200), []
    for result in room.track(boxed("a", 50), boxed("a", 150), cancelled=lambda: len(taken) >= after):
        taken.append(result.frame)
    assert len(taken) == after
    assert len(set(room.segmenter.encoded)) <= after + 1


@pytest.mark.parametrize("after", [1, 2, 30])
def test_closing_early_stops_the_threads(after: int) -> None:
    room = Room(200)
    results = room.track(boxed("a", 100))
    for _ in range(after):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
    assert len(set(room.segmenter.encoded)) == after


def test_a_frame_that_cannot_be_decoded() -> None:
    room = Room(40)
    room.video.fails_at[25] = VideoError("frame 25 is damaged")
    with pytest.raises(VideoError, match="frame 25 is damaged"):
        list(room.track(boxed("a", 3)))


def test_cuts_are_told_to_the_way_that_meets_them() -> None:
    room = Room(30, cuts=[20])
    collected(room.track(boxed("a", 10)))
    _, forward, backward = room.propagators[0].family
    assert forward.log.count(("lose",)) == 1
    assert ("lose",) not in backward.log


def test_encodings_are_kept_for_the_next_track() -> None:
    room = Room(20)
    collected(room.track(boxed("a", 5)))
    assert sorted(room.segmenter.encoded) == list(range(20))
    collected(room.track(boxed("b", 9)))
    assert len(room.segmenter.encoded) == 20


def test_another_or_a_changed_video_is_encoded_anew(tmp_path: Path) -> None:
    room = Room(5)
    for content in ("one", "other"):
        path = tmp_path / "clip"
        path.write_text(content)
        room.video.path = path
        collected(room.track(boxed("a", 0)))
    assert len(room.segmenter.encoded) == 10


def test_memory_does_not_grow_with_the_video() -> None:
    """Results aside, which the caller has."""
    room = Room(600, cache=20_000, a=range(300, 340))
    results = room.track(boxed("a", 0))
    sizes: dict[int, int] = {}
    tracemalloc.start()
    try:
        for count, _ in enumerate(results):
            # What the fakes write down grows, and is not what is measured.
            room.video.asked.clear()
            room.segmenter.encoded.clear()
            for one in room.propagators[0].family:
                one.log.clear()
            if count in (100, 590):
                sizes[count] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    # A frame has 9 kB.
    assert sizes[590] - sizes[100] < 150_000


# --- with the real weights ----------------------------------------------------------------------


def real(segmenter: Segmenter) -> VideoTracker:
    return VideoTracker(segmenter, lambda: SamTokenPropagator(segmenter, fast_dtype("cpu")), EncodingCache(256 << 20))


@pytest.mark.slow
def test_two_objects_both_ways_through_a_clip(mobile_sam: Segmenter, tmp_path: Path) -> None:
    objects = (
        SceneObject("red", (200, 50, 40), (34, 26), (12.0, 20.0), (4.0, 2.0)),
        SceneObject("blue", (40, 70, 200), (28, 30), (110.0, 70.0), (-3.0, -2.0), shape="box"),
    )
    scene = moving_boxes_scene(9, objects=objects)
    prompts = [Prompt(name, 4, scene.boxes[name][4]) for name in scene.boxes]
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames)) as video:
        found = collected(real(mobile_sam).track(video, prompts))
    assert len(found) == 2 * 9
    for name, truth in scene.boxes.items():
        for frames in (range(4), range(5, 9)):
            overlap = []
            for frame in frames:
                box, expected = found[name, frame].box, truth[frame]
                assert expected is not None
                overlap.append(box_iou(box, expected) if box is not None else 0.0)
            assert np.mean(overlap) >= 0.8, (name, frames, overlap)


@pytest.mark.slow
def test_after_a_hard_cut_the_object_is_absent(mobile_sam: Segmenter, tmp_path: Path) -> None:
    scene = moving_boxes_scene(4)
    red = next(box for box in scene.boxes["red"] if box is not None)
    # Another place, other colours, and nothing in it.
    empty = moving_boxes_scene(4, objects=(), seed=9, pan=(3.0, 0.0))
    other = [np.ascontiguousarray(255 - image[::-1, :, [2, 0, 1]] // 2) for image in empty.frames]
    with VideoReader(make_clip(tmp_path / "clip.mp4", [*scene.frames, *other])) as video:
        found = collected(real(mobile_sam).track(video, [Prompt("red", 0, red)]))
    assert sorted(frame for _, frame in found) == list(range(8))
    assert all(found["red", frame].present for frame in range(4))
    assert not any(found["red", frame].present for frame in range(4, 8))
