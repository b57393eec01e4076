"""Whole videos, frame by frame, against XMem's released implementation."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.propagation.affinity import AnisotropicKeys
from backend.propagation.memory import Remembered
from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from backend.propagation.xmem_propagator import XMemPropagator, XMemRules
from support import golden

pytestmark = [pytest.mark.golden, pytest.mark.slow]

SCENARIOS = ["a", "a_odd", "b", "c"]
TOKENS = 60  # of a frame
Records = list[Remembered[AnisotropicKeys]]


@dataclass
class Run:
    """What the reference says of a scenario, and what the propagator made of it."""

    arrays: dict[str, np.ndarray]
    meta: dict[str, Any]
    propagator: XMemPropagator
    probabilities: np.ndarray
    masks: np.ndarray
    sizes: list[tuple[int, int]]
    hidden: Tensor

    @property
    def records(self) -> Records:
        return list(self.propagator._bank.read(len(self.sizes)))

    @property
    def working(self) -> Records:
        """Propagated frames; prototypes come in other numbers."""
        return [one for one in self.records if not one.permanent and len(one.keys) == TOKENS]

    @property
    def long_term(self) -> Records:
        return [one for one in self.records if not one.permanent and len(one.keys) != TOKENS]


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> XMem:
    return load_xmem(golden.golden_state(golden_dir, "xmem", 1))


@pytest.fixture(scope="module", params=SCENARIOS)
def run(request: pytest.FixtureRequest, golden_dir: Path, network: XMem) -> Run:
    arrays, meta = golden.load(golden_dir, f"xmem_{request.param}")
    assert meta["weight_seed"] == 1
    config = meta["config"]
    rules = XMemRules(
        every=config["mem_every"],
        top=config["top_k"],
        most=config["max_mid_term_frames"] - 1,
        least=config["min_mid_term_frames"] - 1,
        prototypes=config["num_prototypes"],
        limit=config["max_long_term_elements"],
    )
    propagator, encoder = XMemPropagator(network, rules), FrameEncoder(network)
    frames = meta["frames"]
    probabilities = np.zeros(arrays["prob_u16"].shape, np.float32)
    masks = np.zeros((frames, *probabilities.shape[2:]), np.uint8)
    sizes = []
    hidden = torch.empty(0)
    for frame in range(frames):
        image, labels = golden.golden_weights(golden_dir).synth_frame(
            meta["frame_seed"], frame, meta["height"], meta["width"]
        )
        assert zlib.crc32(labels.tobytes(), zlib.crc32(image.tobytes())) == arrays["frame_crc32"][frame]
        if request.param == "a_odd":
            labels = (labels == 2).astype(np.uint8)
        prompt = meta["prompts"].get(str(frame), {"mask_labels": [], "all_labels": None, "valid_labels": []})
        given = {str(label): labels == label for label in prompt["mask_labels"]}
        every = prompt["all_labels"] or sorted(int(name) for name in propagator._objects)
        # Where every object is given, nothing is predicted.
        wanted = [] if len(given) == len(every) else [str(label) for label in every]
        found = propagator.step(frame, encoder.encode(image), given, wanted)
        for name, probability in propagator.probabilities.items():
            probabilities[frame, int(name)] = probability.numpy()
            if name in wanted and found[name].mask is not None:
                masks[frame][found[name].mask] = int(name)
        probabilities[frame, 0] = 1 - probabilities[frame, 1:].sum(0)
        counted = list(propagator._bank.read(frame))
        tokens = {one.frame: len(one.keys) for one in counted if len(one.keys) == TOKENS}
        sizes.append((sum(tokens.values()), sum(len(one.keys) for one in counted if len(one.keys) != TOKENS)))
        if frame < frames - 1 or not meta["end_flag_on_last_frame"]:
            followed = propagator._objects
            hidden = torch.stack([followed[name].hidden for name in sorted(followed)])
    return Run(arrays, meta, propagator, probabilities, masks, sizes, hidden)


def test_probabilities(run: Run) -> None:
    expected = run.arrays["prob_u16"].astype(np.float64) / 65535
    difference = np.abs(run.probabilities - expected)
    assert difference.max() <= 1e-3
    assert difference.mean() <= 1e-5
    last = np.abs(run.probabilities[-1] - run.arrays["prob_last_f32"])
    assert last.max() <= 1e-3
    labels = run.probabilities.argmax(1)
    assert (labels != expected.argmax(1)).mean() <= 5e-4
    predicted = [frame for frame in range(len(labels)) if str(frame) not in run.meta["prompts"]]
    assert (run.masks[predicted] == labels[predicted]).all()


def test_what_is_remembered_has_the_same_size(run: Run) -> None:
    expected = run.arrays["sizes"]
    kept = slice(None, -1 if run.meta.get("end_flag_on_last_frame") else None)
    assert [size[0] for size in run.sizes][kept] == expected[kept, 0].tolist()
    assert [size[1] for size in run.sizes][kept] == expected[kept, 1].tolist()


def test_what_is_remembered(run: Run) -> None:
    """Given frames are not counted here. The original was told which frame is the last, and does not remember it."""
    keys, use, life = (run.arrays[f"final_work_{name}"] for name in ("key", "use", "life"))
    frames = sorted({one.frame for one in run.records if len(one.keys) == TOKENS})
    if run.meta["end_flag_on_last_frame"]:
        assert frames.pop() == run.meta["frames"] - 1
    assert keys.shape[1] == TOKENS * len(frames)
    compared = [one for one in run.working if one.frame in frames]
    assert compared
    for one in compared:
        here = slice(TOKENS * frames.index(one.frame), TOKENS * (frames.index(one.frame) + 1))
        close(one.keys.key.T, keys[:, here], 2e-4)
        close(one.keys.shrinkage, run.arrays["final_work_shrinkage"][here], 2e-4)
        np.testing.assert_allclose(life[here], max(one.readings, 1e-7), rtol=1e-6)
        close(torch.zeros(TOKENS) if one.use is None else one.use, use[here], 2e-3)


def test_prototypes(run: Run) -> None:
    if "final_long_key" not in run.arrays:
        assert run.long_term == []
        return
    close(torch.cat([one.keys.key for one in run.long_term]).T, run.arrays["final_long_key"], 2e-4)
    close(torch.cat([one.keys.shrinkage for one in run.long_term]), run.arrays["final_long_shrinkage"], 2e-4)
    close(torch.cat([one.values["1"] for one in run.long_term]).T, run.arrays["final_long_value_o0"], 5e-4)
    use = torch.cat([torch.zeros(len(one.keys)) if one.use is None else one.use for one in run.long_term])
    close(use, run.arrays["final_long_use"], 2e-3)


def test_hidden_states(run: Run) -> None:
    close(run.hidden, run.arrays["final_hidden"], 5e-4)


def close(found: Tensor, expected: np.ndarray, atol: float) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=atol)
