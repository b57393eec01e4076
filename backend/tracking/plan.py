"""What is asked of a tracker, in order, and the passes that carry it out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from backend.errors import FrameOutOfRange, PromptError
from backend.tracks import Prompt

Result = TypeVar("Result")

# Frames that one direction goes on before it is the other's turn, so that work grows both ways from a prompt.
TURN = 8


@dataclass(frozen=True)
class Pass:
    """One direction: the frames in the order they are visited, each with the objects to propagate there.

    ``step`` is 1 forwards and -1 backwards: what is wanted on a frame was wanted or prompted on ``frame - step``.
    """

    frames: tuple[int, ...]
    wanted: Mapping[int, frozenset[str]]
    step: int


def by_frame(prompts: Sequence[Prompt]) -> dict[int, dict[str, Prompt]]:
    """Prompts by frame and object.

    Raises:
        PromptError: no prompt at all, or two of one object on one frame.
    """
    if not prompts:
        raise PromptError("nothing to track: no prompt was given; mark an object on a frame")
    found: dict[int, dict[str, Prompt]] = {}
    for prompt in prompts:
        if prompt.object_id in found.setdefault(prompt.frame, {}):
            raise PromptError(f"object {prompt.object_id!r} has two prompts on frame {prompt.frame}; give one")
        found[prompt.frame][prompt.object_id] = prompt
    return dict(sorted(found.items()))


def goes_on(prompt: Prompt, earlier: Prompt) -> bool:
    """Whether a prompt says all that an earlier one said, and more: then the earlier answer is worth going on from."""
    same = (prompt.frame, prompt.box) == (earlier.frame, earlier.box)
    return same and prompt.points[: len(earlier.points)] == earlier.points


def clamp_span(span: tuple[int, int] | None, prompts: Sequence[Prompt], count: int) -> tuple[int, int]:
    """The first and last frame to track, checked against the video's ``count`` frames and the prompts.

    Raises:
        FrameOutOfRange: a prompt or the span lies beyond the video.
        PromptError: an object has no prompt in the span.
    """
    for prompt in prompts:
        if not 0 <= prompt.frame < count:
            raise FrameOutOfRange(
                f"object {prompt.object_id!r}: the video has frames 0 to {count - 1}, not {prompt.frame}"
            )
    if span is None:
        return 0, count - 1
    first, last = span
    if not 0 <= first <= last < count:
        raise FrameOutOfRange(f"frames {first} to {last} are not a span of the video's frames 0 to {count - 1}")
    inside = {prompt.object_id for prompt in prompts if first <= prompt.frame <= last}
    for prompt in prompts:
        if prompt.object_id not in inside:
            raise PromptError(
                f"object {prompt.object_id!r} is marked on frame {prompt.frame}, outside {first} to {last}"
            )
    return first, last


def make_pass(wanted: Mapping[int, Collection[str]], step: int) -> Pass:
    """The pass in a direction over the frames on which objects are wanted."""
    frames = tuple(sorted(wanted, reverse=step < 0))
    return Pass(frames, {frame: frozenset(names) for frame, names in wanted.items()}, step)


def take_turns(ways: Sequence[Iterator[Result]], cancelled: Callable[[], bool]) -> Iterator[Result]:
    """Merge iterators, :data:`TURN` items of each at a time, until all have ended or ``cancelled`` says so."""
    waiting = deque(ways)
    while waiting:
        way = waiting.popleft()
        for _ in range(TURN):
            if cancelled():
                return
            try:
                item = next(way)
            except StopIteration:
                break
            yield item
        else:
            waiting.append(way)
