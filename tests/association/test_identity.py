from __future__ import annotations

import pytest
import torch
from torch import Tensor

from backend.association.identity import Calibration, Gallery, find_again, same, swapped

CALIBRATION = Calibration(middle=0.6, slope=20.0, swap=10.0)


def look(*parts: float) -> Tensor:
    return torch.tensor([*parts, *[0.0] * (4 - len(parts))])


def gallery(*looks: Tensor) -> Gallery:
    made = Gallery()
    for second, one in enumerate(looks):
        made.add(float(second), one)
    return made


def test_views_lie_apart_in_time() -> None:
    made = Gallery(apart=0.5)
    for frame in range(20):
        made.add(frame / 10, look(1))
    assert made.seconds == [0.0, 0.5, 1.0, 1.5]
    assert not made.due(1.9)
    assert made.due(2.0)


def test_when_there_are_too_many_the_whole_life_is_remembered() -> None:
    made = Gallery(most=4, apart=1.0)
    for second in range(20):
        made.add(float(second), look(1))
    assert len(made) <= 4
    assert made.seconds[0] == 0.0
    assert made.seconds[-1] >= 12
    gaps = [later - earlier for earlier, later in zip(made.seconds, made.seconds[1:], strict=False)]
    assert max(gaps) == min(gaps)


def test_what_a_human_said_is_kept_for_good() -> None:
    made = Gallery(most=2, apart=1.0, memory=3.0)
    made.add(0.05, look(0, 1), lasting=True)
    made.add(0.1, look(0, 0, 1), lasting=True)
    for second in range(1, 12):
        made.add(second + 0.1, look(1))
        made.forget(float(second))
    assert made.seconds[:2] == [0.05, 0.1]
    assert made.seconds[2:]
    assert min(made.seconds[2:]) >= 11 - 3


@pytest.mark.parametrize("between", [(1.0, 2.5), (2.5, 1.0)])
def test_what_was_seen_for_a_while_can_be_left_out(between: tuple[float, float]) -> None:
    made = gallery(*[look(1)] * 5)
    made.add(2.2, look(0, 1), lasting=True)
    rest = made.without(*between)
    assert rest.seconds == [0.0, 2.2, 3.0, 4.0]
    assert made.seconds == [0.0, 1.0, 2.0, 2.2, 3.0, 4.0]


def test_views_may_come_in_any_order_and_are_of_length_1() -> None:
    made = Gallery()
    made.add(2.0, look(3))
    made.add(1.0, look(0, 5))
    assert made.seconds == [1.0, 2.0]
    assert made.views.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_an_object_is_like_the_views_that_it_is_most_like() -> None:
    """It turned: half of the views show another side, and most are of that side."""
    made = gallery(*[look(1)] * 3, *[look(0, 1)] * 5)
    assert made.similarity(torch.stack([look(2), look(0, 2), look(0, 0, 1)])).tolist() == pytest.approx([1, 1, 0])
    assert gallery(look(1)).similarity(look(1, 1)[None]).tolist() == pytest.approx([0.5**0.5])


def test_the_probability_is_even_at_the_middle() -> None:
    made = gallery(look(1))
    found = same(made, torch.stack([look(0.6, 0.8), look(1), look(0, 1)]), CALIBRATION)
    assert found.tolist() == pytest.approx([0.5, 1 / (1 + 2.718281828**-8), 0.0], abs=1e-4)


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([look(0, 1), look(0.9, 0.1), look(0.7, 0.7)], 1),
        ([look(0, 1), look(0.3, 0.9)], None),
        ([], None),
    ],
    ids=["the most probable", "none of them", "no candidates"],
)
def test_finding_an_object_again(candidates: list[Tensor], expected: int | None) -> None:
    embeddings = torch.stack(candidates) if candidates else torch.zeros(0, 4)
    assert find_again(gallery(look(1)), embeddings, CALIBRATION) == expected


def test_how_sure_it_must_be_is_the_caller_s() -> None:
    candidate = look(0.65, 0.76)[None]
    assert find_again(gallery(look(1)), candidate, CALIBRATION) == 0
    assert find_again(gallery(look(1)), candidate, CALIBRATION, least=0.9) is None


def test_two_that_swapped() -> None:
    one, other = look(1, 0.2), look(0.2, 1)
    before = [gallery(one, one), gallery(other)]
    kept = swapped(before, [gallery(look(1, 0.3)), gallery(look(0.3, 1))], CALIBRATION)
    crossed = swapped(before, [gallery(look(0.3, 1)), gallery(look(1, 0.3))], CALIBRATION)
    assert kept < 0.01
    assert crossed > 0.99
    assert kept + crossed == pytest.approx(1)


def test_of_two_that_look_the_same_nothing_can_be_said() -> None:
    twins = [gallery(look(1)), gallery(look(1))]
    assert swapped(twins, [gallery(look(1, 1)), gallery(look(1))], CALIBRATION) == pytest.approx(0.5)


def test_even_when_one_has_changed_altogether_the_other_tells() -> None:
    before = [gallery(look(1)), gallery(look(0, 1))]
    after = [gallery(look(0, 1)), gallery(look(0, 0, 1))]
    assert swapped(before, after, CALIBRATION) > 0.99


def test_what_was_never_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="never seen"):
        same(Gallery(), look(1)[None], CALIBRATION)
    with pytest.raises(ValueError, match="never seen"):
        swapped([gallery(look(1)), Gallery()], [gallery(look(1))] * 2, CALIBRATION)
    with pytest.raises(ValueError, match="not 3 and 2"):
        swapped([gallery(look(1))] * 3, [gallery(look(1))] * 2, CALIBRATION)
