"""The ways to make a track of what an annotator has marked, which are compared by the effort they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from backend.tracking.corrections import carry_margins
from backend.tracking.keyframes import interpolate
from backend.tracking.stretches import Before
from backend.tracks import Box, Direction, Keyframe, Observation, Point, Prompt

if TYPE_CHECKING:
    from backend.service.engine import Tracker
    from backend.video.frames import Frames


@dataclass(frozen=True)
class Mark:
    """What the annotator says of the object on one frame where it shows: a box, or clicks.

    ``hides_until`` is None unless this is also the last frame before the object is gone: then it is the first frame on
    which it may show again. In Label Studio the keyframe of such a mark has ``enabled`` False.
    """

    frame: int
    box: Box | None = None
    points: tuple[Point, ...] = ()
    hides_until: int | None = None

    def keyframe(self) -> Keyframe | None:
        """The keyframe in Label Studio; None for clicks, which leave none."""
        return None if self.box is None else Keyframe(self.frame, self.box, enabled=self.hides_until is None)

    def prompt(self, name: str) -> Prompt:
        """What the tracker is told."""
        return Prompt(name, self.frame, box=self.box, points=self.points, ends=self.hides_until is not None)


@dataclass(frozen=True)
class Drawing:
    """A track: boxes by frame, None or missing where the object is absent, and what it cost.

    ``propagated`` counts the frames that the tracker had to go through for this drawing, the marked ones aside.
    """

    boxes: Mapping[int, Box | None]
    propagated: int = 0


class Way(Protocol):
    """Makes tracks of one object; it may keep what it likes from one drawing to the next."""

    def draw(self, marks: Sequence[Mark]) -> Drawing:
        """The track of all that was marked so far, sorted by frame; the first mark is where the object first shows.

        Raises:
            PromptError: nothing can be made out where the object is marked.
        """


@dataclass(frozen=True, eq=False)
class Press:
    """What a press of ``t`` runs, for one object of a video.

    Attributes:
        tracker: the product's.
        video: the frames.
        name: the object's.
        cancelled: asked between frames; True leaves a track unfinished.
        advance: called after each frame.
    """

    tracker: Tracker
    video: Frames
    name: str
    cancelled: Callable[[], bool] = lambda: False
    advance: Callable[[], None] = lambda: None

    def track(
        self, marks: Sequence[Mark], frames: range, direction: Direction, before: Before | None = None
    ) -> list[Observation]:
        """Track from the marks, all of which lie in ``frames``: observations as they come, of a frame maybe several.

        Raises PromptError; see :class:`Way`.
        """
        prompts = [mark.prompt(self.name) for mark in marks]
        known = {} if before is None else {self.name: before}
        found: list[Observation] = []
        for result in self.tracker.track(
            self.video,
            prompts,
            span=(frames[0], frames[-1]),
            direction=direction,
            before=known,
            cancelled=self.cancelled,
        ):
            found += result.observations
            self.advance()
        return found


class Linear:
    """Label Studio by itself: straight lines between keyframes, and the last one's box to the end.

    Args:
        frames: the object's, from its first mark to the end of the video.
    """

    def __init__(self, frames: range) -> None:
        self._frames = frames

    def draw(self, marks: Sequence[Mark]) -> Drawing:
        """See :class:`Way`; marks of clicks draw nothing."""
        keyframes = [keyframe for mark in marks if (keyframe := mark.keyframe()) is not None]
        shown = {frame: interpolate(keyframes, frame) for frame in self._frames}
        return Drawing({frame: None if one is None else one.box for frame, one in shown.items()})


class Keytrack:
    """What a mark touches is tracked again, in both directions, with all marks in memory, and the boxes are drawn as
    the annotator draws his.

    Args:
        press: the product's.
        frames: the object's, from its first mark to the end of the video.
    """

    def __init__(self, press: Press, frames: range) -> None:
        self._press = press
        self._frames = frames
        self._marked: dict[int, tuple[Box | None, tuple[Point, ...]]] = {}
        self._hiding: frozenset[int] = frozenset()
        self._tracked: dict[int, Observation] = {}

    def draw(self, marks: Sequence[Mark]) -> Drawing:
        """See :class:`Way`."""
        marked = {mark.frame: (mark.box, mark.points) for mark in marks}
        changed = frozenset(frame for frame, said in marked.items() if said != self._marked.get(frame))
        hiding = frozenset(mark.frame for mark in marks if mark.hides_until is not None)
        before = Before(self._tracked, changed, switched=hiding ^ self._hiding) if self._tracked else None
        found = self._press.track(marks, self._frames, "both", before)
        # What is settled in the end may be any of those that were seen.
        new = {id(one) for one in found if not one.human} - {id(one) for one in self._tracked.values()}
        self._tracked = {**self._tracked, **{one.frame: one for one in found}}
        self._marked, self._hiding = marked, hiding
        drawn = {mark.frame: mark.box for mark in marks if mark.box is not None}
        size = (self._press.video.width, self._press.video.height)
        boxes = carry_margins({frame: one.box for frame, one in self._tracked.items()}, drawn, size)
        return Drawing(boxes, len(new))


class Reprompt:
    """Without memory: from each mark the tracker starts afresh, knows that mark alone, and goes on to the next one.

    Nothing is tracked backwards, since the first mark is on the object's first frame. What was tracked from a mark is
    kept, so that a new mark costs the frames from it to the next one.

    Args:
        press: the product's.
        frames: the object's, from its first mark to the end of the video.
    """

    def __init__(self, press: Press, frames: range) -> None:
        self._press = press
        self._frames = frames
        self._tracked: dict[tuple[int, Box | None, tuple[Point, ...]], dict[int, Box | None]] = {}

    def draw(self, marks: Sequence[Mark]) -> Drawing:
        """See :class:`Way`."""
        boxes: dict[int, Box | None] = {}
        propagated = 0
        ends = [*(mark.frame for mark in marks), self._frames.stop]
        for mark, (start, end) in zip(marks, pairwise(ends), strict=True):
            key = (start, mark.box, mark.points)
            # No mark is ever taken back, so that what is kept went as far as the next one, or further.
            if key not in self._tracked:
                found = self._press.track([mark], range(start, end), "forward")
                propagated += sum(not one.human for one in found)
                self._tracked[key] = {one.frame: one.box for one in found}
            boxes |= {frame: self._tracked[key].get(frame) for frame in range(start, end)}
        return Drawing(boxes, propagated)
