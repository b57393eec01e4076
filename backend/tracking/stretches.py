"""The frames between an object's prompts, and which of them have to be tracked (again) from which end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType

from backend.tracks import Direction, Observation, Prompt


@dataclass(frozen=True, eq=False)
class Before:
    """What was tracked of an object before its prompts changed.

    Attributes:
        observations: by frame; frames that are missing were not tracked.
        changed: frames of prompts that are new, or say something else than they did.
        removed: frames on which there was a prompt that is gone.
        switched: frames of prompts after which the object is gone now and was not before, or the other way.
    """

    observations: Mapping[int, Observation]
    changed: frozenset[int]
    removed: frozenset[int] = frozenset()
    switched: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class Stretch:
    """Consecutive frames of an object without a prompt.

    Attributes:
        name: the object's.
        frames: ascending, at least one.
        forward, backward: whether it is tracked from the prompt before it, from the one behind it.
        bounded: whether there is a prompt at both ends.
        old: what was tracked there before and still counts, of all frames or of none.
        gone: whether the object is gone on the first of them, as the prompt before it says.
    """

    name: str
    frames: range
    forward: bool
    backward: bool
    bounded: bool
    old: Mapping[int, Observation] = field(default_factory=dict)
    gone: bool = False


def find_stretches(
    prompts: Sequence[Prompt],
    span: tuple[int, int],
    direction: Direction | Mapping[str, Direction],
    before: Mapping[str, Before] = MappingProxyType({}),
) -> list[Stretch]:
    """The stretches that have to be tracked.

    Of an object that was tracked before these are the ones at a prompt that changed, from there; those that a prompt
    was taken out of, and those that were not tracked wholly, from both ends. What is left out stays as it was.

    Args:
        prompts: each object has one at most on a frame.
        span: first and last frame; a stretch that leaves it is tracked from the prompt inside.
        direction: which way from an object's prompts, for all or by object (both for one that is not named). Between
            two prompts of an object it is always tracked.
        before: by object, of those that were tracked before.
    """
    marked: dict[str, list[int]] = {}
    for prompt in prompts:
        marked.setdefault(prompt.object_id, []).append(prompt.frame)
    ends = {(prompt.object_id, prompt.frame) for prompt in prompts if prompt.ends}
    found = []
    for name, frames in marked.items():
        way = direction if isinstance(direction, str) else direction.get(name, "both")
        for whole in _stretches(name, sorted(frames), span, way):
            stretch = _within(whole, span)
            if stretch is None:
                continue
            again = stretch if name not in before else _affected(stretch, before[name])
            if again is not None:
                found.append(replace(again, gone=(name, again.frames.start - 1) in ends))
    return found


def _stretches(name: str, marked: Sequence[int], span: tuple[int, int], way: Direction) -> Iterator[Stretch]:
    first, last = span
    if way != "forward" and marked[0] > first:
        yield Stretch(name, range(first, marked[0]), forward=False, backward=True, bounded=False)
    for here, following in pairwise(marked):
        if following > here + 1:
            yield Stretch(name, range(here + 1, following), forward=True, backward=True, bounded=True)
    if way != "backward" and marked[-1] < last:
        yield Stretch(name, range(marked[-1] + 1, last + 1), forward=True, backward=False, bounded=False)


def _within(stretch: Stretch, span: tuple[int, int]) -> Stretch | None:
    """The part of a stretch in the span; None where no prompt is next to that."""
    whole = stretch.frames
    frames = range(max(whole.start, span[0]), min(whole.stop, span[1] + 1))
    if frames == whole:
        return stretch
    forward = stretch.forward and frames.start == whole.start
    backward = stretch.backward and frames.stop == whole.stop
    if not frames or not (forward or backward):
        return None
    return replace(stretch, frames=frames, forward=forward, backward=backward, bounded=False)


def _affected(stretch: Stretch, before: Before) -> Stretch | None:
    """The part of a stretch's tracking that has to be done again; None where nothing has."""
    frames = stretch.frames
    # A removed prompt may lie at the very end of what is tracked: then its traces are everywhere behind it.
    if any(frame in frames for frame in before.removed) or any(one not in before.observations for one in frames):
        return stretch
    forward = stretch.forward and frames.start - 1 in before.changed | before.switched
    backward = stretch.backward and frames.stop in before.changed
    if not forward and not backward:
        return None
    old = {frame: before.observations[frame] for frame in frames}
    return Stretch(stretch.name, frames, forward, backward, stretch.bounded, old)
