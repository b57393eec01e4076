from __future__ import annotations

import torch

from backend.propagation.scratch import Scratch


def test_joined_as_by_cat() -> None:
    scratch = Scratch()
    for sizes in ((3, 5), (4000, 200, 1), (2, 2), (7,)):
        parts = [torch.rand(size, 6) for size in sizes]
        assert torch.equal(scratch.join(parts), torch.cat(parts))


def test_memory_is_used_again_until_it_is_too_small() -> None:
    scratch = Scratch()
    first = scratch.join([torch.zeros(3, 6), torch.zeros(4, 6)]).data_ptr()
    assert scratch.join([torch.zeros(1000, 6), torch.zeros(3096, 6)]).data_ptr() == first
    assert len(scratch.join([torch.ones(4096, 6), torch.ones(1, 6)])) == 4097


def test_other_columns_and_types_do_not_disturb_one_another() -> None:
    scratch = Scratch()
    rows = scratch.join([torch.ones(3, 6), torch.ones(4, 6)])
    scratch.join([torch.zeros(3, 7), torch.zeros(4, 7)])
    half = scratch.join([torch.zeros(3, 6, dtype=torch.bfloat16)] * 2)
    assert half.dtype == torch.bfloat16
    assert bool((rows == 1).all())
