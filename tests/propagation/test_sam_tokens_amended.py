"""On noise that stays the same from frame to frame: what is remembered of it is all that changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.segmenter import Encoding
from backend.tracks import BoolArray
from support.encodings import Echo, noise_encoding

SIZE = (96, 128)


@pytest.fixture(scope="module")
def encoding() -> Encoding:
    return noise_encoding(scaled=SIZE, size=SIZE)


def rectangle(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    mask = np.zeros(SIZE, bool)
    mask[y0:y1, x0:x1] = True
    return mask


LEFT, MORE, RIGHT = rectangle(16, 16, 48, 64), rectangle(16, 16, 80, 64), rectangle(96, 16, 120, 64)
NEW = MORE & ~LEFT


def propagator_at(encoding: Encoding, frame: int, *, agrees: bool = True) -> SamTokenPropagator:
    propagator = SamTokenPropagator(Echo(agrees=agrees), torch.float32)
    propagator.step(0, encoding, {"a": LEFT, "b": RIGHT}, ())
    for one in range(1, frame + 1):
        propagator.step(one, encoding, {}, ["a", "b"])
    return propagator


def remembered(propagator: SamTokenPropagator) -> list[tuple[int, list[str]]]:
    return [(one.frame, sorted(one.values)) for one in propagator._bank.read(0) if not one.permanent]


def test_probabilities_cover_the_frame_without_its_padding() -> None:
    padded = noise_encoding(scaled=(90, 128), size=(45, 64), grid=(8, 8))
    propagator = SamTokenPropagator(Echo(), torch.float32)
    assert propagator.probabilities == {}
    mask = np.zeros((45, 64), bool)
    mask[10:30, 10:40] = True
    propagator.step(0, padded, {"a": mask}, ())
    propagator.step(1, padded, {}, ["a"])
    (probability,) = propagator.probabilities.values()
    assert tuple(probability.shape) == (90, 128)
    assert ((probability > 0.5).numpy()[1::2, 1::2] == mask).mean() > 0.99


def test_an_amended_mask_is_read_on_the_next_frame(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 1)
    plain = propagator.branch()
    propagator.amend(1, encoding, {"a": MORE})
    assert ((propagator.probabilities["a"] > 0.5).numpy() == MORE).mean() > 0.99
    for one in (propagator, plain):
        one.step(2, encoding, {}, ["a", "b"])
    assert float(propagator.probabilities["a"][torch.from_numpy(NEW)].mean()) > 0.3
    assert float(plain.probabilities["a"][torch.from_numpy(NEW)].mean()) < 0.1
    # The other object is what it was.
    assert float((propagator.probabilities["b"] - plain.probabilities["b"]).abs().max()) < 0.05


def test_it_takes_the_place_of_what_was_remembered(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 2)
    assert remembered(propagator) == [(1, ["a", "b"]), (2, ["a", "b"])]
    propagator.amend(2, encoding, {"a": MORE})
    assert remembered(propagator) == [(1, ["a", "b"]), (2, ["a", "b"])]


def test_a_frame_that_was_not_to_be_learnt_from_is_remembered_once_amended(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 1, agrees=False)
    assert remembered(propagator) == []
    propagator.amend(1, encoding, {"a": MORE})
    assert remembered(propagator) == [(1, ["a"])]


def test_it_is_not_remembered_for_good(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 1)
    propagator.amend(1, encoding, {"a": MORE})
    fork = propagator.fork()
    assert remembered(fork) == []
    assert [(one.frame, one.permanent) for one in fork._bank.read(0)] == [(0, True)]


def test_quality_tells_a_certain_mask(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 1)
    found = propagator.step(2, encoding, {}, ["a", "b"])
    for one in found.values():
        assert one.quality is not None
        assert one.quality.score > 0.8
        assert one.quality.continuity is not None
        assert one.quality.continuity > 0.9


def test_what_was_not_found_cannot_be_amended(encoding: Encoding) -> None:
    propagator = propagator_at(encoding, 0)
    with pytest.raises(KeyError, match="a"):
        propagator.amend(0, encoding, {"a": MORE})
    propagator.step(1, encoding, {}, ["a"])
    with pytest.raises(KeyError, match="b"):
        propagator.amend(1, encoding, {"b": RIGHT})
