"""Claims of others, on noise that stays the same: each object is found where it was given, and there alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.propagation.contest import contest
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.propagation.xmem import load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from backend.propagation.xmem_propagator import XMemPropagator
from backend.tracks import BoolArray, FloatArray
from support import golden
from support.encodings import Echo, noise_encoding

SIZE = (96, 128)


def rectangle(x0: int, x1: int) -> BoolArray:
    mask = np.zeros(SIZE, bool)
    mask[16:64, x0:x1] = True
    return mask


def claims(x0: int, x1: int, probability: float) -> FloatArray:
    return rectangle(x0, x1) * np.float32(probability)


@pytest.mark.parametrize(
    ("probability", "claimed", "left"),
    [(0.8, 0.0, 0.8), (0.8, 1.0, 0.0), (0.5, 0.5, 1 / 3), (0.8, 0.8, 4 / 9), (1.0, 0.9, 1.0), (0.0, 0.9, 0.0)],
)
def test_odds_decide(probability: float, claimed: float, left: float) -> None:
    found = contest(torch.tensor([probability]), torch.tensor([claimed]))
    assert found.item() == pytest.approx(left, abs=1e-5)


def test_both_as_sure_as_can_be_leaves_a_number() -> None:
    assert bool(contest(torch.ones(1), torch.ones(1)).isfinite().all())


def sam_tokens() -> SamTokenPropagator:
    propagator = SamTokenPropagator(Echo(), torch.float32)
    propagator.step(0, noise_encoding(scaled=SIZE, size=SIZE), {"a": rectangle(16, 80)}, ())
    return propagator


def overlap(one: BoolArray | None, other: BoolArray) -> float:
    assert one is not None
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    ("probability", "left"),
    [(1.0, rectangle(16, 48)), (0.5, rectangle(16, 80)), (0.0, rectangle(16, 80))],
    ids=["surely", "less surely", "not at all"],
)
def test_tokens_are_left_to_who_claims_them_more_surely(probability: float, left: BoolArray) -> None:
    """On a frame that looks just like the given one memory is sure."""
    encoding = noise_encoding(scaled=SIZE, size=SIZE)
    propagator = sam_tokens()
    found = propagator.step(1, encoding, {}, ["a"], claims(48, 80, probability))
    assert overlap(found["a"].mask, left) > 0.85
    # Nor is it learnt as the object's what others hold.
    remembered = next(one.values["a"] for one in propagator._bank.read(2) if not one.permanent)
    assert float(remembered[..., 0].sum()) == pytest.approx(left.sum() / 16, rel=0.25)


def test_claims_beside_the_object_change_nothing() -> None:
    encoding = noise_encoding(scaled=SIZE, size=SIZE)
    free, claimed = sam_tokens(), sam_tokens()
    free.step(1, encoding, {}, ["a"])
    claimed.step(1, encoding, {}, ["a"], np.zeros(SIZE, np.float32))
    torch.testing.assert_close(free.probabilities["a"], claimed.probabilities["a"])


def test_xmem_leaves_what_others_claim(golden_dir: Path) -> None:
    network = load_xmem(golden.golden_state(golden_dir, "xmem", 1))
    image = np.random.default_rng(3).integers(0, 255, (*SIZE, 3), np.uint8)
    frame = FrameEncoder(network).encode(image)
    whole = np.ones(SIZE, np.float32)
    found = {}
    for name, claimed in (("free", None), ("nothing", 0 * whole), ("half", claims(0, 64, 0.95)), ("all", whole)):
        propagator = XMemPropagator(network)
        propagator.step(0, frame, {"a": rectangle(16, 80)}, ())
        (one,) = propagator.step(1, frame, {}, ["a"], claimed).values()
        found[name] = propagator.probabilities["a"]
        assert (one.mask is None) == (not bool((found[name] > 0.5).any()))
    torch.testing.assert_close(found["free"], found["nothing"])
    assert bool((found["all"] < 0.01).all())
    inside = torch.from_numpy(rectangle(0, 64))
    torch.testing.assert_close(found["half"][~inside], found["free"][~inside])
    assert bool((found["half"][inside] <= found["free"][inside]).all())
    assert float(found["half"][inside].sum()) < 0.5 * float(found["free"][inside].sum())
