"""What a press has to track again of a region that was tracked before."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from backend.labelstudio.edits import Item, same_box
from backend.service.records import Base
from backend.tracking.stretches import Before, find_stretches
from backend.tracks import Direction, Observation, Prompt
from backend.video.clock import FrameClock


def compare(
    base: Base,
    human: Sequence[Item],
    closed: Collection[int],
    clock: FrameClock,
    observations: Iterable[Observation],
) -> Before:
    """What was tracked of a region, and which of its prompts have changed since.

    A keyframe that the human has switched off or on without changing the box that was handed out is a new prompt that
    says nothing new of its own frame: the mask that is there is its mask.

    Args:
        base: the region when it was last complete.
        human: the human's keyframes now.
        closed: the frames of those among them that end a visible span.
        clock: tells which decoded frame each of them shows.
        observations: those of the base's revision that are still there.
    """
    tracked = {one.frame: one for one in observations}
    now, then, drawn = (_by_index(items, clock) for items in (human, base.human, base.sequence))
    changed = set()
    for index, item in now.items():
        known = then.get(index) or drawn.get(index)
        seen = tracked.get(index)
        if known is None or not same_box(item, known) or seen is None or seen.mask is None:
            changed.add(index)
        elif not seen.human:
            tracked[index] = replace(seen, human=True)
    ends, ended = ({clock.index(frame) for frame in frames} for frames in (closed, base.closed))
    return Before(tracked, frozenset(changed), frozenset(then.keys() - now.keys()), frozenset(ends ^ ended))


def reach_of(prompts: Sequence[Prompt], direction: Direction, count: int) -> range:
    """The frames that an object's track goes over, in a video of ``count``."""
    frames = [prompt.frame for prompt in prompts]
    first = min(frames) if direction == "forward" else 0
    last = max(frames) if direction == "backward" else count - 1
    return range(first, last + 1)


def is_settled(prompts: Sequence[Prompt], direction: Direction, count: int, before: Before) -> bool:
    """Whether nothing of an object has to be tracked again, in a video of ``count`` frames."""
    known = {prompts[0].object_id: before}
    return not before.changed and not find_stretches(prompts, (0, count - 1), direction, known)


def _by_index(items: Sequence[Item], clock: FrameClock) -> Mapping[int, Item]:
    """Keyframes by decode index; of several that show the same decoded frame the first one."""
    found: dict[int, Item] = {}
    for item in items:
        found.setdefault(clock.index(item["frame"]), item)
    return found
