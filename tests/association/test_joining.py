from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from backend.association.identity import Calibration
from backend.association.joining import MEMORY, JoinRules, Seen, meet, overlap_in_time
from backend.tracking.guard import DETECTED
from backend.tracks import Mask
from support.tracked import square

FPS = 10.0
RED, BLUE = (1.0, 0.0), (0.0, 1.0)
CALIBRATION = Calibration(middle=0.5, slope=20.0, swap=20.0)


def seen(
    places: Mapping[int, tuple[int, int]], label: str | None = None, looks: Sequence[tuple[float, float]] = ()
) -> Seen:
    """An object of 10 by 10 pixels at these places by frame, seen from its first frame on every tenth of a second."""
    masks = {frame: Mask.from_array(square((80, 60), x, y, 10)) for frame, (x, y) in places.items()}
    begins = min(places) / FPS
    views = np.array(looks, np.float32).reshape(-1, 2)
    return Seen(masks, label, [begins + 0.1 * place for place in range(len(looks))], views)


def still(frames: range, x: int = 20, y: int = 20, **rest: object) -> Seen:
    return seen(dict.fromkeys(frames, (x, y)), **rest)  # type: ignore[arg-type]


def met(known: Sequence[Seen], found: Sequence[Seen], *, cut: bool = False, looks: bool = True) -> dict[int, int]:
    calibration = CALIBRATION if looks else None
    return meet(known, found, fps=FPS, cut=cut, calibration=calibration, rules=JoinRules())


def test_what_covers_the_same_pixels_on_shared_frames_is_the_same() -> None:
    known = [still(range(20), 10), still(range(20), 40)]
    found = [still(range(15, 40), 41), still(range(15, 40), 11), still(range(15, 40), 60)]
    assert met(known, found) == {0: 1, 1: 0}


def test_only_frames_on_which_both_are_seen_are_compared() -> None:
    late = seen({18: (20, 20), 19: (20, 20)})
    assert overlap_in_time(still(range(20)).masks, late.masks) == 1.0
    assert overlap_in_time(still(range(10)).masks, late.masks) == 0.0


def test_all_shared_frames_count_together() -> None:
    # Three frames in the same place, one apart: 300 pixels shared of 500 in all.
    one, other = still(range(4)), seen({0: (20, 20), 1: (20, 20), 2: (20, 20), 3: (50, 20)})
    assert overlap_in_time(one.masks, other.masks) == pytest.approx(300 / 500)


def test_what_is_seen_at_once_in_two_places_is_never_one() -> None:
    known, found = still(range(20), 10, looks=[RED]), still(range(15, 40), 40, looks=[RED])
    assert met([known], [found]) == {}


def test_it_begins_where_another_one_was_lost_a_moment_ago() -> None:
    assert met([still(range(18))], [still(range(21, 40), 22)]) == {0: 0}
    assert met([still(range(18))], [still(range(21, 40), 50)]) == {}
    assert met([still(range(10))], [still(range(21, 40), 22)]) == {}  # more than half a second ago


def test_over_a_cut_nothing_is_where_it_was() -> None:
    assert met([still(range(20))], [still(range(20, 40))], cut=True) == {}


def test_looks_tell_who_comes_back() -> None:
    known = [still(range(10), 10, looks=[RED, RED]), still(range(12), 40, looks=[BLUE])]
    found = [still(range(25, 40), 60, looks=[BLUE, BLUE]), still(range(30, 40), 0, looks=[RED])]
    assert met(known, found) == {0: 1, 1: 0}
    assert met(known, found, cut=True) == {0: 1, 1: 0}
    assert met(known, found, looks=False) == {}


def test_who_looks_like_nobody_is_new() -> None:
    assert met([still(range(10), looks=[RED])], [still(range(25, 40), 60, looks=[BLUE])]) == {}
    assert met([still(range(10))], [still(range(25, 40), 60, looks=[RED])]) == {}
    assert met([still(range(10), looks=[RED])], [still(range(25, 40), 60)]) == {}


def test_only_the_looks_at_its_beginning_say_who_it_is() -> None:
    taken_over = still(range(25, 60), 60, looks=[BLUE] * 11 + [RED] * 30)
    assert met([still(range(10), looks=[RED])], [taken_over]) == {}


def test_looks_are_forgotten_when_a_tracker_forgets_them() -> None:
    assert DETECTED.memory == MEMORY
    begins = round(MEMORY * FPS)
    assert met([still(range(10), looks=[RED])], [still(range(begins - 5, begins + 5), 60, looks=[RED])]) == {0: 0}
    assert met([still(range(10), looks=[RED])], [still(range(begins + 5, begins + 9), 60, looks=[RED])]) == {}


def test_different_labels_are_never_one() -> None:
    known, found = still(range(20), label="Car", looks=[RED]), still(range(15, 40), label="Dog", looks=[RED])
    assert met([known], [found]) == {}
    assert met([known], [replace(found, label=None)]) == {0: 0}
    later = still(range(30, 40), label="Dog", looks=[RED])
    assert met([known], [later]) == {}
    assert met([known], [replace(later, label="Car")]) == {0: 0}


def test_nobody_is_two() -> None:
    known = [still(range(20)), still(range(8), 60, looks=[RED])]
    found = [still(range(15, 40)), still(range(15, 40), 21), still(range(25, 40), 40, looks=[RED])]
    assert met(known, found) == {0: 0, 1: 2}


def test_nothing_meets_nothing() -> None:
    assert met([], []) == {}
    assert met([still(range(5))], []) == {}
    assert met([], [still(range(5))]) == {}
