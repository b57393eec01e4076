"""What bfloat16 does to the masks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from backend.propagation.xmem_propagator import XMemPropagator
from support import golden

FRAMES = 7


def tracked(golden_dir: Path, network: XMem) -> Tensor:
    """Probabilities (frames, objects, rows, columns)."""
    propagator, encoder = XMemPropagator(network), FrameEncoder(network)
    found = []
    for frame in range(FRAMES):
        image, labels = golden.golden_weights(golden_dir).synth_frame(13, frame, 96, 160)
        given = {str(label): labels == label for label in (1, 2)} if frame == 0 else {}
        propagator.step(frame, encoder.encode(image), given, [] if given else ["1", "2"])
        if frame:
            found.append(torch.stack(list(propagator.probabilities.values())))
    return torch.stack(found)


@pytest.mark.slow
def test_half_precision_moves_few_pixels(golden_dir: Path) -> None:
    state = golden.golden_state(golden_dir, "xmem", 1)
    exact = tracked(golden_dir, load_xmem(state))
    half = tracked(golden_dir, load_xmem(state, dtype=torch.bfloat16))
    assert half.dtype == torch.float32
    assert (half - exact).abs().mean() <= 0.01
    assert ((half > 0.5) != (exact > 0.5)).float().mean() <= 0.02
    # Keys, affinities and aggregation are float32 all the same: every pixel's probabilities still sum to at most 1.
    assert half.sum(1).max() <= 1 + 1e-5
