from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from backend.association.identity import Calibration
from backend.export.tracked import TrackedObject
from backend.prelabel.joining import Joiner, join
from backend.prelabel.pieces import Piece, PieceObject, PieceResult
from backend.tracks import Mask, Observation, Track
from support.tracked import square

FPS = 10.0
FIRST, SECOND = Piece(0, range(25), range(20)), Piece(1, range(15, 45), range(20, 40))
THIRD = Piece(2, range(35, 60), range(40, 60))
RED, BLUE = (1.0, 0.0), (0.0, 1.0)
Place = tuple[int, int]


def thing(
    name: str,
    places: Mapping[int, Place | None],
    *,
    side: int = 10,
    votes: Mapping[str, tuple[float, int]] | None = None,
    looks: Sequence[tuple[float, float]] = (),
) -> PieceObject:
    """A square at these places by frame, None where it is absent; seen from its first frame on every tenth of a
    second."""
    track = Track(name)
    for frame, place in places.items():
        mask = None if place is None else Mask.from_array(square((80, 60), *place, side))
        track.add(Observation(name, frame, mask, 0.8))
    begins = min(places) / FPS
    views = np.array(looks, np.float32).reshape(-1, 2)
    return PieceObject(track, votes or {}, [begins + 0.1 * place for place in range(len(looks))], views)


def still(name: str, frames: range, x: int = 20, **rest: object) -> PieceObject:
    return thing(name, dict.fromkeys(frames, (x, 20)), **rest)  # type: ignore[arg-type]


def result(piece: Piece, *objects: PieceObject) -> PieceResult:
    return PieceResult(piece, FPS, objects, Calibration(middle=0.5, slope=20.0, swap=20.0))


def lefts(objects: Sequence[TrackedObject]) -> dict[str, dict[int, float | None]]:
    """Of each object by frame where it begins, from the left."""
    return {
        one.id: {frame: found.box and found.box[0] for frame, found in sorted(one.track.observations.items())}
        for one in objects
    }


def test_an_object_goes_on_under_its_first_name() -> None:
    objects = join(
        [
            result(FIRST, still("1", range(25), 10), still("2", range(5, 25), 40)),
            result(SECOND, still("1", range(15, 45), 41), still("2", range(15, 45), 11)),
            result(THIRD, still("1", range(35, 60), 11), still("7", range(35, 60), 41)),
        ]
    )
    # On each frame what the piece found to which it belongs.
    assert lefts(objects) == {
        "1": dict.fromkeys(range(20), 10.0) | dict.fromkeys(range(20, 60), 11.0),
        "2": dict.fromkeys(range(5, 20), 40.0) | dict.fromkeys(range(20, 60), 41.0),
    }
    assert all(
        name == one.object_id for o in objects for name, one in ((o.id, x) for x in o.track.observations.values())
    )


def test_whoever_begins_later_is_numbered_on() -> None:
    objects = join(
        [
            result(FIRST, still("1", range(25), 0), still("4", range(3, 25), 60)),
            result(SECOND, still("1", range(15, 45), 60), still("2", range(30, 45), 40), still("3", range(33, 45), 20)),
            result(THIRD, still("1", range(50, 60), 20)),
        ]
    )
    assert {one.id: min(one.track.observations) for one in objects} == {"1": 0, "4": 3, "2": 30, "3": 33, "5": 50}
    assert [one.id for one in objects] == ["1", "4", "2", "3", "5"]


def test_where_the_piece_that_counts_does_not_have_it_yet_the_other_one_does() -> None:
    late = join([result(FIRST, still("1", range(25))), result(SECOND, still("1", range(23, 45), 21))])
    assert lefts(late) == {"1": dict.fromkeys(range(23), 20.0) | dict.fromkeys(range(23, 45), 21.0)}
    early = join([result(FIRST, still("1", range(18))), result(SECOND, still("1", range(15, 45), 21))])
    assert lefts(early) == {"1": dict.fromkeys(range(18), 20.0) | dict.fromkeys(range(18, 45), 21.0)}


def test_where_the_piece_that_counts_says_that_it_is_absent_it_is() -> None:
    places = {15: (20, 20), 16: (20, 20), **dict.fromkeys(range(17, 45))}
    objects = join([result(FIRST, still("1", range(25))), result(SECOND, thing("1", places))])
    assert lefts(objects) == {"1": dict.fromkeys(range(20), 20.0) | dict.fromkeys(range(20, 45))}


def test_a_gap_remains_one() -> None:
    back = still("1", range(30, 45), 60, looks=[RED])
    objects = join([result(FIRST, still("1", range(10), looks=[RED])), result(SECOND, back)])
    assert lefts(objects) == {"1": dict.fromkeys(range(10), 20.0) | dict.fromkeys(range(30, 45), 60.0)}


def test_looks_are_remembered_over_a_piece_in_which_it_is_not() -> None:
    one, other = still("1", range(10), 0, looks=[RED]), still("2", range(25), 60, looks=[BLUE])
    pieces = [
        result(FIRST, one, other),
        result(SECOND, still("1", range(15, 45), 60, looks=[BLUE])),
        result(THIRD, still("1", range(35, 60), 60), still("2", range(50, 60), 20, looks=[RED])),
    ]
    assert {name: max(found) for name, found in lefts(join(pieces)).items()} == {"1": 59, "2": 59}


def test_what_an_object_came_to_look_like_is_remembered() -> None:
    pieces = [
        result(FIRST, still("1", range(25), looks=[RED])),
        result(SECOND, still("1", range(15, 30), looks=[BLUE])),
        result(THIRD, still("1", range(50, 60), 60, looks=[BLUE])),
    ]
    assert list(lefts(join(pieces))) == ["1"]


def test_what_is_seen_at_once_stays_two() -> None:
    pieces = [
        result(FIRST, still("1", range(25), 0, looks=[RED])),
        result(SECOND, still("1", range(15, 45), 60, looks=[RED])),
    ]
    found = lefts(join(pieces))
    # Each is where it was found alone, even where the other piece counts: nothing contradicts it.
    assert found == {"1": dict.fromkeys(range(25), 0.0), "2": dict.fromkeys(range(15, 45), 60.0)}


def test_what_lies_under_an_object_of_the_piece_that_counts_is_left_out() -> None:
    large, small = still("1", range(25), 20, side=20), still("1", range(15, 45), 24, side=6)
    objects = join([result(FIRST, large), result(SECOND, small)])
    # The small one counts from frame 20 on, and is a hole in what is left of the large one.
    assert {name: (min(found), max(found)) for name, found in lefts(objects).items()} == {"1": (0, 24), "2": (20, 44)}
    observations = {one.id: one.track.observations for one in objects}
    for frame in range(20, 25):
        masks = [observations[name][frame].mask for name in ("1", "2")]
        assert [mask and mask.area for mask in masks] == [400 - 36, 36]


def test_no_pixel_belongs_to_two() -> None:
    pieces = [
        result(FIRST, still("1", range(25), 10), still("2", range(25), 40)),
        result(SECOND, still("1", range(15, 45), 14, side=12), still("2", range(15, 45), 47)),
    ]
    for frame in range(45):
        seen = [one.track.observations[frame] for one in join(pieces) if frame in one.track.observations]
        masks = np.array([found.mask.array() for found in seen if found.mask is not None])
        assert masks.sum(0).max() == 1


def test_a_short_thing_that_only_the_other_piece_saw_under_another_one_vanishes() -> None:
    pieces = [
        result(FIRST, still("1", range(25), 20, side=20)),
        result(SECOND, still("1", range(15, 45), 20, side=20), still("2", range(15, 20), 24, side=6)),
    ]
    assert list(lefts(join(pieces))) == ["1"]


def test_all_detections_say_what_it_is() -> None:
    pieces = [
        result(FIRST, still("1", range(25), votes={"Car": (1.5, 2)})),
        result(SECOND, still("1", range(15, 45), votes={})),
        result(THIRD, still("1", range(35, 60), votes={"Car": (0.5, 1)}), still("2", range(35, 60), 60)),
    ]
    assert {one.id: one.label for one in join(pieces)} == {"1": "Car", "2": None}
    assert {one.id: one.label for one in join(pieces, "Bus")} == {"1": "Bus", "2": "Bus"}


def test_over_a_cut_looks_alone_say_who_it_is() -> None:
    cut = [Piece(0, range(20), range(20)), Piece(1, range(20, 40), range(20, 40), cut=True)]
    same = still("1", range(20, 40), 60, looks=[RED])
    other = still("2", range(20, 40), 20, looks=[BLUE])
    pieces = [result(cut[0], still("1", range(20), 20, looks=[RED])), result(cut[1], same, other)]
    assert {name: sorted(set(found.values())) for name, found in lefts(join(pieces)).items()} == {
        "1": [20.0, 60.0],
        "2": [20.0],
    }


def test_joining_changes_nothing_of_the_pieces() -> None:
    pieces = [result(FIRST, still("1", range(25))), result(SECOND, still("3", range(15, 45)))]
    assert lefts(join(pieces)) == lefts(join(pieces))
    assert [one.track.object_id for piece in pieces for one in piece.objects] == ["1", "3"]
    assert [len(one.track.observations) for piece in pieces for one in piece.objects] == [25, 30]


def test_pieces_without_objects_are_joined_too() -> None:
    assert join([]) == []
    assert join([result(FIRST), result(SECOND)]) == []
    assert list(lefts(join([result(FIRST), result(SECOND, still("3", range(15, 45)))]))) == ["1"]


@pytest.mark.parametrize("piece", [SECOND, THIRD])
def test_no_piece_may_be_left_out(piece: Piece) -> None:
    joiner = Joiner()
    if piece is THIRD:
        joiner.add(result(FIRST))
    with pytest.raises(ValueError, match="is the next"):
        joiner.add(result(piece))
