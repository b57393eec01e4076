from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from backend.propagation.token_keys import TokenKeys, grid_of, make_keys, nest_values, unnest_values
from support.encodings import noise_encoding

F32 = torch.float32


@pytest.mark.parametrize(
    ("scaled", "grid"), [((96, 128), (6, 8)), ((1024, 681), (64, 43)), ((576, 1024), (36, 64)), ((1, 17), (1, 2))]
)
def test_the_grid_is_what_holds_some_of_the_picture(scaled: tuple[int, int], grid: tuple[int, int]) -> None:
    encoding = replace(noise_encoding(), scaled=scaled)
    assert grid_of(encoding) == grid


@pytest.mark.parametrize("dtype", [F32, torch.bfloat16])
def test_every_key_has_length_one(dtype: torch.dtype) -> None:
    keys = make_keys(noise_encoding(scaled=(90, 128)), dtype)
    assert len(keys) == 48
    assert keys.coarse.shape[:1] == (48,)
    assert keys.middle.shape[:2] == (48, 4)
    assert keys.fine.shape[:3] == (48, 4, 4)
    assert keys.index.tolist() == list(range(48))
    assert keys.shape == (6, 8)
    for level in (keys.coarse, keys.middle, keys.fine):
        assert level.dtype == dtype
        lengths = level.float().norm(dim=-1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-5 if dtype is F32 else 1e-2)


def test_what_only_holds_padding_has_no_keys_and_no_say() -> None:
    cropped = noise_encoding(scaled=(90, 128))
    whole = noise_encoding(scaled=(90, 128), grid=(8, 8))
    for one, n in ((whole.embedding, 1), (whole.middle, 2), (whole.fine, 4)):
        assert one is not None
        one[..., : 6 * n, :] = {1: cropped.embedding, 2: cropped.middle, 4: cropped.fine}[n]
    some, all_of = make_keys(cropped, F32), make_keys(whole, F32)
    for one, other in ((some.coarse, all_of.coarse), (some.middle, all_of.middle), (some.fine, all_of.fine)):
        torch.testing.assert_close(one, other)


def test_the_cells_of_a_token_are_its_own() -> None:
    """Where only one token's cells differ, only that token's keys stand out."""
    encoding = noise_encoding()
    assert encoding.fine is not None
    encoding.fine[:] = 1e-3 * encoding.fine
    encoding.fine[0, 0, 4 * 2 : 4 * 3, 4 * 5 : 4 * 6] += 100
    keys = make_keys(encoding, F32)
    strong = (keys.fine[..., 0].abs() > 0.99).all(-1).all(-1) & (keys.fine[..., 0] > 0).all(-1).all(-1)
    assert strong.nonzero()[:, 0].tolist() == [2 * 8 + 5]


def test_an_encoder_without_stages_is_refused() -> None:
    with pytest.raises(TypeError, match="TinyViT"):
        make_keys(replace(noise_encoding(), middle=None), F32)


def distances(one: TokenKeys, other: TokenKeys) -> torch.Tensor:
    places = [torch.stack([k.index // k.shape[1], k.index % k.shape[1]], 1).double() for k in (one, other)]
    return torch.cdist(*places) ** 2


@pytest.mark.parametrize("prior", [0.0, 2.0**-12, 2.0**-8, 2.0**-4])
@pytest.mark.parametrize(("dtype", "within"), [(F32, 1e-4), (torch.bfloat16, 1e-2)])
def test_products_are_similarities_less_distances(prior: float, dtype: torch.dtype, within: float) -> None:
    shape = (64, 64)
    random = torch.Generator().manual_seed(3)

    def keys(count: int) -> TokenKeys:
        coarse = torch.nn.functional.normalize(torch.randn(count, 256, generator=random), dim=1).to(dtype)
        index = torch.randperm(64 * 64, generator=random)[:count]
        index[:2] = torch.tensor([0, 64 * 64 - 1])  # the corners, furthest apart
        return TokenKeys(coarse, torch.empty(0), torch.empty(0), index, shape)

    query, memory = keys(200), keys(300)
    assert query.queries().dtype == memory.located(prior).dtype == dtype
    # Summed exactly, so that only the rounding of the entries counts.
    found = query.queries().double() @ memory.located(prior).double().T
    expected = query.coarse.double() @ memory.coarse.double().T - prior * distances(query, memory)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
    summed = (query.queries() @ memory.located(prior).T).double()
    near = distances(query, memory) * prior < 1
    torch.testing.assert_close(summed[near], expected[near], rtol=0, atol=within)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (1, 1), (1, 7)])
@pytest.mark.parametrize("channels", [1, 2])
def test_values_come_back_where_they_were(shape: tuple[int, int], channels: int) -> None:
    rows, columns = shape
    values = torch.arange(channels * 16.0 * rows * columns).view(channels, 4 * rows, 4 * columns)
    nested = nest_values(values, rows, columns)
    assert nested.shape == (rows * columns, 4, 4, channels)
    assert torch.equal(unnest_values(nested, torch.arange(rows * columns), shape), values)


def test_nested_values_stand_in_the_order_of_the_keys() -> None:
    """Token by token in rows; in each its four cells of 8 pixels in rows, in each of these its four of 4 pixels."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(12.0), indexing="ij")
    nested = nest_values(torch.stack([y, x]), 2, 3)
    for token in range(6):
        for cell in range(4):
            for pixel in range(4):
                row = token // 3 * 4 + cell // 2 * 2 + pixel // 2
                column = token % 3 * 4 + cell % 2 * 2 + pixel % 2
                assert nested[token, cell, pixel].tolist() == [row, column]


def test_keys_and_values_are_nested_alike() -> None:
    encoding = noise_encoding()
    assert encoding.fine is not None
    # One direction for each place, so that a key tells where it comes from after centring.
    keys = make_keys(encoding, F32)
    fine = encoding.fine[0] - encoding.fine[0].mean((1, 2), keepdim=True)
    nested = torch.nn.functional.normalize(nest_values(fine, 6, 8), dim=-1)
    torch.testing.assert_close(nested, keys.fine)


def test_values_of_some_tokens_leave_the_others_empty() -> None:
    full = unnest_values(torch.ones(2, 4, 4, 1), torch.tensor([1, 5]), (2, 3))
    expected = torch.zeros(1, 8, 12)
    expected[0, :4, 4:8] = expected[0, 4:, 8:] = 1
    assert torch.equal(full, expected)


def test_taking_tokens() -> None:
    keys = make_keys(noise_encoding(), F32)
    chosen = torch.zeros(6, 8, dtype=torch.bool)
    chosen[1, 2] = chosen[4, 7] = True
    some = keys.take(chosen)
    assert some.index.tolist() == [10, 39]
    assert some.shape == keys.shape
    assert len(some) == 2
    for one, other in ((some.coarse, keys.coarse), (some.middle, keys.middle), (some.fine, keys.fine)):
        assert torch.equal(one, other[[10, 39]])
    # Their places are still those of the grid.
    torch.testing.assert_close(some.queries(), keys.queries()[[10, 39]])


def test_taking_everything_copies_nothing() -> None:
    keys = make_keys(noise_encoding(), F32)
    assert keys.take(torch.ones(6, 8, dtype=torch.bool)) is keys
