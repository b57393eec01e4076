"""XMem's network and its reading of memory, number by number, against the released implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.propagation.affinity import AnisotropicKeys, attend
from backend.propagation.xmem import Features, XMem, aggregate, load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from support import golden

pytestmark = pytest.mark.golden

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def reference(golden_dir: Path) -> tuple[Arrays, dict[str, Any]]:
    return golden.load(golden_dir, "xmem_network")


@pytest.fixture(scope="module")
def arrays(reference: tuple[Arrays, dict[str, Any]]) -> Arrays:
    return reference[0]


@pytest.fixture(scope="module")
def meta(reference: tuple[Arrays, dict[str, Any]]) -> dict[str, Any]:
    return reference[1]


@pytest.fixture(scope="module")
def network(golden_dir: Path, meta: dict[str, Any]) -> XMem:
    state = golden.golden_state(golden_dir, "xmem", meta["weight_seed"])
    assert golden.state_crc32(golden_dir, state) == meta["weights_crc32"]
    return load_xmem(state)


@pytest.fixture(scope="module")
def frame(golden_dir: Path, meta: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    made: tuple[np.ndarray, np.ndarray] = golden.golden_weights(golden_dir).synth_frame(
        meta["frame_seed"], meta["t"], meta["height"], meta["width"]
    )
    return made


@pytest.fixture(scope="module")
def features(network: XMem, frame: tuple[np.ndarray, np.ndarray]) -> Features:
    return FrameEncoder(network).encode(frame[0]).features


@pytest.fixture(scope="module")
def masks(frame: tuple[np.ndarray, np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack([0.9 * (frame[1] == label) + 0.05 for label in (1, 2)]).astype(np.float32))


def a_map(golden_dir: Path, meta: dict[str, Any], name: str, *shape: int) -> Tensor:
    return torch.from_numpy(golden.golden_weights(golden_dir).golden_map(f"xmem/{name}", shape, meta["weight_seed"]))


@pytest.fixture(scope="module")
def hidden(golden_dir: Path, meta: dict[str, Any]) -> Tensor:
    return 0.5 * a_map(golden_dir, meta, "hidden", 1, 2, 64, 6, 10)[0]


def close(found: Tensor, expected: np.ndarray, atol: float = 2e-4) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=atol)


def test_the_image(network: XMem, features: Features, arrays: Arrays) -> None:
    with torch.inference_mode():
        f16, f8, f4 = network.key_encoder(features.image)
    close(f16, arrays["f16"])
    close(f8, arrays["f8"])
    close(f4, arrays["f4"])
    close(features.f16, arrays["f16"])
    close(features.key, arrays["key"])
    close(features.shrinkage, arrays["shrinkage"])
    close(features.selection, arrays["selection"])


@torch.inference_mode()
def test_values(network: XMem, features: Features, masks: Tensor, hidden: Tensor, arrays: Arrays) -> None:
    value, deep = network.memorise(features, masks, masks.flip(0), hidden)
    close(value, arrays["value"][0])
    close(deep, arrays["hidden_deep"][0])


@torch.inference_mode()
def test_the_value_of_one_object(
    network: XMem, features: Features, masks: Tensor, hidden: Tensor, arrays: Arrays
) -> None:
    value, deep = network.memorise(features, masks[:1], torch.zeros_like(masks[:1]), hidden[:1])
    close(value, arrays["value_single"][0])
    close(deep, arrays["hidden_deep_single"][0])


@torch.inference_mode()
def test_masks(
    network: XMem, features: Features, hidden: Tensor, arrays: Arrays, golden_dir: Path, meta: dict[str, Any]
) -> None:
    readout = 2 * a_map(golden_dir, meta, "readout", 1, 2, 512, 6, 10)[0]
    logits, new = network.decode(features, readout, hidden, update=True)
    assert new is not None
    close(logits, arrays["raw_logits"][0])
    close(new, arrays["hidden_normal"][0])
    found = aggregate(torch.sigmoid(logits))
    close(found, arrays["prob"][0], 1e-5)
    same, none = network.decode(features, readout, hidden, update=False)
    assert none is None
    assert torch.equal(same, logits)


def test_aggregation(arrays: Arrays) -> None:
    close(aggregate(torch.from_numpy(arrays["aggregate_in"][0])), arrays["aggregate_prob"][0], 1e-5)


def test_reading(arrays: Arrays, golden_dir: Path, meta: dict[str, Any]) -> None:
    def tokens(name: str, *shape: int) -> Tensor:
        return a_map(golden_dir, meta, name, 1, *shape)[0].T.contiguous()

    memory = AnisotropicKeys.of(tokens("mk", 64, 180), 1 + tokens("ms", 1, 180)[:, 0] ** 2, torch.empty(180, 64))
    query = AnisotropicKeys.of(tokens("qk", 64, 60), torch.ones(60), torch.sigmoid(tokens("qe", 64, 60)))
    similarity = query.queries() @ memory.rows.T
    close(similarity.T, arrays["similarity"][0])
    close(torch.softmax(similarity, 1).T, arrays["affinity_full"][0])
    affinity = attend(query.queries(), memory.rows, 30)
    dense = torch.zeros(60, 180).scatter_(1, affinity.index, affinity.weights)
    close(dense.T, arrays["affinity_topk"][0])
    close(affinity.usage(), arrays["usage"][0])
    values = a_map(golden_dir, meta, "mv", 2, 512, 180)
    for value, expected in zip(values, arrays["readout_topk"], strict=True):
        close(affinity.read(value.T.contiguous()).T, expected)
