"""What the tracker is told of the neighbours of a region that is tracked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from backend.service.records import TrackKey
from backend.service.standing import StoredNeighbours
from backend.tracks import Observation
from support.service import FRAMES, HEIGHT, WIDTH, Item, Service, keyframe, moved, region

Start = Callable[..., Service]

CAR = region("a", keyframe(1, 10, 10, 20, 20))
OTHER = region("b", keyframe(1, 90, 60, 20, 20))
PERSON = region("p", keyframe(1, 50, 80, 10, 20), label="Person")


def corrected(item: Item) -> Item:
    return moved(item, 15, **keyframe(15, 40, 30, 20, 20))


def standing(service: Service, frame: int = 3) -> dict[str, Observation]:
    """What the last call of the tracker was told of a frame."""
    told = service.tracker.calls[-1].standing
    assert told is not None
    return dict(told.at(frame))


def stored(service: Service, name: str) -> list[tuple[int, bytes, float]]:
    track = service.keytrack._store.track(TrackKey("1", "1", name))
    assert track is not None
    return [
        (one.frame, b"" if one.mask is None else one.mask.counts, one.score)
        for one in service.keytrack._store.observations(track)
    ]


def test_complete_tracks_of_the_task_stand_whatever_their_class(service: Service) -> None:
    a, b = service.press(CAR, OTHER)
    service.press_one(PERSON)
    service.press_one(region("a", keyframe(1, 10, 10, 20, 20)), number=2)
    known = {name: stored(service, name) for name in ("b", "p")}
    service.press(corrected(a), b)
    assert sorted(standing(service)) == ["b", "p"]
    for frame in range(FRAMES):
        for name, one in standing(service, frame).items():
            assert one.mask is not None
            assert one.mask.size == (HEIGHT, WIDTH)
            assert (frame, one.mask.counts, one.score) in known[name]
    assert {name: stored(service, name) for name in ("b", "p")} == known


def test_who_is_tracked_in_the_same_pass_does_not(service: Service) -> None:
    a, b = service.press(CAR, OTHER)
    service.press(corrected(a), moved(b, 15, **keyframe(15, 90, 30, 20, 20)))
    assert standing(service) == {}


def test_a_region_that_was_deleted_is_no_neighbour(service: Service) -> None:
    a, _ = service.press(CAR, OTHER)
    service.press(corrected(a))
    assert standing(service) == {}


def test_tracks_on_another_frame_rate_are_no_neighbours(service: Service) -> None:
    service.press_one(PERSON)
    service.press_one(CAR, data={"video": "clip.mp4", "fps": 5})
    assert standing(service) == {}


def test_an_unfinished_track_is_no_neighbour(start: Start) -> None:
    service = start(budget=0.5)
    service.press_one(PERSON)
    service.tracker.fails_at[20] = RuntimeError("broken")
    service.press_one(moved(PERSON, 1, **keyframe(1, 52, 80, 10, 20)))
    service.tracker.fails_at.clear()
    service.press_one(CAR)
    assert standing(service) == {}


def test_a_neighbour_that_is_changed_meanwhile_stands_no_more(service: Service) -> None:
    service.press_one(PERSON)
    service.press_one(CAR)
    neighbours = StoredNeighbours(service.keytrack._store, [TrackKey("1", "1", "a")], (HEIGHT, WIDTH))
    assert sorted(neighbours.at(3)) == ["p"]
    person = service.keytrack._store.track(TrackKey("1", "1", "p"))
    assert person is not None
    service.keytrack._store.begin(person.key, 9, replace(person.demand, human=[]), keep=True)
    assert neighbours.at(3) == {}


def test_masks_of_another_size_say_nothing(service: Service) -> None:
    service.press_one(PERSON)
    service.press_one(CAR)
    assert StoredNeighbours(service.keytrack._store, [TrackKey("1", "1", "a")], (HEIGHT, WIDTH + 1)).at(3) == {}
