from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import pytest

from backend.errors import VideoError
from backend.tracking.follow import SEARCH_EVERY, Follower, Shown
from backend.tracking.fusion import Fusion
from backend.tracking.plan import Pass, make_pass
from backend.tracking.stretches import find_stretches
from backend.tracks import BoolArray, Direction, FrameResult, Prompt
from support.fake_rooms import HEIGHT, WIDTH, FakePropagator, FakeVideo, encoding_of, index_of


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


def mask_at(x: int) -> BoolArray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[10:20, x : x + 10] = True
    return mask


class Room:
    """A follower over fakes, for objects that were given at the frames told."""

    def __init__(
        self,
        count: int,
        marked: Mapping[str, list[int]],
        cuts: list[int] | None = None,
        ends: Collection[str] = (),
        loose: Collection[str] = (),
        **absent: Collection[int],
    ) -> None:
        self.video = FakeVideo(count, cuts or [])
        self.propagator = FakePropagator(absent)
        self.prompts = [Prompt(name, frame, mask=mask_at(0)) for name, frames in marked.items() for frame in frames]
        masks: dict[int, dict[str, BoolArray]] = {}
        for number, prompt in enumerate(self.prompts):
            masks.setdefault(prompt.frame, {})[prompt.object_id] = mask_at(2 * number)
        self.shown = {frame: Shown(given, frozenset(loose), frozenset(ends)) for frame, given in masks.items()}
        self.follower = Follower(self.video.as_reader, self._encode, self.propagator, self.shown)
        self.encoded: list[int] = []

    def passes(self, direction: Direction = "both") -> tuple[Pass, Pass]:
        return Fusion(find_stretches(self.prompts, (0, self.video.count - 1), direction)).passes()

    def forward(self) -> list[FrameResult]:
        return list(self.follower.follow(self.passes()[0]))

    def backward(self) -> list[FrameResult]:
        return list(self.follower.follow(self.passes()[1]))

    def follow(self, frames: Iterable[int]) -> list[FrameResult]:
        """Forwards over some frames, for object a."""
        return list(self.follower.follow(make_pass(dict.fromkeys(frames, "a"), 1)))

    def _encode(self, frame: int, image):
        assert index_of(image) == frame
        self.encoded.append(frame)
        return encoding_of(image)


def presence(results: list[FrameResult], name: str = "a") -> dict[int, bool]:
    found = {}
    for result in results:
        for one in result.observations:
            assert one.frame == result.frame
            assert not one.human
            assert 0 <= one.score <= 1
            if one.object_id == name:
                assert result.frame not in found
                found[result.frame] = one.present
    return found


def test_forward_in_order_after_the_given_frame() -> None:
    room = Room(6, {"a": [1]})
    results = room.forward()
    assert [result.frame for result in results] == [2, 3, 4, 5]
    assert all(presence(results).values())
    assert room.propagator.log == [
        ("step", 1, ("a",), ()),
        *(("step", frame, (), ("a",)) for frame in (2, 3, 4, 5)),
    ]


def test_backward_in_order() -> None:
    room = Room(6, {"a": [4]})
    assert [result.frame for result in room.backward()] == [3, 2, 1, 0]
    assert room.propagator.log[0] == ("step", 4, ("a",), ())
    assert room.propagator.steps == [3, 2, 1, 0]


@pytest.mark.parametrize(("marked", "direction", "frame"), [([1], "both", 0), ([3, 5], "forward", 4)])
def test_backward_over_a_single_frame(marked: list[int], direction: Direction, frame: int) -> None:
    """The frame before it, in the pass's direction, is the one that was given."""
    room = Room(7, {"a": marked})
    backward = room.passes(direction)[1]
    assert presence(list(room.follower.follow(backward))) == {frame: True}
    assert room.propagator.log[0] == ("step", frame + 1, ("a",), ())


def test_an_empty_pass_reads_nothing() -> None:
    room = Room(3, {"a": [2]})
    assert room.forward() == []
    assert room.video.asked == []
    assert room.propagator.log == []


def test_what_is_found_is_told_as_it_was_found() -> None:
    room = Room(3, {"a": [0], "b": [0]}, b=[1])
    first = room.forward()[0]
    assert [one.object_id for one in first.observations] == ["a", "b"]
    a, b = first.observations
    assert a.mask is not None
    assert (a.mask.array() == mask_at(0)).all()
    assert b.mask is None
    assert a.score == b.score == 0.8


def test_an_object_joins_on_the_frame_after_its_prompt() -> None:
    room = Room(6, {"a": [0], "b": [3]})
    results = room.forward()
    assert presence(results) == dict.fromkeys(range(1, 6), True)
    assert presence(results, "b") == {4: True, 5: True}
    assert ("step", 3, ("b",), ()) in room.propagator.log
    # Given after its own frame was propagated for the others.
    assert room.propagator.log.index(("step", 3, ("b",), ())) > room.propagator.log.index(("step", 3, (), ("a",)))


def test_from_prompt_to_prompt_each_goes_its_part() -> None:
    room = Room(11, {"a": [2, 7]})
    assert sorted(presence(room.forward())) == [3, 4, 5, 6, 8, 9, 10]
    room = Room(11, {"a": [2, 7]})
    results = room.backward()
    assert [result.frame for result in results] == [6, 5, 4, 3, 1, 0]
    assert [entry[1] for entry in room.propagator.log if entry[2]] == [7, 2]


@pytest.mark.parametrize("back", range(4, 24))
def test_while_absent_few_frames_are_looked_at_yet_all_are_told(back: int) -> None:
    room = Room(24, {"a": [0]}, a=range(3, back))
    results = room.forward()
    found = presence(results)
    assert sorted(found) == list(range(1, 24))
    assert not any(found[frame] for frame in range(3, back))
    # It may be missed where it comes back at the very end, which is not looked at; else every frame is found.
    searched = [frame for frame in range(3, 24) if (frame - 3) % SEARCH_EVERY == 0 and frame >= back]
    for frame in range(back, 24):
        assert found[frame] == bool(searched)
    looked = [frame for frame in room.propagator.steps if 3 <= frame < back]
    assert len(looked) <= (back - 3) // SEARCH_EVERY + 2


def test_an_object_that_never_comes_back() -> None:
    room = Room(40, {"a": [0]}, a=range(3, 40))
    found = presence(room.forward())
    assert [frame for frame, there in found.items() if there] == [1, 2]
    assert sorted(found) == list(range(1, 40))
    assert len(room.propagator.steps) == 2 + -(-37 // SEARCH_EVERY)
    assert room.encoded == [0, *room.propagator.steps]


def test_what_comes_late_while_absent_is_nearest_first() -> None:
    room = Room(12, {"a": [0]}, a=range(2, 5))
    order = [result.frame for result in room.forward()]
    # 2 was looked at and found empty; 6 is looked at next: it is there, so 5 is, and 4 and before are not.
    assert order == [1, 2, 5, 4, 3, 6, 7, 8, 9, 10, 11]
    assert room.propagator.steps == [1, 2, 6, 5, 4, 7, 8, 9, 10, 11]


def test_found_again_is_followed_at_once() -> None:
    """What was learned on the way back to where it reappeared does not count for the frames after."""
    room = Room(30, {"a": [0]}, a=range(2, 5))
    room.forward()
    after = [frame for frame in room.propagator.steps if frame > 6]
    assert after == list(range(7, 30))


def test_nobody_is_skipped_while_another_is_there() -> None:
    room = Room(10, {"a": [0], "b": [0]}, a=range(3, 10))
    results = room.forward()
    assert [result.frame for result in results] == list(range(1, 10))
    assert room.propagator.steps == list(range(1, 10))
    assert presence(results, "b") == dict.fromkeys(range(1, 10), True)


def test_an_object_that_joins_ends_the_skipping() -> None:
    room = Room(12, {"a": [0], "b": [5]}, a=range(3, 12))
    results = room.forward()
    assert presence(results, "b") == dict.fromkeys(range(6, 12), True)
    assert sorted(presence(results)) == list(range(1, 12))
    assert not any(presence(results)[frame] for frame in range(3, 12))


def test_a_prompt_after_a_gap_starts_afresh() -> None:
    """The frames that were skipped before the gap are not asked of what is known only beyond it."""
    # From 0 to 10, then from 21 on; absent from 8 on, so that 9 and 10 are skipped.
    room = Room(26, {"a": [0, 20]}, a=range(8, 20))
    results = room.follow([*range(1, 11), *range(21, 26)])
    assert presence(results) == {frame: frame < 8 or frame > 20 for frame in [*range(1, 11), *range(21, 26)]}
    assert room.propagator.steps == [*range(1, 9), *range(21, 26)]
    assert [result.frame for result in results] == [*range(1, 9), 10, 9, *range(21, 26)]


def test_a_cut_loses_what_was_followed() -> None:
    room = Room(12, {"a": [0]}, cuts=[6], a=range(6, 12))
    found = presence(room.forward())
    assert found == {frame: frame < 6 for frame in range(1, 12)}
    log = room.propagator.log
    assert log.count(("lose",)) == 1
    assert log[log.index(("lose",)) + 1] == ("step", 6, (), ("a",))


def test_a_cut_backwards() -> None:
    room = Room(12, {"a": [11]}, cuts=[6])
    room.backward()
    log = room.propagator.log
    assert log[log.index(("lose",)) + 1] == ("step", 5, (), ("a",))


def test_a_cut_right_after_the_prompt() -> None:
    room = Room(12, {"a": [5]}, cuts=[6])
    room.forward()
    assert room.propagator.log[:3] == [("step", 5, ("a",), ()), ("lose",), ("step", 6, (), ("a",))]


def test_a_cut_between_two_parts_of_a_pass_is_none_of_its_business() -> None:
    room = Room(24, {"a": [0, 20]}, cuts=[15])
    room.follow([*range(1, 11), *range(21, 24)])
    assert ("lose",) not in room.propagator.log


def test_after_a_cut_the_first_frame_is_searched_even_while_skipping() -> None:
    room = Room(24, {"a": [0]}, cuts=[12], a=range(2, 12))
    found = presence(room.forward())
    assert found == {frame: not 2 <= frame < 12 for frame in range(1, 24)}
    assert 12 in room.propagator.steps
    # The other shot's frames are told absent without a look.
    assert 11 not in room.propagator.steps


def test_what_the_video_raises_comes_in_its_place() -> None:
    room = Room(10, {"a": [0]})
    room.video.fails_at[6] = VideoError("frame 6 is damaged")
    results = room.follower.follow(room.passes()[0])
    frames = []
    with pytest.raises(VideoError, match="frame 6 is damaged"):
        frames.extend(result.frame for result in results)
    # Judging whether a cut lies before a frame takes a few frames after it, so the error may come early.
    assert frames == [] or frames == list(range(1, len(frames) + 1))


def test_closed_early() -> None:
    room = Room(200, {"a": [0]})
    results = room.follower.follow(room.passes()[0])
    assert next(results).frame == 1
    results.close()
    assert room.propagator.steps == [1]
    assert len(set(room.video.asked)) < 30


def test_what_is_no_longer_wanted_is_not_looked_at() -> None:
    room = Room(40, {"a": [0], "b": [0]})
    asked: list[int] = []

    def wanted(route: Pass, frame: int) -> frozenset[str]:
        asked.append(frame)
        return route.wanted[frame] - set("" if frame < 5 else "a" if frame < 10 else "ab")

    follower = Follower(room.video.as_reader, room._encode, room.propagator, room.shown, wanted=wanted)
    results = list(follower.follow(room.passes()[0]))
    assert [[one.object_id for one in result.observations] for result in results] == [["a", "b"]] * 4 + [["b"]] * 5
    assert [result.frame for result in results] == list(range(1, 10))
    assert max(room.encoded) == 9
    assert max(room.video.asked) < 20
    assert max(asked) == 39


def test_what_was_decoded_before_it_was_known_to_be_of_no_use() -> None:
    room = Room(10, {"a": [0]})
    done: set[int] = set()

    def wanted(route: Pass, frame: int) -> frozenset[str]:
        return frozenset() if frame in done else route.wanted[frame]

    follower = Follower(room.video.as_reader, room._encode, room.propagator, room.shown, wanted=wanted)
    frames = []
    for result in follower.follow(room.passes()[0]):
        frames.append(result.frame)
        done.update(range(3, 10))
    assert frames == [1, 2]


def test_after_the_end_of_its_span_an_object_is_looked_for() -> None:
    """From the frame that was given it is gone: not every frame is looked at before it is found again."""
    gone = range(3, 10)
    room = Room(14, {"a": [2]}, ends="a", a=gone)
    found = presence(room.forward())
    assert found == {frame: frame not in gone for frame in range(3, 14)}
    assert room.propagator.log[:2] == [("step", 2, ("a",), ()), ("deny", "a")]
    assert len([frame for frame in room.propagator.steps if frame in gone]) < len(gone)


def test_before_the_end_of_its_span_it_is_there() -> None:
    room = Room(5, {"a": [3]}, ends="a")
    assert presence(room.backward()) == dict.fromkeys(range(3), True)
    assert ("deny", "a") not in room.propagator.log


def test_a_mask_that_tells_the_place_only_is_not_remembered() -> None:
    room = Room(5, {"a": [1], "b": [1]}, loose="b")
    assert presence(room.forward(), "b") == dict.fromkeys(range(2, 5), True)
    assert room.propagator.log[:2] == [("step", 1, ("a",), ()), ("expect", ("b",))]


def test_what_comes_back_as_somebody_else_stays_away() -> None:
    """The guard's word counts for how the search goes on."""

    class Denying:
        def watch(self, propagator, frame, image, encoding, result, others):
            found = [replace(one, mask=None) if frame <= 5 else one for one in result.observations]
            return [FrameResult(frame, tuple(found))]

        def given(self, names):
            self.told = set(names)

    guard = Denying()
    room = Room(12, {"a": [0]}, a=[1, 2, 3])
    room.follower = Follower(room.video.as_reader, room._encode, room.propagator, room.shown, guard=guard)
    found = presence(room.forward())
    assert guard.told == {"a"}
    assert found == {frame: frame > 5 for frame in range(1, 12)}
