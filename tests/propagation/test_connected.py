"""Which parts of a readout are the object."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from backend.propagation.connected import ANOTHER, APART, WHOLE, continued, strongest

SIDE = 20
AREA = SIDE * SIDE


def squares(*places: tuple[int, int, int]) -> Tensor:
    """A readout of 60 rows and 120 columns that is 0.9 in squares: left side, top, and how long they are."""
    readout = torch.zeros(60, 120)
    for left, top, side in places:
        readout[top : top + side, left : left + side] = 0.9
    return readout


LAST = squares((10, 20, SIDE))


def kept(readout: Tensor, last: Tensor = LAST, area: float = AREA) -> Tensor:
    return readout * continued(readout, last, area)


def test_another_one_that_looks_like_it_is_left_out() -> None:
    assert torch.equal(kept(squares((13, 20, SIDE), (60, 20, SIDE))), squares((13, 20, SIDE)))


def test_what_fades_out_around_a_part_goes_with_it() -> None:
    readout = squares((13, 20, SIDE), (60, 20, SIDE))
    readout[20:40, 57:60] = 0.4
    assert torch.equal(kept(readout), squares((13, 20, SIDE)))


def test_what_is_near_loses_nothing_to_what_is_apart() -> None:
    last = squares((10, 20, SIDE), (31 + SIDE // 2, 30, 4))
    near, apart = squares((10, 20, SIDE), (31 + SIDE // 2, 30, 4)), squares((60, 20, SIDE))
    assert torch.equal(kept(near + apart, last), near)


def test_parts_close_to_where_it_was_belong_to_it() -> None:
    reach = int(APART * SIDE)
    readout = squares((10, 20, SIDE), (30 + reach - 1, 20, 8))
    assert torch.equal(kept(readout), readout)


@pytest.mark.parametrize("part", [8, int(SIDE * WHOLE**0.5)])
def test_where_less_than_the_whole_is_near_nothing_is_left_out(part: int) -> None:
    """Only its head shows over a car, and now its feet below."""
    readout = squares((10, 20, part), (80, 20, SIDE))
    assert torch.equal(kept(readout), readout)
    half = squares((10, 20, part))
    assert torch.equal(kept(readout, last=half), readout)


def test_a_small_part_that_is_apart_is_kept() -> None:
    """A hand that is stretched out, and the arm too thin to show."""
    side = 4 * SIDE
    last = torch.zeros(100, 200)
    last[10 : 10 + side, 10 : 10 + side] = 0.9
    readout = last.clone()
    readout[20 : 20 + int(side * ANOTHER**0.5) - 1, 150 : 150 + int(side * ANOTHER**0.5)] = 0.9
    assert torch.equal(kept(readout, last, side * side), readout)


def test_of_another_one_a_few_specks_may_show() -> None:
    readout = squares((13, 20, SIDE), (60, 20, 3), (66, 24, 3), (60, 30, 3))
    assert torch.equal(kept(readout), squares((13, 20, SIDE)))


def test_after_a_leap_nothing_is_left_out() -> None:
    readout = squares((60, 20, SIDE), (95, 20, SIDE))
    assert torch.equal(kept(readout), readout)


def test_a_merged_mask_does_not_make_one_of_the_two_whole() -> None:
    """What was there last counts too: it may have grown since it was given."""
    last = squares((10, 20, SIDE), (35, 20, SIDE))
    readout = squares((10, 20, SIDE), (80, 20, SIDE))
    assert torch.equal(kept(readout, last), readout)


def test_of_an_object_that_nothing_is_known_of_all_is_kept() -> None:
    readout = squares((10, 20, SIDE), (80, 20, SIDE))
    assert torch.equal(kept(readout, last=torch.zeros(60, 120)), readout)
    assert torch.equal(kept(torch.zeros(60, 120)), torch.zeros(60, 120))


def test_the_strongest_part_is_the_one_with_most() -> None:
    readout = squares((10, 20, 8), (60, 20, SIDE))
    assert torch.equal(readout * strongest(readout), squares((60, 20, SIDE)))
    assert not strongest(torch.zeros(60, 120)).any()
