from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from backend.propagation import reading
from backend.propagation.reading import read_memory
from backend.propagation.token_keys import TokenKeys, make_keys
from support.encodings import noise_encoding

NOWHERE = 2.0**-12


def keys_of(seed: int, dtype: torch.dtype = torch.float32) -> TokenKeys:
    return make_keys(noise_encoding(seed), dtype)


def values_of(objects: int, count: int, seed: int = 0, channels: int = 2) -> Tensor:
    return torch.rand(objects, count, 4, 4, channels, generator=torch.Generator().manual_seed(seed))


def plain(query: TokenKeys, memory: Sequence[TokenKeys], priors: Sequence[float], values: Tensor) -> Tensor:
    """One softmax over all finest cells of all tokens of all frames, and over what was never seen."""
    out = torch.zeros(values.shape[0], len(query), 4, 4, values.shape[-1], dtype=torch.float64)
    for token in range(len(query)):
        y, x = divmod(int(query.index[token]), query.shape[1])
        for cell in range(4):
            for pixel in range(4):
                scores = []
                for keys, prior in zip(memory, priors, strict=True):
                    row, column = keys.index // keys.shape[1], keys.index % keys.shape[1]
                    meaning = keys.coarse @ query.coarse[token] - prior * ((row - y) ** 2 + (column - x) ** 2)
                    texture = keys.middle @ query.middle[token, cell]
                    detail = keys.fine @ query.fine[token, cell, pixel]
                    scores.append(((meaning[:, None] + texture)[:, :, None] / 2 + detail) / 2)
                weight = torch.exp((torch.cat(scores).double() - 1) / reading.TEMPERATURE)
                unseen = torch.exp(torch.tensor((reading.UNSEEN - 1) / reading.TEMPERATURE, dtype=torch.float64))
                for one in range(values.shape[0]):
                    said = (weight[..., None] * values[one]).sum((0, 1, 2))
                    out[one, token, cell, pixel] = said / (weight.sum() + unseen)
    return out


@pytest.fixture
def thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    """No candidate is left out."""
    monkeypatch.setattr(reading, "TOKENS", 10**6)
    monkeypatch.setattr(reading, "CELLS", 10**6)


@pytest.mark.usefixtures("thorough")
def test_with_all_candidates_it_is_a_plain_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    # Noise is alike nowhere: with a high temperature all of the memory has a say.
    monkeypatch.setattr(reading, "TEMPERATURE", 0.5)
    chosen = torch.zeros(6, 8, dtype=torch.bool)
    chosen[1, 2:5] = True
    query = keys_of(0).take(chosen)
    memory = [keys_of(0), keys_of(1).take(~chosen)]
    count = sum(map(len, memory))
    values, priors = values_of(2, count), [2.0**-4, 2.0**-12]
    found = read_memory(query, memory, priors, values)
    torch.testing.assert_close(found.double(), plain(query, memory, priors, values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-2), (torch.bfloat16, 3e-2)])
@pytest.mark.parametrize("frames", [1, 3])
def test_what_was_seen_before_has_the_value_it_had(dtype: torch.dtype, within: float, frames: int) -> None:
    memory = [keys_of(seed, dtype) for seed in range(frames)]
    values = values_of(1, 48 * frames)
    found = read_memory(memory[-1], memory, [NOWHERE] * frames, values)
    assert found.shape == (1, 48, 4, 4, 2)
    torch.testing.assert_close(found, values[:, -48:], rtol=0, atol=within)


def test_what_has_moved_brings_its_value_along() -> None:
    keys = keys_of(0)
    moved = TokenKeys(keys.coarse.roll(1, 0), keys.middle.roll(1, 0), keys.fine.roll(1, 0), keys.index, keys.shape)
    values = values_of(1, 48)
    found = read_memory(moved, [keys], [NOWHERE], values)
    torch.testing.assert_close(found, values.roll(1, 1), rtol=0, atol=1e-2)


def test_of_two_alike_the_nearer_one_counts() -> None:
    keys = keys_of(0)
    first = [level[:1].repeat_interleave(48, 0) for level in (keys.coarse, keys.middle, keys.fine)]
    same = TokenKeys(*first, keys.index, keys.shape)
    values = torch.zeros(1, 48, 4, 4, 1)
    values[:, 20] = 1  # row 2, column 4
    found = read_memory(same, [same], [2.0**-1], values)[0, :, 0, 0, 0]
    assert int(found.argmax()) == 20
    assert float(found[20]) > 0.5
    assert float(found[47]) < 0.01


def test_what_was_never_seen_is_next_to_nothing() -> None:
    found = read_memory(keys_of(5), [keys_of(0)], [NOWHERE], torch.ones(1, 48, 4, 4, 1))
    assert float(found.max()) < 0.2
    assert float(found.mean()) < 0.1


def test_several_objects_are_read_as_each_alone() -> None:
    memory = [keys_of(0), keys_of(1)]
    query, values = keys_of(1), values_of(3, 96)
    together = read_memory(query, memory, [NOWHERE, 2.0**-8], values)
    for one in range(3):
        row = slice(one, one + 1)
        alone = read_memory(query, memory, [NOWHERE, 2.0**-8], values[row])
        torch.testing.assert_close(together[row], alone, rtol=1e-5, atol=1e-6)


def test_a_memory_smaller_than_the_candidates() -> None:
    one = torch.zeros(6, 8, dtype=torch.bool)
    one[3, 3] = True
    keys = keys_of(0).take(one)
    values = values_of(1, 1)
    found = read_memory(keys, [keys], [NOWHERE], values)
    torch.testing.assert_close(found, values, rtol=0, atol=1e-2)


def test_every_frame_needs_its_prior() -> None:
    with pytest.raises(ValueError, match="zip"):
        read_memory(keys_of(0), [keys_of(0)], [], values_of(1, 48))
