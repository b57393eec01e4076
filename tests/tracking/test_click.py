from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import FrameOutOfRange, PromptError, VideoError
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Segmentation, Segmenter
from backend.tracking.plan import goes_on
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, Box, Mask, Point, Prompt, mask_iou
from backend.video.reader import VideoReader
from support.clips import make_clip, moving_boxes_scene
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeSegmenter, FakeVideo

INSIDE, BESIDE = Point(20, 20), Point(50, 40, positive=False)


class Refining(FakeSegmenter):
    """Fills ``refined`` where it is given logits, and says so."""

    refined: Box = (8.0, 6.0, 30.0, 30.0)

    def segment(self, encoding: Encoding, prompts, *, multimask=True) -> Segmentation:
        found = super().segment(encoding, prompts, multimask=multimask)
        if prompts[0].logits is None:
            return found
        assert not multimask
        x0, y0, x1, y1 = (int(side) for side in self.refined)
        logits = torch.full((1, 1, HEIGHT, WIDTH), -5.0)
        logits[:, :, y0:y1, x0:x1] = 5.0
        return Segmentation(logits, torch.full((1, 1), 1.4))


class Desk:
    def __init__(self) -> None:
        self.video = FakeVideo(5)
        self.segmenter = Refining()
        self.cache = EncodingCache(10**6)
        self.tracker = VideoTracker(self.segmenter.as_segmenter, FakePropagator, self.cache)

    def click(self, *points: Point, box: Box | None = None, frame: int = 2, logits: torch.Tensor | None = None):
        return self.tracker.click(self.video.as_reader, Prompt("a", frame, box, points), logits)


def filled(box: Box) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    return mask


def test_a_click_is_answered_with_a_mask_and_what_the_next_one_goes_on_from() -> None:
    desk = Desk()
    answer = desk.click(INSIDE)
    assert np.array_equal(answer.mask, filled((16, 16, 24, 24)))
    assert answer.score == pytest.approx(0.9)
    desk.click(INSIDE, BESIDE, logits=answer.logits)
    assert desk.segmenter.asked[-1].logits is answer.logits
    assert desk.segmenter.asked[-1].points == (INSIDE, BESIDE)


def test_a_further_click_refines() -> None:
    desk = Desk()
    answer = desk.click(INSIDE, BESIDE, logits=desk.click(INSIDE).logits)
    assert np.array_equal(answer.mask, filled(Refining.refined))
    assert answer.score == 1.0


@pytest.mark.parametrize("refined", [(8.0, 6.0, 15.0, 15.0), (8.0, 6.0, 60.0, 45.0), (0.0, 0.0, 0.0, 0.0)])
def test_a_refinement_that_ignores_a_click_does_not_count(refined: Box) -> None:
    desk = Desk()
    desk.segmenter.refined = refined
    answer = desk.click(INSIDE, BESIDE, logits=desk.click(INSIDE).logits)
    assert np.array_equal(answer.mask, filled((16, 16, 24, 24)))


def test_a_frame_is_decoded_and_encoded_once() -> None:
    desk = Desk()
    assert not desk.tracker.prepared(desk.video.as_reader, 2)
    desk.tracker.prepare(desk.video.as_reader, 2)
    assert desk.tracker.prepared(desk.video.as_reader, 2)
    desk.click(INSIDE)
    desk.click(INSIDE, BESIDE)
    assert (desk.video.asked, desk.segmenter.encoded) == ([2], [2])


def test_what_is_forgotten_is_encoded_again(tmp_path: Path) -> None:
    desk = Desk()
    other = FakeVideo(5, path=tmp_path)
    for video in (desk.video, other):
        desk.tracker.prepare(video.as_reader, 2)
    held = desk.cache.nbytes
    desk.tracker.forget(desk.video.identity())
    assert not desk.tracker.prepared(desk.video.as_reader, 2)
    assert desk.tracker.prepared(other.as_reader, 2)
    assert desk.cache.nbytes == held / 2


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        (Prompt("a", 5, points=(INSIDE,)), FrameOutOfRange),
        (Prompt("a", 2, points=(BESIDE,)), PromptError),
        (Prompt("a", 2, points=(Point(100, 4),)), PromptError),
        (Prompt("a", 2, box=(70.0, 4.0, 80.0, 14.0)), PromptError),
    ],
)
def test_what_cannot_be_answered_is_refused_before_anything_is_encoded(prompt: Prompt, error: type[Exception]) -> None:
    desk = Desk()
    with pytest.raises(error):
        desk.tracker.click(desk.video.as_reader, prompt)
    assert desk.segmenter.encoded == []


def test_a_frame_that_cannot_be_decoded_is_told() -> None:
    desk = Desk()
    desk.video.fails_at[2] = VideoError("broken")
    with pytest.raises(VideoError, match="broken"):
        desk.click(INSIDE)


@pytest.mark.parametrize(
    ("earlier", "now", "expected"),
    [
        (Prompt("a", 2, points=(INSIDE,)), Prompt("a", 2, points=(INSIDE, BESIDE)), True),
        (Prompt("a", 2, points=(INSIDE,)), Prompt("a", 2, points=(INSIDE,)), True),
        (Prompt("a", 2, (1, 1, 9, 9)), Prompt("a", 2, (1, 1, 9, 9), (INSIDE,)), True),
        (Prompt("a", 2, points=(INSIDE, BESIDE)), Prompt("a", 2, points=(INSIDE,)), False),
        (Prompt("a", 2, points=(INSIDE,)), Prompt("a", 3, points=(INSIDE, BESIDE)), False),
        (Prompt("a", 2, (1, 1, 9, 9)), Prompt("a", 2, (1, 1, 8, 9)), False),
    ],
)
def test_what_goes_on_from_what(earlier: Prompt, now: Prompt, expected: bool) -> None:
    assert goes_on(now, earlier) is expected


def test_what_is_there_already_is_mended() -> None:
    desk = Desk()
    there = filled((8, 6, 30, 30))
    prompt = Prompt("a", 2, (8.0, 6.0, 30.0, 30.0), (BESIDE,), there)
    answer = desk.tracker.click(desk.video.as_reader, prompt)
    assert np.array_equal(answer.mask, filled(Refining.refined))
    logits = desk.segmenter.asked[-1].logits
    assert logits is not None
    assert (logits > 0).any() and (logits < 0).any()


def test_clicks_with_the_real_model(tmp_path: Path, mobile_sam: Segmenter) -> None:
    scene = moving_boxes_scene(3)
    tracker = VideoTracker(mobile_sam, FakePropagator, EncodingCache(10**9))
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames, fps=10)) as video:
        x0, y0, x1, y1 = scene.boxes["red"][1]
        first = Prompt("a", 1, points=(Point((x0 + x1) / 2, (y0 + y1) / 2),))
        one = tracker.click(video, first)
        truth = scene.masks["red"][1]
        assert mask_iou(Mask.from_array(one.mask), Mask.from_array(truth)) > 0.7
        second = Prompt("a", 1, points=(*first.points, Point(2, 2, positive=False)))
        two = tracker.click(video, second, one.logits)
    assert mask_iou(Mask.from_array(two.mask), Mask.from_array(truth)) > 0.7
    assert two.mask.shape == truth.shape


def test_a_click_takes_a_part_from_what_was_there_with_the_real_model(tmp_path: Path, mobile_sam: Segmenter) -> None:
    scene = moving_boxes_scene(3)
    tracker = VideoTracker(mobile_sam, FakePropagator, EncodingCache(10**9))
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames, fps=10)) as video:
        red, blue = (scene.masks[name][1] for name in ("red", "blue"))
        both = Mask.from_array(red | blue)
        x0, y0, x1, y1 = scene.boxes["blue"][1]
        off = Point((x0 + x1) / 2, (y0 + y1) / 2, positive=False)
        answer = tracker.click(video, Prompt("a", 1, both.box, (off,), both.array()))
    assert mask_iou(Mask.from_array(answer.mask), Mask.from_array(red)) > 0.7
