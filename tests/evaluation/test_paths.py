from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation import paths
from backend.evaluation.paths import Stage, along, meeting

STAGE = Stage(200, 120, 30)


def still(x0: float, y0: float, x1: float, y1: float):
    """A box that stays where it is."""
    return np.tile(np.array([x0, y0, x1, y1], float), (STAGE.frames, 1))


SMALL = still(-12, -10, 12, 10)
HOST = still(80, 40, 120, 80)


def test_meeting_is_the_covered_part_of_the_smaller_box() -> None:
    there = still(0, 0, 20, 20)
    assert meeting(HOST, there) == 0
    assert meeting(HOST, still(70, 40, 90, 80)) == pytest.approx(0.5)
    # On one frame is enough.
    there[7] = (90, 50, 110, 70)
    assert meeting(HOST, there) == 1


def test_boxes_are_apart_where_something_is_between_them() -> None:
    frames = slice(None)
    assert STAGE.apart(HOST, still(121, 40, 160, 80), frames)
    assert STAGE.apart(HOST, still(80, 0, 120, 39), frames)
    assert not STAGE.apart(HOST, still(120, 40, 160, 80), frames)
    touching = still(121, 40, 160, 80)
    touching[12] = HOST[12]
    assert not STAGE.apart(HOST, touching, frames)
    assert STAGE.apart_at_ends(HOST, touching)


def test_the_part_of_a_box_that_is_in_the_picture() -> None:
    boxes = np.array([[0, 0, 20, 20], [-10, 0, 10, 20], [190, 110, 210, 130], [300, 0, 310, 10]], float)
    assert STAGE.inside(boxes).tolist() == [1, 0.5, 0.25, 0]


@pytest.mark.parametrize("seed", range(5))
def test_crossing_is_apart_then_meets_then_is_apart_on_the_other_side(seed: int) -> None:
    random = np.random.default_rng(seed)
    centres = paths.crossing(random, STAGE, SMALL, [HOST], 1)
    assert centres is not None and centres.shape == (STAGE.frames, 2)
    placed = along(centres, SMALL)
    assert STAGE.apart_at_ends(placed, HOST)
    assert meeting(placed, HOST) >= paths.MEETS
    assert STAGE.inside(placed).min() > 0.85
    first, last = centres[0] - (100, 60), centres[-1] - (100, 60)
    assert first @ last < 0


def test_crossing_meets_all_that_it_must() -> None:
    other = still(30, 20, 60, 50)
    centres = paths.crossing(np.random.default_rng(1), STAGE, SMALL, [HOST, other], 2)
    assert centres is not None
    for there in (HOST, other):
        assert meeting(along(centres, SMALL), there) >= paths.MEETS
        assert STAGE.apart_at_ends(along(centres, SMALL), there)


def test_there_may_be_no_room() -> None:
    full = still(10, 10, 190, 110)
    assert paths.crossing(np.random.default_rng(0), STAGE, SMALL, [full], 1) is None
    assert paths.standing(np.random.default_rng(0), STAGE, SMALL, [full]) is None
    assert paths.leaving(np.random.default_rng(0), STAGE, SMALL, [full]) is None


@pytest.mark.parametrize("seed", range(5))
def test_leaving_is_beyond_the_border_for_a_while(seed: int) -> None:
    centres = paths.leaving(np.random.default_rng(seed), STAGE, SMALL, [HOST])
    assert centres is not None
    inside = STAGE.inside(along(centres, SMALL))
    gone = STAGE.gone
    assert len(gone) >= 7
    assert not inside[gone.start : gone.stop].any()
    assert min(inside[0], inside[-1]) > 0.9
    assert STAGE.apart_at_ends(along(centres, SMALL), HOST)


def test_hiding_is_where_it_must_be_meanwhile() -> None:
    places = np.linspace((95, 60), (105, 60), len(STAGE.gone))
    centres = paths.hiding(np.random.default_rng(3), STAGE, SMALL, places, [HOST])
    assert centres is not None
    assert np.array_equal(centres[STAGE.gone.start : STAGE.gone.stop], places)
    assert STAGE.apart_at_ends(along(centres, SMALL), HOST)
    # In on one side, out on the other.
    assert (centres[0, 0] - 100) * (centres[-1, 0] - 100) < 0


def test_standing_leaves_room_on_both_sides() -> None:
    corner = still(0, 0, 30, 30)
    centres = paths.standing(np.random.default_rng(3), STAGE, SMALL, [corner])
    assert centres is not None
    placed = along(centres, SMALL)
    assert placed[:, 0].min() > 40 and placed[:, 2].max() < 160
    assert np.abs(centres[0] - centres[-1]).max() < 0.12 * STAGE.width


def test_the_same_chance_gives_the_same_way() -> None:
    one, same, other = (paths.crossing(np.random.default_rng(seed), STAGE, SMALL, [HOST], 1) for seed in (4, 4, 5))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
