from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.propagation.cues import LEAST, ask, coverage, cue_for, on_grid
from backend.propagation.propagator import Cue
from backend.segmentation.segmenter import Encoding, Segmentation, scaled_size
from support.encodings import noise_encoding


def encoding_for(size: tuple[int, int], grid: tuple[int, int] | None = None) -> Encoding:
    """The true geometry of a frame of ``size``, on its own grid or a larger one."""
    scaled = scaled_size(*size)
    rows, columns = grid or (-(-scaled[0] // 16), -(-scaled[1] // 16))
    return Encoding(torch.zeros(1, 1, rows, columns), None, None, size, scaled)


SIZES = [(120, 160), (160, 120), (333, 501), (64, 64), (540, 960), (7, 9)]


@pytest.mark.parametrize("size", SIZES)
def test_coverage_keeps_the_area(size: tuple[int, int]) -> None:
    height, width = size
    mask = np.zeros(size, bool)
    mask[height // 4 : height // 2 + 1, width // 3 : width // 2 + 1] = True
    encoding = encoding_for(size)
    found = coverage(mask, encoding)
    assert tuple(found.shape) == encoding.grid
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1 + 1e-5
    share = 16 * float(found.sum()) / (encoding.scaled[0] * encoding.scaled[1])
    assert share == pytest.approx(mask.mean(), rel=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_coverage_of_everything_ends_with_the_picture(size: tuple[int, int]) -> None:
    encoding = encoding_for(size)
    found = coverage(np.ones(size, bool), encoding)
    rows, columns = (n // 4 for n in encoding.scaled)
    assert found[:rows, :columns] == pytest.approx(1.0, abs=1e-4)
    assert 16 * float(found.sum()) == pytest.approx(encoding.scaled[0] * encoding.scaled[1], rel=1e-4)
    assert float(coverage(np.zeros(size, bool), encoding).abs().max()) == 0


def test_coverage_is_where_the_mask_is() -> None:
    mask = np.zeros((240, 320), bool)  # 3.2 pixels of the scaled frame a pixel, 1.25 pixels a cell
    mask[50:100, 200:250] = True
    found = coverage(mask, encoding_for(mask.shape))
    assert (found[41:79, 161:199] > 0.99).all()
    found[39:81, 159:201] = 0
    assert float(found.max()) < 0.01


@pytest.mark.parametrize("size", SIZES[:5])
def test_a_cue_is_in_pixels_of_the_frame(size: tuple[int, int]) -> None:
    height, width = size
    mask = np.zeros(size, bool)
    y0, y1, x0, x1 = height // 4, height // 2, width // 4, width // 4 * 3
    mask[y0:y1, x0:x1] = True
    encoding = encoding_for(size)
    cue = cue_for(coverage(mask, encoding), encoding)
    assert cue is not None
    cell = 4 * max(size) / 1024
    assert cue.box == pytest.approx((x0, y0, x1, y1), abs=cell)
    (point,) = cue.points
    assert point.positive
    # Furthest inside: half the lesser side from the nearest edge.
    depth = min(point.x - x0, x1 - point.x, point.y - y0, y1 - point.y)
    assert depth >= min(y1 - y0, x1 - x0) / 2 - 2 * cell
    assert cue.logits is not None
    assert tuple(cue.logits.shape) == encoding.grid


def test_the_point_keeps_off_the_frame_s_edge_too() -> None:
    """What lies beyond the picture is not inside."""
    probability = torch.zeros(192, 256)
    probability[:, :20] = 1  # of a cell of 0.625 pixels
    cue = cue_for(probability, encoding_for((120, 160)))
    assert cue is not None
    assert cue.points[0].x == pytest.approx(10 * 0.625, abs=1)


def test_the_point_is_where_it_is_certain() -> None:
    probability = torch.zeros(192, 256)
    probability[10:50, 10:50] = 0.55
    probability[100:130, 100:130] = 1.0
    cue = cue_for(probability, encoding_for((120, 160)))
    assert cue is not None
    assert cue.points[0].x == pytest.approx(115 * 4 * 160 / 1024, abs=2)
    assert cue.points[0].y == pytest.approx(115 * 4 * 160 / 1024, abs=2)


def test_logits_tell_in_from_out_and_are_bounded() -> None:
    probability = torch.full((192, 256), 0.5)
    probability[:50], probability[100:] = 1.0, 0.0
    cue = cue_for(probability, encoding_for((120, 160)))
    assert cue is not None
    assert cue.logits is not None
    assert bool(cue.logits.isfinite().all())
    assert (cue.logits[:50] > 1).all()
    assert cue.logits[50:100] == pytest.approx(0.0)
    assert (cue.logits[100:] < -1).all()


@pytest.mark.parametrize(("cells", "enough"), [(0, False), (LEAST - 1, False), (LEAST, True)])
def test_too_little_gives_no_cue(cells: int, enough: bool) -> None:
    probability = torch.full((192, 256), 0.4)
    probability[50, 60 : 60 + cells] = 0.9
    assert (cue_for(probability, encoding_for((120, 160))) is not None) == enough


def test_extending_to_a_padded_grid() -> None:
    encoding = noise_encoding(scaled=(90, 128), grid=(8, 10))
    values = torch.rand(24, 32)
    padded = on_grid(values, encoding, -3.0)
    assert tuple(padded.shape) == encoding.grid == (32, 40)
    assert torch.equal(padded[:24, :32], values)
    assert bool((padded[24:] == -3).all())
    assert bool((padded[:, 32:] == -3).all())
    assert on_grid(values, noise_encoding(scaled=(90, 128)), 0.0) is not None


class Teller:
    """Answers every cue with the masks it was told to, and notes the cues."""

    def __init__(self, *masks: Tensor, iou: Sequence[float]) -> None:
        self.masks, self.iou = torch.stack(masks), torch.tensor(iou)
        self.cues: list[Cue] = []

    def segment(self, encoding: Encoding, prompts: Sequence[Cue], *, multimask: bool = True) -> Segmentation:
        assert multimask
        self.cues = list(prompts)
        return Segmentation(self.masks[None].repeat(len(prompts), 1, 1, 1), self.iou[None].repeat(len(prompts), 1))

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        raise NotImplementedError


def square(first: int, last: int, grid: tuple[int, int] = (192, 256)) -> Tensor:
    values = torch.full(grid, -9.0)
    values[first:last, first:last] = 9.0
    return values


def test_the_mask_that_agrees_is_taken() -> None:
    decoder = Teller(square(50, 55), square(50, 90), square(40, 160), iou=[0.9, 0.8, 0.95])
    (answer,) = ask(decoder, encoding_for((120, 160)), [torch.sigmoid(square(50, 88))])
    assert answer is not None
    assert answer.agreement == pytest.approx(38**2 / 40**2)
    torch.testing.assert_close(answer.probability, torch.sigmoid(square(50, 90)))


def test_only_what_shows_enough_is_asked_and_answers_keep_their_places() -> None:
    decoder = Teller(square(50, 90), iou=[0.9])
    nothing = torch.zeros(192, 256)
    seen, other = torch.sigmoid(square(50, 90)), torch.sigmoid(square(50, 70))
    answers = ask(decoder, encoding_for((120, 160)), [nothing, seen, nothing, other])
    assert [answer is None for answer in answers] == [True, False, True, False]
    assert [answer.agreement for answer in answers if answer] == [1.0, pytest.approx(0.25)]
    assert len(decoder.cues) == 2


def test_nobody_is_asked_for_nothing() -> None:
    decoder = Teller(square(50, 90), iou=[0.9])
    assert ask(decoder, encoding_for((120, 160)), [torch.zeros(192, 256)]) == [None]
    assert ask(decoder, encoding_for((120, 160)), []) == []
    assert decoder.cues == []


def test_answers_are_on_the_readout_s_grid() -> None:
    encoding = encoding_for((120, 160), grid=(64, 64))
    decoder = Teller(square(50, 90, (256, 256)), iou=[0.9])
    (answer,) = ask(decoder, replace(encoding), [torch.sigmoid(square(50, 90))])
    assert answer is not None
    assert tuple(answer.probability.shape) == (192, 256)
    assert decoder.cues[0].logits is not None
    assert tuple(decoder.cues[0].logits.shape) == (256, 256)
