from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.errors import PromptError
from backend.segmentation.segmenter import Encoding, Segmentation, Segmenter
from backend.tracking.initial import Recalled, initial_masks
from backend.tracks import BoolArray, Box, Point, Prompt
from support.clips import moving_boxes_scene
from support.fake_rooms import HEIGHT, WIDTH, FakeSegmenter, encoding_of

BOX: Box = (8.0, 6.0, 40.0, 30.0)


def frame() -> Encoding:
    return encoding_of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))


def box_mask(box: Box) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
    return mask


class Choice(FakeSegmenter):
    """Offers three masks with their predicted IoU, and a fourth where one mask is asked for."""

    def __init__(self, offers: list[tuple[Box, float]], single: tuple[Box, float]) -> None:
        super().__init__()
        self.offers, self.single = offers, single
        self.asked_for_several: list[bool] = []

    def segment(self, encoding, prompts, *, multimask=True) -> Segmentation:
        assert len(prompts) == 1
        self.asked_for_several.append(multimask)
        said = self.offers if multimask else [self.single]
        logits = torch.stack([torch.from_numpy(np.where(box_mask(box), 5.0, -5.0)) for box, _ in said])
        return Segmentation(logits[None].float(), torch.tensor([[quality for _, quality in said]]))


def chosen(offers: list[tuple[Box, float]], single: tuple[Box, float], prompt: Prompt) -> tuple[BoolArray, float]:
    return initial_masks(Choice(offers, single).as_segmenter, frame(), {"a": prompt})["a"]


WHOLE, PART, TINY, ALL = BOX, (8.0, 6.0, 24.0, 30.0), (10.0, 10.0, 13.0, 13.0), (0.0, 0.0, 64.0, 48.0)


def test_a_given_mask_is_taken_as_it_is() -> None:
    mask = np.random.default_rng(0).random((HEIGHT, WIDTH)) > 0.5
    segmenter = FakeSegmenter(blind=True)
    found, score = initial_masks(segmenter.as_segmenter, frame(), {"a": Prompt("a", 0, box=BOX, mask=mask)})["a"]
    assert found is mask
    assert score == 1.0


@pytest.mark.parametrize(
    ("recalled", "score", "expected"),
    [
        (WHOLE, 0.9, WHOLE),  # it fits the box, the segmenter's is a part
        (WHOLE, 0.4, PART),  # it fits, as scraps all over the box do
        (TINY, 1.0, PART),  # sure, but it does not fit
    ],
)
def test_what_memory_knows_of_a_box_counts_where_it_fits_and_is_sure(recalled, score, expected) -> None:
    segmenter = Choice([(PART, 0.9)] * 3, (PART, 0.9)).as_segmenter
    known = {"a": Recalled(box_mask(recalled), score)}
    found, confidence = initial_masks(segmenter, frame(), {"a": Prompt("a", 0, box=BOX)}, known)["a"]
    assert np.array_equal(found, box_mask(expected))
    assert confidence == pytest.approx(score if expected == recalled else 0.9)


def test_every_prompt_has_its_own() -> None:
    prompts = {"a": Prompt("a", 0, box=BOX), "b": Prompt("b", 0, points=(Point(50, 40),))}
    found = initial_masks(FakeSegmenter().as_segmenter, frame(), prompts)
    assert list(found) == ["a", "b"]
    assert np.array_equal(found["a"][0], box_mask(BOX))
    assert np.array_equal(found["b"][0], box_mask((46, 36, 54, 44)))
    assert found["a"][1] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("points", "expected"), [((Point(20, 20),), [True]), ((Point(20, 20), Point(24, 20)), [True, False])]
)
def test_a_single_mask_is_not_made_of_one_click(points: tuple[Point, ...], expected: list[bool]) -> None:
    segmenter = Choice([(WHOLE, 0.9), (PART, 0.5), (TINY, 0.5)], (PART, 0.5))
    initial_masks(segmenter.as_segmenter, frame(), {"a": Prompt("a", 0, points=points)})
    assert segmenter.asked_for_several == expected


@pytest.mark.parametrize(
    ("offers", "single", "expected"),
    [
        # The one that fills the box, although another is rated a little higher.
        ([(PART, 0.95), (WHOLE, 0.9), (TINY, 0.9)], (PART, 0.9), WHOLE),
        ([(PART, 0.9), (TINY, 0.9), (ALL, 0.95)], (WHOLE, 0.85), WHOLE),
    ],
)
def test_a_box_wants_what_fills_it(offers, single, expected) -> None:
    mask, _ = chosen(offers, single, Prompt("a", 0, box=BOX))
    assert np.array_equal(mask, box_mask(expected))


def test_a_click_wants_the_whole_and_not_the_background() -> None:
    mask, score = chosen(
        [(TINY, 0.93), (WHOLE, 0.9), (ALL, 0.95)], (TINY, 1.0), Prompt("a", 0, points=(Point(11, 11),))
    )
    assert np.array_equal(mask, box_mask(WHOLE))
    assert score == pytest.approx(0.9)


@pytest.mark.parametrize("road", [(0.0, 8.0, 64.0, 28.0), (12.0, 0.0, 36.0, 48.0)])
def test_a_click_does_not_want_what_reaches_from_side_to_side(road: Box) -> None:
    one_side = (8.0, 6.0, 24.0, 48.0)
    offers = [(PART, 0.9), (road, 0.9), (one_side, 0.85)]
    mask, _ = chosen(offers, (PART, 0.9), Prompt("a", 0, points=(Point(20, 10),)))
    assert np.array_equal(mask, box_mask(one_side))


def test_a_click_takes_a_part_where_the_whole_is_doubtful() -> None:
    mask, _ = chosen([(PART, 0.95), (WHOLE, 0.3), (ALL, 0.2)], (WHOLE, 1.0), Prompt("a", 0, points=(Point(11, 11),)))
    assert np.array_equal(mask, box_mask(PART))


def test_of_several_clicks_the_single_mask_is_heeded_too() -> None:
    points = (Point(11, 11), Point(60, 40, positive=False))
    mask, _ = chosen([(TINY, 0.5), (TINY, 0.5), (TINY, 0.5)], (WHOLE, 0.9), Prompt("a", 0, points=points))
    assert np.array_equal(mask, box_mask(WHOLE))


def test_confidence_stays_within_one() -> None:
    _, score = chosen([(WHOLE, 1.04)] * 3, (WHOLE, 1.04), Prompt("a", 0, box=BOX))
    assert score == 1.0


@pytest.mark.parametrize("prompt", [Prompt("it", 7, box=BOX), Prompt("it", 7, points=(Point(5, 5),))])
def test_where_nothing_is_the_prompt_is_refused(prompt: Prompt) -> None:
    with pytest.raises(PromptError, match=r"'it' on frame 7: nothing can be made out.*more closely"):
        initial_masks(FakeSegmenter(blind=True).as_segmenter, frame(), {"it": prompt})


def test_boxes_and_clicks_with_the_real_weights(mobile_sam: Segmenter) -> None:
    scene = moving_boxes_scene(1)
    encoding = mobile_sam.encode(scene.frames[0])
    red, blue = scene.boxes["red"][0], scene.boxes["blue"][0]
    assert red is not None
    assert blue is not None
    centre = Point((blue[0] + blue[2]) / 2, (blue[1] + blue[3]) / 2)
    prompts = {"red": Prompt("red", 0, box=red), "blue": Prompt("blue", 0, points=(centre,))}
    for name, (mask, score) in initial_masks(mobile_sam, encoding, prompts).items():
        truth = scene.masks[name][0]
        assert (mask & truth).sum() / (mask | truth).sum() > 0.85, name
        assert 0.5 < score <= 1
