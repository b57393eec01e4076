"""MASA as an embedder: boxes in pixels of the frame, and precision."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.association.embedder import Embedder
from backend.association.masa import Masa
from backend.association.masa_embedder import MasaEmbedder, MasaEncoder, MasaFrame, scaled_size
from support import golden
from support.masa import masa_r50

SIDE = 96
BOXES = torch.tensor([[4, 6, 60, 50], [30, 10, 44.5, 80], [0, 0, 120, 90]], dtype=torch.float32)


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> Masa:
    return masa_r50(golden_dir)


@pytest.fixture(scope="module")
def image(golden_dir: Path) -> np.ndarray:
    made: np.ndarray = golden.golden_weights(golden_dir).synth_frame(3, 0, 90, 120)[0]
    return made


@pytest.fixture(scope="module")
def encoded(network: Masa, image: np.ndarray) -> MasaFrame:
    return MasaEncoder(network, SIDE).encode(image)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    return torch.cosine_similarity(one.double(), other.double())


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        *((720, 1280, (576, 1024)), (1080, 1920, (576, 1024)), (120, 200, (614, 1024)), (479, 853, (575, 1024))),
        *((1024, 1024, (1024, 1024)), (500, 3, (1024, 6)), (1, 5000, (1, 1024))),
    ],
)
def test_the_long_side_is_scaled(height: int, width: int, expected: tuple[int, int]) -> None:
    assert scaled_size(height, width) == expected


def test_each_box_by_itself(network: Masa, encoded: MasaFrame) -> None:
    embedder: Embedder = MasaEmbedder(network)
    together = embedder.embed(encoded, BOXES, [None, np.ones((90, 120), dtype=bool), None])
    assert together.shape == (3, embedder.dimensions)
    assert together.dtype == torch.float32
    for number in range(3):
        alone = embedder.embed(encoded, BOXES[number : number + 1])
        torch.testing.assert_close(alone[0], together[number], rtol=0, atol=1e-4)
    assert cosine(together[:1], together[1:]).max() < 0.99


def test_no_boxes(network: Masa, encoded: MasaFrame) -> None:
    assert MasaEmbedder(network).embed(encoded, torch.empty(0, 4)).shape == (0, 256)


def test_boxes_of_any_type(network: Masa, encoded: MasaFrame) -> None:
    embedder = MasaEmbedder(network)
    whole = BOXES.round()
    assert torch.equal(embedder.embed(encoded, whole.double()), embedder.embed(encoded, whole.int()))


def test_boxes_are_pixels_of_the_frame(network: Masa, image: np.ndarray, encoded: MasaFrame) -> None:
    """A frame twice as large shows the same."""
    large = MasaEncoder(network, SIDE).encode(image.repeat(2, 0).repeat(2, 1))
    assert large.size == (180, 240)
    assert large.scaled == encoded.scaled == (72, 96)
    embedder = MasaEmbedder(network)
    once, twice = embedder.embed(encoded, BOXES), embedder.embed(large, 2 * BOXES)
    assert cosine(once, twice).min() > 0.95
    assert cosine(once, embedder.embed(large, BOXES)).min() < 0.9


def test_in_half_precision(network: Masa, image: np.ndarray) -> None:
    small = image[:48, :48]
    boxes = torch.tensor([[4.0, 4.0, 40.0, 30.0]])
    fast = copy.deepcopy(network).to(torch.bfloat16)
    found, exact = (MasaEmbedder(one).embed(MasaEncoder(one, 32).encode(small), boxes) for one in (fast, network))
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact)
    assert cosine(found, exact).min() > 0.98
