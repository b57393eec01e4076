"""What checkpoints are taken, and the rewrites that no reference array shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from backend.errors import WeightsError
from backend.propagation.xmem import aggregate, load_xmem
from support.golden import golden_state


@pytest.fixture(scope="module")
def state(golden_dir: Path) -> dict[str, Tensor]:
    return golden_state(golden_dir, "xmem", 1)


@pytest.mark.parametrize("broken", ["missing", "surplus", "shape"])
def test_other_weights_are_refused(state: dict[str, Tensor], broken: str) -> None:
    name = "decoder.pred.bias"
    changed = dict(state)
    if broken == "missing":
        del changed[name]
    elif broken == "surplus":
        changed["decoder.further.bias"] = changed[name]
    else:
        changed[name] = torch.zeros(2)
    with pytest.raises(WeightsError, match=r"(?s)not XMem's.*decoder\."):
        load_xmem(changed)


def test_no_weights_at_all() -> None:
    with pytest.raises(WeightsError, match="not XMem's"):
        load_xmem({})


@torch.inference_mode()
def test_weights_for_single_objects_see_no_others(state: dict[str, Tensor]) -> None:
    name = "value_encoder.conv1.weight"
    network = load_xmem({**state, name: state[name][:, :4]})
    random = torch.Generator().manual_seed(0)
    features = network.encode(torch.randn(1, 3, 32, 48, generator=random))
    masks = torch.rand(1, 32, 48, generator=random)
    hidden = torch.zeros(1, 64, 2, 3)
    alone, _ = network.memorise(features, masks, torch.zeros_like(masks), hidden)
    beside, _ = network.memorise(features, masks, torch.rand(1, 32, 48, generator=random), hidden)
    assert torch.equal(alone, beside)


@torch.inference_mode()
def test_objects_do_not_see_one_another_in_the_decoder(state: dict[str, Tensor]) -> None:
    network = load_xmem(state)
    random = torch.Generator().manual_seed(0)
    features = network.encode(torch.randn(1, 3, 32, 48, generator=random))
    readout, hidden = torch.randn(3, 512, 2, 3, generator=random), torch.randn(3, 64, 2, 3, generator=random)
    together, after = network.decode(features, readout, hidden, update=True)
    assert after is not None
    for row in range(3):
        alone, new = network.decode(features, readout[row : row + 1], hidden[row : row + 1], update=True)
        assert new is not None
        torch.testing.assert_close(alone[0], together[row], rtol=0, atol=1e-4)
        torch.testing.assert_close(new[0], after[row], rtol=0, atol=1e-4)


def test_probabilities_of_all_sum_to_one_and_certainty_wins() -> None:
    certain = torch.tensor([1.0, 0.6, 0.0, 1.0]).view(1, 2, 2)
    other = torch.tensor([0.4, 0.9, 0.0, 1.0]).view(1, 2, 2)
    found = aggregate(torch.cat([certain, other]))
    torch.testing.assert_close(found.sum(0), torch.ones(2, 2))
    assert found.argmax(0).flatten().tolist()[:3] == [1, 2, 0]
    # Two that are equally certain share.
    torch.testing.assert_close(found[:, 1, 1], torch.tensor([0.0, 0.5, 0.5]))
