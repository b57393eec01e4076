"""The guard at work in a tracker: prompted squares that cross, and a propagator that takes one for the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from backend.association.identity import Calibration
from backend.propagation.propagator import Propagation
from backend.segmentation.cache import EncodingCache
from backend.tracking.looks import Looks
from backend.tracking.tracker import VideoTracker
from backend.tracks import BoolArray, FloatArray, ImageArray, Prompt
from support.colours import SIZE, Colours, picture, square
from support.fake_rooms import GOOD, FakePropagator, FakeSegmenter, FakeVideo

COUNT, CROSSING = 11, 5


def places(frame: int) -> dict[str, int | None]:
    """``a`` goes to the right and ``b`` to the left; on frame 5 they are in one place."""
    return {"a": 10 + 8 * frame, "b": 90 - 8 * frame}


def beyond(start: int) -> range:
    """The frames behind the crossing, seen from another one."""
    return range(CROSSING + 1, COUNT) if start < CROSSING else range(CROSSING)


class Street(FakeVideo):
    def __init__(self) -> None:
        super().__init__(COUNT)
        self.height, self.width = SIZE

    def frame(self, index: int) -> ImageArray:
        return picture(places(index))


@dataclass(frozen=True)
class Seen:
    image: ImageArray
    nbytes: int = 0


class Eye:
    def encode(self, image: ImageArray) -> Any:
        return Seen(image)


class Sees(Colours):
    def embed(self, encoding: Any, boxes: Any, masks: Any = None) -> Any:
        return super().embed(encoding.image, boxes, masks)


class Confused(FakePropagator):
    """Beyond the crossing it goes on with each under the other's name, until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = False
        self.start = CROSSING

    def fork(self) -> Confused:
        return Confused()

    def step(
        self,
        frame: int,
        encoding: Any,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        if given:
            self.start = frame
        other = {"a": "b", "b": "a"} if frame in beyond(self.start) and not self.told else {}
        found = {name: square(places(frame)[other.get(name, name)] or 0) for name in wanted}
        return {name: Propagation(mask, 0.9, GOOD) for name, mask in found.items()}

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        self.told = not self.told


def track(looks: Looks | None, *prompted: int) -> list[int]:
    """The frames on which somebody is called by the wrong name, where a human has shown both on some frames."""
    tracker = VideoTracker(FakeSegmenter().as_segmenter, Confused, EncodingCache(0), looks=looks)
    prompts = [Prompt(name, at, mask=square(left or 0)) for at in prompted for name, left in places(at).items()]
    found: dict[int, dict[str, int]] = {}
    for result in tracker.track(Street().as_reader, prompts):
        there = {one.object_id: int(one.box[0]) for one in result.observations if one.box is not None}
        found.setdefault(result.frame, {}).update(there)
    assert sorted(found) == list(range(COUNT))
    return [frame for frame in range(COUNT) if found[frame] != places(frame)]


@pytest.mark.parametrize("prompted", [(0,), (COUNT - 1,), (0, COUNT - 1)], ids=["forwards", "backwards", "both ways"])
def test_results_are_told_again_where_identities_were_put_right(prompted: tuple[int, ...]) -> None:
    assert track(Looks(Sees(), Calibration(middle=0.7, slope=30.0, swap=30.0), Eye()), *prompted) == []


@pytest.mark.parametrize("prompted", [0, COUNT - 1], ids=["forwards", "backwards"])
def test_without_looks_nobody_sees_that(prompted: int) -> None:
    assert track(None, prompted) == list(beyond(prompted))
