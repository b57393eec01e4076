"""XMem's plain form is the released implementation, and the fast form is the plain one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.evaluation.xmem_reference import ReferenceState, ReferenceXMem, affinity_of, random_state, similarity
from backend.propagation.affinity import AnisotropicKeys, attend
from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder, XMemFrame
from backend.propagation.xmem_propagator import XMemPropagator
from support import golden

FRAMES = 8


@pytest.fixture(scope="module")
def state(golden_dir: Path) -> dict[str, Tensor]:
    return golden.golden_state(golden_dir, "xmem", 1)


@pytest.fixture(scope="module")
def network(state: dict[str, Tensor]) -> XMem:
    return load_xmem(state)


def video(golden_dir: Path, network: XMem, seed: int) -> Iterator[tuple[XMemFrame, np.ndarray]]:
    for frame in range(FRAMES):
        image, labels = golden.golden_weights(golden_dir).synth_frame(seed, frame, 96, 160)
        yield FrameEncoder(network).encode(image), labels


def plain(encoding: XMemFrame) -> Tensor:
    return encoding.features.image.contiguous()


@pytest.mark.golden
@pytest.mark.slow
def test_the_plain_form_is_the_released_one(golden_dir: Path, state: dict[str, Tensor], network: XMem) -> None:
    with np.load(golden_dir / "xmem_a.npz") as file:
        meta, expected = json.loads(str(file["meta"])), file["prob_u16"] / 65535
    assert (meta["height"], meta["width"]) == (96, 160)
    frames = video(golden_dir, network, meta["frame_seed"])
    encoding, labels = next(frames)
    masks = torch.from_numpy(labels == 1)[None].float()
    reference = ReferenceState.start(ReferenceXMem.of(state), plain(encoding), masks)
    for frame, (encoding, _) in enumerate(frames, start=1):
        reference, probabilities = reference.step(plain(encoding))
        difference = np.abs(probabilities.numpy() - expected[frame])
        assert difference.max() <= 1e-3
        assert difference.mean() <= 1e-5


@pytest.mark.slow
def test_the_fast_form_is_the_plain_one(golden_dir: Path, state: dict[str, Tensor], network: XMem) -> None:
    frames = video(golden_dir, network, 13)
    encoding, labels = next(frames)
    given = {str(label): labels == label for label in (1, 2, 3)}
    fast = XMemPropagator(network)
    fast.step(0, encoding, given, [])
    masks = torch.stack([torch.from_numpy(mask).float() for mask in given.values()])
    reference = ReferenceState.start(ReferenceXMem.of(state), plain(encoding), masks)
    for frame, (encoding, _) in enumerate(frames, start=1):
        fast.step(frame, encoding, {}, list(given))
        reference, probabilities = reference.step(plain(encoding))
        difference = torch.stack(list(fast.probabilities.values())) - probabilities[1:]
        assert difference.abs().max() <= 1e-3
        assert difference.abs().mean() <= 1e-5
    assert reference.remembered == 5


def test_the_affinities_of_both_forms() -> None:
    random = torch.Generator().manual_seed(0)
    key, query = torch.randn(180, 64, generator=random), torch.randn(60, 64, generator=random)
    shrinkage, selection = 1 + torch.rand(180, generator=random), torch.rand(60, 64, generator=random)
    dense = affinity_of(similarity(key.T[None], shrinkage[None, None], query.T[None], selection.T[None]))[0]
    memory = AnisotropicKeys.of(key, shrinkage, torch.empty_like(key))
    fast = attend(AnisotropicKeys.of(query, torch.ones(60), selection).queries(), memory.rows, 30)
    found = torch.zeros(60, 180).scatter_(1, fast.index, fast.weights)
    torch.testing.assert_close(found.T, dense, rtol=0, atol=1e-5)
    assert ((dense > 0).sum(0) == 30).all()


@torch.inference_mode()
def test_random_weights_are_of_the_right_shapes_and_lead_to_finite_numbers(state: dict[str, Tensor]) -> None:
    drawn = random_state(seed=3)
    assert {name: one.shape for name, one in drawn.items()} == {name: one.shape for name, one in state.items()}
    image = torch.randn(1, 3, 32, 48)
    network = load_xmem(drawn)
    features = network.encode(image)
    logits, _ = network.decode(features, torch.randn(2, 512, 2, 3), torch.zeros(2, 64, 2, 3), update=False)
    assert torch.isfinite(logits).all()
    assert logits.std() > 0
