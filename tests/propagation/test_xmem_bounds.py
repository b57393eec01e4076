"""XMem's memory on a long video, with the published rules: how many tokens are held, and when the device is full."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.propagation.affinity import AnisotropicKeys
from backend.propagation.memory import MemoryBank
from backend.propagation.parts import Parts
from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder, XMemFrame
from backend.propagation.xmem_propagator import PUBLISHED, XMemPropagator
from support import golden

TOKENS = 40
"""Of a frame: five frames have more than there are prototypes of them."""
HEIGHT, WIDTH = 44, 70


def remember(bank: MemoryBank[AnisotropicKeys], frames: range, names: str, noise: torch.Generator) -> Iterator[int]:
    """Writes propagated frames, and yields how many tokens are held that nobody gave."""
    for frame in frames[:: PUBLISHED.every]:
        key, selection = torch.rand(2, TOKENS, 4, generator=noise)
        keys = AnisotropicKeys.of(key, 1 + torch.rand(TOKENS, generator=noise), selection)
        bank.write(frame, keys, {name: torch.rand(TOKENS, 2, generator=noise) for name in names})
        held = list(bank.read(frame))
        for one in held:
            one.count(torch.rand(len(one.keys), generator=noise))
        yield sum(len(one.keys) for one in held if not one.permanent)


def test_tokens_are_bounded_whoever_comes_and_goes() -> None:
    """Three objects, one of which comes late and one of which is dropped, over 5,000 frames."""
    noise = torch.Generator().manual_seed(5)
    bank = PUBLISHED.new_bank()
    most = PUBLISHED.limit + PUBLISHED.most * TOKENS
    held = [*remember(bank, range(1500), "ab", noise), *remember(bank, range(1500, 3000), "abc", noise)]
    bank.forget_object("a")
    held += remember(bank, range(3000, 5000), "bc", noise)
    assert max(held) <= most
    # It was full, and stays so: what is forgotten makes room for what comes.
    assert min(held[500:]) > PUBLISHED.limit - 2 * PUBLISHED.prototypes
    for one in bank.read(5000):
        assert {len(value) for value in one.values.values()} == {len(one.keys)}


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> XMem:
    return load_xmem(golden.golden_state(golden_dir, "xmem", 1))


@pytest.fixture(scope="module")
def video(golden_dir: Path, network: XMem) -> list[tuple[XMemFrame, np.ndarray]]:
    """Frames of three objects, and their labels."""
    synth, encoder = golden.golden_weights(golden_dir).synth_frame, FrameEncoder(network)
    made = [synth(5, frame, HEIGHT, WIDTH) for frame in range(7)]
    return [(encoder.encode(image), labels) for image, labels in made]


def follow(network: XMem, video: list[tuple[XMemFrame, np.ndarray]]) -> list[dict[str, tuple[Any, ...]]]:
    propagator = XMemPropagator(network, parts=Parts(4))
    first, labels = video[0]
    propagator.step(0, first, {name: labels == 1 + number for number, name in enumerate("abc")}, ())
    return [
        {
            name: (one.mask, propagator.probabilities[name])
            for name, one in propagator.step(frame, encoding, {}, "abc").items()
        }
        for frame, (encoding, _) in enumerate(video[1:], 1)
    ]


@pytest.mark.parametrize(
    ("call", "first"), [("decode", 0), ("decode", 3), ("memorise", 0), ("memorise", 1)], ids=lambda value: str(value)
)
def test_a_full_device_changes_no_mask(
    network: XMem,
    video: list[tuple[XMemFrame, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    first: int,
) -> None:
    """The device holds one object at a time from some call on, in the middle of a frame."""
    expected = follow(network, video)
    inner, calls = getattr(network, call), []

    def full(features: Any, objects: torch.Tensor, *others: Any, **options: Any) -> Any:
        calls.append(len(objects))
        if len(calls) > first and len(objects) > 1:
            raise torch.OutOfMemoryError
        return inner(features, objects, *others, **options)

    monkeypatch.setattr(network, call, full)
    found = follow(network, video)
    assert calls[:first] == [3] * first
    assert calls[first : first + 2] == [3, 1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "from now on 1 objects are worked on at once" in caplog.text
    for before, now in zip(expected, found, strict=True):
        for name in "abc":
            torch.testing.assert_close(now[name][1], before[name][1], rtol=0, atol=1e-3)
            assert (now[name][0] is None) == (before[name][0] is None)
            if before[name][0] is not None:
                assert (now[name][0] != before[name][0]).mean() < 1e-3
