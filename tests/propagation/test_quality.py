from __future__ import annotations

import pytest
import torch
from torch import Tensor

from backend.propagation.quality import Quality, judge


def square(inside: float, outside: float = 0.0) -> Tensor:
    map_ = torch.full((20, 20), outside)
    map_[5:15, 5:15] = inside
    return map_


NOWHERE = torch.zeros(20, 20, dtype=torch.bool)


def judged(probability: Tensor, alone: Tensor | None = None, before: Tensor = NOWHERE) -> Quality:
    (found,) = judge(probability[None], (probability if alone is None else alone)[None], before[None])
    return found


def test_a_certain_mask() -> None:
    found = judged(square(1.0), before=square(1.0) > 0.5)
    assert found == Quality(certainty=1, stability=1, continuity=1, contested=0, peak=1)
    assert found.score == 1


def test_a_doubtful_mask() -> None:
    found = judged(square(0.6, 0.4))
    # The rim counts, what is further away does not.
    assert found.certainty == pytest.approx(0.2)
    assert found.stability == 0
    assert found.peak == pytest.approx(0.6)
    assert judged(square(0.9, 0.3)).stability == pytest.approx(100 / 400)
    assert judged(square(0.9, 0.2)).certainty == pytest.approx((100 * 0.8 + 96 * 0.6) / 196, abs=0.01)


def test_no_mask() -> None:
    found = judged(square(0.1))
    assert (found.certainty, found.stability, found.score) == (0, 0, 0)
    assert found.peak == pytest.approx(0.1)


def test_a_mask_that_moved() -> None:
    assert judged(square(1.0)).continuity is None
    assert judged(square(1.0), before=square(1.0).roll(5, 0) > 0.5).continuity == pytest.approx(50 / 150)
    assert judged(square(0.0), before=square(1.0) > 0.5).continuity == 0


def test_what_others_took() -> None:
    assert judged(square(0.2), alone=square(0.8)).contested == pytest.approx(0.75)
    assert judged(square(0.8), alone=square(0.2)).contested == 0


def test_each_object_has_its_own() -> None:
    both = judge(
        torch.stack([square(1.0), square(0.6)]), torch.stack([square(1.0), square(0.6)]), torch.stack([NOWHERE] * 2)
    )
    assert both[0] == judged(square(1.0))
    assert both[1] == judged(square(0.6))
