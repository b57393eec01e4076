"""What the reference does not do: objects that come and go, forks, corrections, frames of other sizes.

The weights are synthetic, so what is found means nothing; what it depends on does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.propagation import xmem_frames
from backend.propagation.parts import Parts
from backend.propagation.propagator import Propagation
from backend.propagation.xmem import XMem, load_xmem
from backend.propagation.xmem_frames import FrameEncoder, XMemFrame
from backend.propagation.xmem_propagator import XMemPropagator, XMemRules
from backend.tracks import BoolArray
from support import golden

HEIGHT, WIDTH = 44, 70
COUNT = 8
RULES = XMemRules(every=2, most=3, least=1, prototypes=4, limit=10)


@pytest.fixture(scope="module")
def network(golden_dir: Path) -> XMem:
    return load_xmem(golden.golden_state(golden_dir, "xmem", 1))


@pytest.fixture(scope="module")
def video(golden_dir: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    synth = golden.golden_weights(golden_dir).synth_frame
    return [synth(5, frame, HEIGHT, WIDTH) for frame in range(COUNT)]


@pytest.fixture(scope="module")
def frames(network: XMem, video: list[tuple[np.ndarray, np.ndarray]]) -> list[XMemFrame]:
    encoder = FrameEncoder(network)
    return [encoder.encode(image) for image, _ in video]


class Room:
    def __init__(self, network: XMem, frames: list[XMemFrame], labels: list[np.ndarray]) -> None:
        self.network = network
        self.frames = frames
        self.labels = labels

    def new(self, parts: int = 4) -> XMemPropagator:
        return XMemPropagator(self.network, RULES, Parts(parts))

    def mask(self, frame: int, name: str) -> BoolArray:
        """The objects are a, b, c."""
        return self.labels[frame] == 1 + "abc".index(name)

    def give(self, propagator: XMemPropagator, frame: int, names: str) -> None:
        masks = {name: self.mask(frame, name) for name in names}
        assert propagator.step(frame, self.frames[frame], masks, ()) == {}

    def step(self, propagator: XMemPropagator, frame: int, names: str) -> dict[str, Propagation]:
        found = propagator.step(frame, self.frames[frame], {}, list(names))
        assert list(found) == list(names)
        return found

    def follow(self, propagator: XMemPropagator, frames: range, names: str) -> dict[str, Tensor]:
        for frame in frames:
            self.step(propagator, frame, names)
        return propagator.probabilities


@pytest.fixture
def room(network: XMem, frames: list[XMemFrame], video: list[tuple[np.ndarray, np.ndarray]]) -> Room:
    return Room(network, frames, [labels for _, labels in video])


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], atol: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=atol)


def differ(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return any(bool((one[name] - other[name]).abs().max() > 1e-3) for name in one)


def test_masks_do_not_overlap_and_have_the_size_of_the_frame(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "abc")
    for frame in range(1, COUNT):
        found = room.step(propagator, frame, "abc")
        masks = [one.mask for one in found.values() if one.mask is not None]
        assert masks
        assert all(mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool for mask in masks)
        assert int(np.sum(masks, axis=0).max()) == 1
        assert all(0 <= one.score <= 1 and one.quality is not None for one in found.values())


def test_what_was_never_given_cannot_be_wanted(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "a")
    with pytest.raises(KeyError, match="b"):
        propagator.step(1, room.frames[1], {}, ["a", "b"])
    with pytest.raises(KeyError, match="a"):
        propagator.fork().step(1, room.frames[1], {}, ["a"])


def test_nothing_wanted_nothing_found(room: Room) -> None:
    propagator = room.new()
    assert room.step(propagator, 0, "") == {}
    room.give(propagator, 0, "a")
    assert room.step(propagator, 1, "") == {}
    assert propagator.probabilities == {}


@pytest.mark.parametrize("order", [range(COUNT), range(COUNT - 1, -1, -1)], ids=["forward", "backward"])
def test_few_at_once_are_found_as_many_are(room: Room, order: range) -> None:
    found = []
    for parts in (1, 2, 4):
        propagator = room.new(parts)
        room.give(propagator, order[0], "abc")
        for frame in order[1:]:
            room.step(propagator, frame, "abc")
        found.append(propagator.probabilities)
    same(found[0], found[2], 1e-3)
    same(found[1], found[2], 1e-3)


def test_out_of_memory_halves_the_parts_and_goes_on(
    room: Room, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = room.new(1)
    room.give(expected, 0, "abc")
    room.follow(expected, range(1, 4), "abc")
    decode = room.network.decode

    def small(features, readout, hidden, *, update):
        if len(readout) > 1:
            raise torch.OutOfMemoryError
        return decode(features, readout, hidden, update=update)

    monkeypatch.setattr(room.network, "decode", small)
    propagator = room.new(4)
    room.give(propagator, 0, "abc")
    same(room.follow(propagator, range(1, 4), "abc"), expected.probabilities, 1e-3)
    # Three objects in a part of four, then in ones.
    (told,) = caplog.messages
    assert "now on 1 objects" in told


def test_where_one_object_is_too_much_the_error_is_told(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(room.network, "decode", none)
    propagator = room.new(4)
    room.give(propagator, 0, "abc")
    with pytest.raises(torch.OutOfMemoryError):
        room.step(propagator, 1, "abc")


def test_an_object_that_was_forgotten_leaves_no_trace(room: Room) -> None:
    propagator, alone = room.new(), room.new()
    room.give(propagator, 1, "bc")
    for one in (propagator, alone):
        room.give(one, 0, "a")
    propagator.forget(["b", "c", "nobody"])
    same(room.follow(propagator, range(1, COUNT), "a"), room.follow(alone, range(1, COUNT), "a"))
    with pytest.raises(KeyError, match="b"):
        room.step(propagator, 1, "b")


def test_one_that_is_forgotten_on_its_frame_no_longer_competes_there(room: Room) -> None:
    propagator, alone = room.new(), room.new()
    for one in (propagator, alone):
        room.give(one, 0, "ab" if one is propagator else "a")
    room.step(propagator, 1, "ab")
    propagator.forget(["a", "b"])
    for one in (propagator, alone):
        room.give(one, 1, "c")
    same(propagator.probabilities, {"c": alone.probabilities["c"]})


def test_an_object_that_joins_is_read_from_its_own_frames(room: Room) -> None:
    """However much the others are remembered before; and these do not lose what they had."""
    propagator = room.new()
    room.give(propagator, 0, "a")
    room.follow(propagator, range(1, 4), "a")
    room.give(propagator, 4, "b")
    known = {
        name: [one.frame for one in propagator._bank.read(5) if name in one.values and one.permanent]
        for name in ("a", "b")
    }
    assert known == {"a": [0], "b": [4]}
    found = room.follow(propagator, range(5, COUNT), "ab")
    assert found.keys() == {"a", "b"}
    both = [one for one in propagator._bank.read(7) if one.values.keys() == {"a", "b"}]
    assert both


def test_an_object_given_later_sees_those_found_on_its_frame(room: Room) -> None:
    """It is told apart from them, and they from it."""
    propagator, alone = room.new(), room.new()
    room.give(propagator, 0, "a")
    room.step(propagator, 1, "a")
    before = propagator.probabilities["a"]
    room.give(propagator, 1, "b")
    room.give(alone, 1, "b")
    mine = room.mask(1, "b")
    after = propagator.probabilities["a"]
    assert bool((after[mine] < 1e-5).all())
    assert torch.equal(after[~mine] > 0.5, before[~mine] > 0.5)
    (one,) = [one for one in propagator._bank.read(1) if "b" in one.values]
    (other,) = alone._bank.read(1)
    assert not torch.equal(one.values["b"], other.values["b"])


def test_one_call_or_two_for_an_object_that_is_given_on_the_way(room: Room) -> None:
    """Who is propagated on the frame on which another is given is told the same either way."""
    once, twice = room.new(), room.new()
    for one in (once, twice):
        room.give(one, 0, "a")
        room.step(one, 1, "a")
    found = once.step(2, room.frames[2], {"b": room.mask(2, "b")}, ["a"])
    room.step(twice, 2, "a")
    room.give(twice, 2, "b")
    assert list(found) == ["a"]
    same(once.probabilities, twice.probabilities, 1e-4)


def test_a_given_object_that_is_wanted_too_is_what_was_given(room: Room) -> None:
    propagator = room.new()
    mask = room.mask(0, "a")
    (found,) = propagator.step(0, room.frames[0], {"a": mask}, ["a"]).values()
    assert np.array_equal(found.mask, mask)
    assert found.score > 0.95


def test_a_correction_replaces_what_was_given_on_its_frame(room: Room) -> None:
    propagator, right = room.new(), room.new()
    propagator.step(0, room.frames[0], {"a": room.mask(0, "b")}, ())
    for one in (propagator, right):
        room.give(one, 0, "a")
    (mine,), (theirs,) = propagator._bank.read(0), right._bank.read(0)
    torch.testing.assert_close(mine.values["a"], theirs.values["a"])


def test_a_fork_knows_what_was_given_and_nothing_else(room: Room) -> None:
    propagator, fresh = room.new(), room.new()
    for one in (propagator, fresh):
        room.give(one, 0, "a")
        room.give(one, 5, "a")
    room.follow(propagator, range(1, 5), "a")
    fork, twin = propagator.fork(), fresh.fork()
    for one in (fork, twin):
        room.give(one, 0, "a")
    same(room.follow(fork, range(1, 5), "a"), room.follow(twin, range(1, 5), "a"))
    assert {one.frame for one in fresh._bank.read(0)} == {0, 5}


def test_a_branch_goes_on_alone_and_leaves_no_trace(room: Room) -> None:
    propagator, undisturbed = room.new(), room.new()
    for one in (propagator, undisturbed):
        room.give(one, 0, "ab")
        room.follow(one, range(1, 5), "ab")
    branch = propagator.branch()
    on = room.follow(branch, range(5, COUNT), "ab")
    same(room.follow(propagator, range(5, COUNT), "ab"), on)
    assert propagator.branch().probabilities.keys() == {"a", "b"}
    room.follow(undisturbed.branch(), range(3, 0, -1), "a")
    same(room.follow(undisturbed, range(5, COUNT), "ab"), on)


def propagated(propagator: XMemPropagator) -> dict[int, dict[str, Tensor]]:
    """What is remembered of propagated frames."""
    found = [(one.frame, dict(one.values)) for one in propagator._bank.read(0) if not one.permanent]
    assert len({frame for frame, _ in found}) == len(found)
    return dict(found)


@pytest.mark.parametrize(("last", "known"), [(1, []), (2, ["a", "b"])], ids=["forgotten", "remembered"])
def test_an_amended_frame_is_remembered_as_it_was_amended(room: Room, last: int, known: list[str]) -> None:
    propagator = room.new()
    room.give(propagator, 0, "ab")
    room.follow(propagator, range(1, last + 1), "ab")
    before = propagated(propagator).get(last, {})
    assert sorted(before) == known
    wrong, mask = propagator.probabilities["a"], room.mask(last, "a")
    propagator.amend(last, room.frames[last], {"a": mask})
    assert np.array_equal(propagator.probabilities["a"] > 0.5, mask)
    assert not torch.equal(wrong > 0.5, torch.from_numpy(mask))
    after = propagated(propagator)[last]
    assert sorted(after) == (known or ["a"])
    assert "a" not in before or not torch.equal(after["a"], before["a"])
    assert all(torch.equal(after[name], before[name]) for name in known if name != "a")


def test_what_was_amended_is_followed_but_was_not_given(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "ab")
    room.step(propagator, 1, "ab")
    other = propagator.branch()
    propagator.amend(1, room.frames[1], {"a": room.mask(1, "c")})
    found = room.step(propagator, 2, "ab")["a"].quality
    plain = room.step(other, 2, "ab")["a"].quality
    assert differ(propagator.probabilities, other.probabilities)
    assert found is not None
    assert plain is not None
    assert found.continuity != plain.continuity
    assert propagated(propagator).keys() == {1, 2}
    assert propagated(other).keys() == {2}
    assert propagated(propagator.fork()) == {}


def test_to_amend_twice_is_to_amend_once(room: Room) -> None:
    """The hidden state learns from what is believed in the end, and from that alone."""
    once, twice = room.new(), room.new()
    for one in (once, twice):
        room.give(one, 0, "a")
        room.follow(one, range(1, 3), "a")
    twice.amend(2, room.frames[2], {"a": room.mask(2, "b")})
    for one in (once, twice):
        one.amend(2, room.frames[2], {"a": room.mask(2, "a")})
    same(propagated(once)[2], propagated(twice)[2])
    same(room.follow(once, range(3, 5), "a"), room.follow(twice, range(3, 5), "a"))


def test_what_was_not_found_cannot_be_amended(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "ab")
    room.step(propagator, 1, "a")
    for name in "bc":
        with pytest.raises(KeyError, match=name):
            propagator.amend(1, room.frames[1], {name: room.mask(1, name)})


def test_after_a_cut_nothing_hidden_is_left(room: Room) -> None:
    propagator, other = room.new(), room.new()
    for one in (propagator, other):
        room.give(one, 0, "a")
    propagator.lose()
    lost, kept = room.step(propagator, 1, "a"), room.step(other, 1, "a")
    assert differ(propagator.probabilities, other.probabilities)
    assert lost["a"].quality is not None
    assert kept["a"].quality is not None
    assert lost["a"].quality.continuity is None
    assert kept["a"].quality.continuity is not None


def test_one_who_waits_is_not_forgotten_and_is_remembered_anew_in_time(room: Room) -> None:
    """Frames may be left out; a frame on which another is given does not put it off."""
    propagator = room.new()
    room.give(propagator, 0, "a")
    room.step(propagator, 1, "a")
    room.give(propagator, 1, "b")
    room.step(propagator, 2, "ab")
    room.step(propagator, 6, "ab")
    frames = [(one.frame, sorted(one.values)) for one in propagator._bank.read(6) if not one.permanent]
    assert frames == [(2, ["a", "b"]), (6, ["a", "b"])]


def test_large_frames_are_scaled_down_and_their_masks_up(
    room: Room, monkeypatch: pytest.MonkeyPatch, golden_dir: Path
) -> None:
    synth = golden.golden_weights(golden_dir).synth_frame
    image, labels = synth(5, 0, 90, 150)
    monkeypatch.setattr(xmem_frames, "SHORT_SIDE", 45)
    frame = FrameEncoder(room.network).encode(image)
    assert (frame.size, frame.scaled) == ((90, 150), (45, 75))
    assert frame.features.image.shape == (1, 3, 48, 80)
    propagator = room.new()
    found = propagator.step(0, frame, {"a": labels == 1, "b": labels == 2}, ["a", "b"])
    assert propagator.probabilities["a"].shape == (45, 75)
    for label, name in enumerate("ab", 1):
        mask, truth = found[name].mask, labels == label
        assert mask is not None
        assert mask.shape == truth.shape
        assert (mask & truth).sum() / (mask | truth).sum() > 0.9


def test_an_empty_mask_is_an_object_too(room: Room) -> None:
    propagator = room.new()
    propagator.step(0, room.frames[0], {"a": np.zeros((HEIGHT, WIDTH), bool)}, ())
    (found,) = propagator.step(0, room.frames[0], {"a": np.zeros((HEIGHT, WIDTH), bool)}, ["a"]).values()
    assert found.mask is None
    assert found.score > 0.99
    room.step(propagator, 1, "a")


def test_what_is_kept_is_bounded(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "ab")
    tokens = []
    for frame in range(1, 60):
        propagator.step(frame, room.frames[frame % COUNT], {}, ["a", "b"])
        tokens.append(sum(len(one.keys) for one in propagator._bank.read(frame)))
    each = len(next(iter(propagator._bank.read(0))).keys)
    assert max(tokens) <= 4 * each + RULES.limit
    assert max(tokens[40:]) <= max(tokens[:40])


def test_what_is_denied_is_looked_for_and_not_remembered(room: Room) -> None:
    propagator = room.new()
    room.give(propagator, 0, "ab")
    room.follow(propagator, range(1, 3), "ab")
    assert sorted(propagated(propagator)[2]) == ["a", "b"]
    propagator.deny({"a"})
    assert sorted(propagated(propagator)[2]) == ["b"]
    found = room.step(propagator, 3, "ab")
    continuity = {name: one.quality.continuity for name, one in found.items() if one.quality is not None}
    assert continuity["a"] is None
    assert continuity["b"] is not None


def test_objects_that_are_exchanged_go_on_as_each_other(room: Room) -> None:
    propagator, undisturbed = room.new(), room.new()
    for one in (propagator, undisturbed):
        room.give(one, 0, "ab")
        room.follow(one, range(1, 4), "ab")
    before = propagated(propagator)[2]
    propagator.exchange("a", "b", [2, 3])
    after = propagated(propagator)[2]
    assert torch.equal(after["a"], before["b"])
    assert torch.equal(after["b"], before["a"])
    assert differ(
        room.follow(propagator.branch(), range(4, 6), "ab"), room.follow(undisturbed.branch(), range(4, 6), "ab")
    )
    propagator.exchange("b", "a", [2, 3])
    same(room.follow(propagator, range(4, 6), "ab"), room.follow(undisturbed, range(4, 6), "ab"))


def test_an_object_may_be_followed_from_a_place_alone(room: Room) -> None:
    """A fork remembers what it was given, and is told where it is; that is not remembered."""
    propagator = room.new()
    room.give(propagator, 0, "a")
    fork = propagator.fork()
    fork.expect(room.frames[1], {"a": room.mask(1, "a")})
    found = room.step(fork, 2, "a")["a"]
    assert found.quality is not None
    assert found.quality.continuity is not None
    assert {one.frame for one in fork._bank.read(0)} == {0, 2}  # it was due: nobody knows when it was remembered
