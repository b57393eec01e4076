from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from backend.errors import DatasetError, PromptError
from backend.evaluation.association import Classes
from backend.evaluation.mot import Run, keyframe_prompts, track_detections, track_keyframes
from backend.evaluation.motchallenge import TrackedBox, TruthBox
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation
from backend.tracking.lives import Rules
from backend.tracking.tracker import VideoTracker
from backend.tracks import Box, Detection, Prompt
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo

LEFT: Box = (4.0, 4.0, 16.0, 14.0)
RIGHT: Box = (40.0, 30.0, 56.0, 42.0)
TINY: Box = (20.0, 20.0, 22.0, 22.0)
SIZE = (WIDTH, HEIGHT)
ALL = Classes()
FRAMES = 10


class BlindToTinyThings(FakeSegmenter):
    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        self.blind = all(prompt.box is not None and prompt.box[2] - prompt.box[0] < 3 for prompt in prompts)
        return super().segment(encoding, prompts, multimask=multimask)


@pytest.fixture
def video() -> FakeVideo:
    return FakeVideo(FRAMES)


@pytest.fixture
def tracker() -> VideoTracker:
    return VideoTracker(BlindToTinyThings().as_segmenter, FakePropagator, EncodingCache(10**6))


def rows(name: int, frames: Sequence[int], box: Box = LEFT, **more) -> list[TruthBox]:
    return [TruthBox(frame, name, box, **more) for frame in frames]


def marks(prompts: list[Prompt]) -> list[tuple[str, int]]:
    return [(prompt.object_id, prompt.frame) for prompt in prompts]


# --- which boxes are given ----------------------------------------------------------------------


def test_each_object_is_marked_where_it_is_seen_first() -> None:
    truth = rows(3, [6, 4, 5], RIGHT) + rows(1, [0, 1, 2])
    prompts = keyframe_prompts(truth, ALL, SIZE)
    assert marks(prompts) == [("1", 0), ("3", 4)]
    assert [prompt.box for prompt in prompts] == [LEFT, RIGHT]


def test_every_so_many_frames_that_show_it() -> None:
    truth = rows(1, [0, 1, 2, 10, 11, 12, 13]) + rows(2, [5])
    assert marks(keyframe_prompts(truth, ALL, SIZE, every=3)) == [("1", 0), ("1", 10), ("1", 13), ("2", 5)]
    assert len(keyframe_prompts(truth, ALL, SIZE, every=1)) == 8


def test_hidden_objects_are_not_marked() -> None:
    truth = rows(1, [0, 1], visibility=0.0) + rows(1, [2], visibility=0.1)
    assert marks(keyframe_prompts(truth, ALL, SIZE)) == [("1", 2)]


def test_boxes_are_cut_at_the_border_and_none_lies_outside() -> None:
    truth = rows(1, [0], (-20.0, 5.0, 0.5, 15.0)) + rows(1, [1], (-9.0, 5.0, 9.0, HEIGHT + 10.0))
    (prompt,) = keyframe_prompts(truth, ALL, SIZE)
    assert (prompt.frame, prompt.box) == (1, (0, 5, 9, HEIGHT))


def test_what_does_not_count_is_not_marked() -> None:
    truth = rows(1, [0], counts=False) + rows(2, [0], kind=3) + rows(3, [0], kind=1)
    assert marks(keyframe_prompts(truth, ALL, SIZE)) == [("2", 0), ("3", 0)]
    assert marks(keyframe_prompts(truth, Classes.of("MOT17-02"), SIZE)) == [("3", 0)]
    with pytest.raises(DatasetError, match="nothing to mark"):
        keyframe_prompts(truth[:1], ALL, SIZE)


# --- tracking -----------------------------------------------------------------------------------


def advanced(run: Run | None, count: list[None]) -> Run:
    """The run; each frame was told of once."""
    assert len(count) == FRAMES
    assert run is not None
    return run


def test_marked_objects_are_tracked_to_the_end(video: FakeVideo, tracker: VideoTracker) -> None:
    count: list[None] = []
    prompts = [Prompt("1", 3, LEFT), Prompt("5", 6, RIGHT), Prompt("5", 8, RIGHT)]
    run = advanced(track_keyframes(video, tracker, prompts, advance=lambda: count.append(None)), count)
    assert {name: sorted(track.observations) for name, track in run.tracks.items()} == {
        "1": list(range(3, FRAMES)),
        "5": list(range(6, FRAMES)),
    }
    assert run.given == 3
    assert run.seconds > 0
    assert TrackedBox(9, 5, RIGHT, 0.8) in run.boxes
    assert len(run.boxes) == 7 + 4


def test_absent_objects_have_no_box(video: FakeVideo) -> None:
    tracker = VideoTracker(FakeSegmenter().as_segmenter, lambda: FakePropagator({"1": [7, 8]}), EncodingCache(10**6))
    run = track_keyframes(video, tracker, [Prompt("1", 5, LEFT)])
    assert run is not None
    assert [box.frame for box in sorted(run.boxes, key=lambda box: box.frame)] == [5, 6, 9]


def test_a_mark_where_nothing_can_be_made_out_is_left_out(
    video: FakeVideo, tracker: VideoTracker, caplog: pytest.LogCaptureFixture
) -> None:
    count: list[None] = []
    prompts = [Prompt("1", 0, LEFT), Prompt("2", 4, TINY), Prompt("2", 6, RIGHT)]
    with caplog.at_level(logging.WARNING):
        run = advanced(track_keyframes(video, tracker, prompts, advance=lambda: count.append(None)), count)
    assert {name: min(track.observations) for name, track in run.tracks.items()} == {"1": 0, "2": 6}
    assert run.given == 2
    assert "object '2' on frame 4: nothing can be made out" in caplog.text


def test_nothing_to_be_made_out_at_all_is_an_error(video: FakeVideo, tracker: VideoTracker) -> None:
    with pytest.raises(PromptError, match="nothing can be made out"):
        track_keyframes(video, tracker, [Prompt("2", 4, TINY)])


def test_detections_are_tracked(video: FakeVideo, tracker: VideoTracker) -> None:
    count: list[None] = []
    detections = {frame: [Detection(LEFT, 0.9)] for frame in range(FRAMES)}
    run = track_detections(video, tracker, detections, Rules(), advance=lambda: count.append(None))
    run = advanced(run, count)
    assert sorted(box.frame for box in run.boxes) == list(range(FRAMES))
    assert {(box.id, box.box) for box in run.boxes} == {(1, LEFT)}
    assert run.given == FRAMES


def test_detections_of_every_so_many_th_frame(video: FakeVideo, tracker: VideoTracker) -> None:
    """What lies between is not used, nor what lies beyond the video; a frame without any shows nothing."""
    detections = {frame: [Detection(LEFT, 0.9)] for frame in (0, 3, 20)} | {
        frame: [Detection(RIGHT, 0.9)] for frame in (1, 2, 4, 5, 7, 8)
    }
    run = track_detections(video, tracker, detections, Rules(), every=3)
    assert run is not None
    assert {box.box for box in run.boxes} == {LEFT}
    assert sorted(box.frame for box in run.boxes) == list(range(6))  # it was missed on 6, and not seen again
    assert run.given == 2


@pytest.mark.parametrize("given", ["keyframes", "detections"])
@pytest.mark.parametrize(("after", "kept"), [(4, False), (FRAMES, True)])
def test_cancelled(video: FakeVideo, tracker: VideoTracker, given: str, after: int, kept: bool) -> None:
    """What was done by then is kept where it is all."""
    count: list[None] = []

    def cancelled() -> bool:
        return len(count) >= after

    if given == "keyframes":
        prompts = [Prompt("1", 0, LEFT), Prompt("1", 5, LEFT)]
        run = track_keyframes(video, tracker, prompts, cancelled=cancelled, advance=lambda: count.append(None))
    else:
        detections = {frame: [Detection(LEFT, 0.9)] for frame in range(FRAMES)}
        run = track_detections(
            video, tracker, detections, Rules(), cancelled=cancelled, advance=lambda: count.append(None)
        )
    assert (run is not None) == kept
    assert len(count) == after
