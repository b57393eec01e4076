"""The network with fixed shapes does what it does without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.propagation import xmem_static
from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_static import Function, StaticXMem
from support.golden import golden_state


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> XMem:
    return load_xmem(golden_state(golden_dir, "xmem", 1))


def agree(network: XMem, other: XMem, counts: list[int]) -> None:
    """On one image, and on numbers of objects."""
    device = network.device
    random = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        image = torch.randn(1, 3, 32, 48, generator=random)
        features, same = network.encode(image), other.encode(image)
        for name in ("image", "f16", "key", "shrinkage", "selection", "skip8", "skip4"):
            close(getattr(same, name), getattr(features, name))
        for one, expected in zip(same.fusion, features.fusion, strict=True):
            close(one, expected)
        for count in counts:
            masks = torch.rand(count, 32, 48, generator=random).to(device)
            hidden = torch.randn(count, 64, 2, 3, generator=random).to(device)
            readout = torch.randn(count, 512, 2, 3, generator=random).to(device)
            for found, expected in zip(
                other.memorise(features, masks, masks.flip(0), hidden),
                network.memorise(features, masks, masks.flip(0), hidden),
                strict=True,
            ):
                close(found, expected)
            logits, none = other.decode(features, readout, hidden, update=False)
            assert none is None
            close(logits, network.decode(features, readout, hidden, update=False)[0])
            logits, new = other.decode(features, readout, hidden, update=True)
            expected, updated = network.decode(features, readout, hidden, update=True)
            assert new is not None
            assert updated is not None
            close(logits, expected)
            close(new, updated)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-4)


def test_objects_are_padded_to_few_numbers(network: XMem, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()

    def counting(function: Function) -> Function:
        def run(*tensors: Tensor) -> tuple[Tensor, ...]:
            seen.add(len(tensors[-1]))
            return function(*tensors)

        return run

    monkeypatch.setattr(xmem_static, "_compiled", counting)
    agree(network, StaticXMem(network, "compile"), [1, 2, 3, 4, 5])
    assert seen == {1, 2, 4, 8}


def test_the_weights_are_shared(network: XMem) -> None:
    other = StaticXMem(network, "compile")
    assert (other.device, other.dtype) == (network.device, network.dtype)
    assert {id(one) for one in other.parameters()} == {id(one) for one in network.parameters()}


@pytest.mark.slow
def test_compiled(network: XMem) -> None:
    if shutil.which("g++") is None:
        pytest.skip("torch.compile needs a C++ compiler: there is no g++")
    agree(network, StaticXMem(network, "compile"), [3])


def test_cuda_graphs(golden_dir: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("CUDA graphs need a CUDA device: there is none")
    network = load_xmem(golden_state(golden_dir, "xmem", 1), "cuda")
    agree(network, StaticXMem(network, "graphs"), [1, 3, 4])
