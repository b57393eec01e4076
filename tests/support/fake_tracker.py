"""A tracker without models: boxes that move as told, at the pace that a test permits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from backend.tracking.fusion import AGREE_IOU, overlap
from backend.tracking.labels import Labels
from backend.tracking.learned import Learned
from backend.tracking.lives import DEFAULT_RULES, Rules
from backend.tracking.standing import Standing
from backend.tracking.stretches import Before, find_stretches
from backend.tracks import Box, Detection, Direction, FrameResult, Mask, Observation, Prompt
from backend.video.reader import VideoReader

if TYPE_CHECKING:  # which imports torch, and the adapter's own environment has none
    from backend.tracking.click import Answer
    from backend.tracking.everything import EverythingRules

# Seconds until a test gives up, on a slow machine with much else to do; nothing waits this long unless it is broken.
PATIENCE = 90.0


@dataclass
class Call:
    """One call: what was asked, and the frames that were taken by the caller so far."""

    prompts: list[Prompt]
    direction: dict[str, Direction]
    before: dict[str, Before] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    ended: bool = False
    detections: dict[int, Sequence[Detection]] = field(default_factory=dict)
    rules: Rules = DEFAULT_RULES
    everything: EverythingRules | None = None
    standing: Standing | None = None

    def boxes_of(self, object_id: str) -> dict[int, Box]:
        """The prompts' boxes of one object by frame; a mask counts as the box around it."""
        boxes = {p.frame: _box(p) for p in self.prompts if p.object_id == object_id}
        return {frame: box for frame, box in boxes.items() if box is not None}


class FakeTracker:
    """Every object keeps its prompt's size and moves ``velocity`` pixels a frame away from the nearest prompt.

    ``pace`` holds the tracker until :meth:`allow` permits frames. ``absent`` frames have no object, ``doubtful`` ones a
    low score; ``fails_at`` raises ``error`` there. What was tracked before is tracked again only as far as it differs.

    A click makes a square around each positive point, or fills the box; ``clicks`` has the prompts and what they went
    on from, which is the number of the click before. ``encoded`` has the frames that were prepared or clicked on.
    """

    def __init__(self, velocity: tuple[int, int] = (1, 0), *, paced: bool = False) -> None:
        self.velocity = velocity
        self.absent: frozenset[int] = frozenset()
        self.doubtful: frozenset[int] = frozenset()
        self.fails_at: dict[int, Exception] = {}
        self.calls: list[Call] = []
        self.clicks: list[tuple[Prompt, object]] = []
        self.encoded: list[tuple[Hashable, int]] = []
        self._paced = paced
        self._allowed = 0
        self._taken = 0
        self._changed = threading.Condition()

    def track(
        self,
        video: VideoReader,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        before: Mapping[str, Before] = MappingProxyType({}),
        standing: Standing | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """Nearest to the prompts first, each (object, frame) once."""
        ids = sorted({prompt.object_id for prompt in prompts})
        directions = {name: direction if isinstance(direction, str) else direction[name] for name in ids}
        call = Call(list(prompts), directions, dict(before), standing=standing)
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        first, last = span or (0, len(video) - 1)
        frames: dict[str, Collection[int]] = {
            name: self._again(call, name, (first, last), video)
            if name in before
            else _reach(call.boxes_of(name), directions[name], first, last)
            for name in ids
        }
        starts = [prompt.frame for prompt in prompts]
        try:
            for frame in sorted(range(len(video)), key=lambda f: (min(abs(f - start) for start in starts), f)):
                present = [name for name in ids if frame in frames[name]]
                if not present:
                    continue
                if not self._permitted(cancelled):
                    return
                if frame in self.fails_at:
                    raise self.fails_at[frame]
                yield FrameResult(frame, tuple(self._observe(call, name, frame, video) for name in present))
                with self._changed:  # the caller came back for more: it has dealt with this frame
                    call.frames.append(frame)
                    self._changed.notify_all()
        finally:
            with self._changed:
                call.ended = True
                self._changed.notify_all()

    def track_detections(
        self,
        video: VideoReader,
        detections: Mapping[int, Sequence[Detection]],
        *,
        rules: Rules = DEFAULT_RULES,
        labels: Labels | None = None,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """What is detected on the first frame that has anything becomes an object each, from there to the end."""
        first = min((frame for frame, found in detections.items() if found), default=0)
        boxes = {str(number): one for number, one in enumerate(detections.get(first, ()), start=1)}
        prompts = [Prompt(name, first, one.box) for name, one in boxes.items()]
        call = Call(prompts, {}, detections=dict(detections), rules=rules)
        for name, one in boxes.items():
            if labels is not None:
                labels.add(name, one)
        yield from self._forwards(call, list(boxes), first, video, cancelled)

    def click(self, video: VideoReader, prompt: Prompt, logits: Any = None) -> Answer:
        """A mask at once, whatever the pace of tracking."""
        from backend.tracking.click import Answer  # torch

        prompt.validate(video.width, video.height)
        self.prepare(video, prompt.frame)
        self.clicks.append((prompt, logits))
        if prompt.frame in self.fails_at:
            raise self.fails_at[prompt.frame]
        boxes = [(p.x - 4, p.y - 4, p.x + 4, p.y + 4) for p in prompt.points if p.positive]
        mask = np.zeros((video.height, video.width), bool)
        for box in [*boxes, *([prompt.box] if prompt.box is not None else [])]:
            x0, y0, x1, y1 = (max(round(side), 0) for side in box)
            mask[y0:y1, x0:x1] = True
        return Answer(mask, 0.8, cast(Any, len(self.clicks)))

    def prepare(self, video: VideoReader, frame: int) -> None:
        """Each frame once."""
        if not self.prepared(video, frame):
            self.encoded.append((video.identity(), frame))

    def prepared(self, video: VideoReader, frame: int) -> bool:
        return (video.identity(), frame) in self.encoded

    def forget(self, identity: Hashable) -> None:
        self.encoded = [one for one in self.encoded if one[0] != identity]

    def track_everything(
        self,
        video: VideoReader,
        *,
        rules: EverythingRules | None = None,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """One object: the upper left quarter of the first frame."""
        prompt = Prompt("1", 0, (0.0, 0.0, video.width / 2, video.height / 2))
        yield from self._forwards(Call([prompt], {}, everything=rules), ["1"], 0, video, cancelled)

    def _forwards(
        self, call: Call, names: Sequence[str], first: int, video: VideoReader, cancelled: Callable[[], bool]
    ) -> Iterator[FrameResult]:
        """A result for each frame, in order."""
        with self._changed:
            self.calls.append(call)
            self._changed.notify_all()
        try:
            for frame in range(len(video)):
                if not self._permitted(cancelled):
                    return
                if frame in self.fails_at:
                    raise self.fails_at[frame]
                seen = [self._observe(call, name, frame, video) for name in names] if frame >= first else []
                yield FrameResult(frame, tuple(replace(one, human=False) for one in seen))
                with self._changed:
                    call.frames.append(frame)
                    self._changed.notify_all()
        finally:
            with self._changed:
                call.ended = True
                self._changed.notify_all()

    def _again(self, call: Call, name: str, span: tuple[int, int], video: VideoReader) -> set[int]:
        """The frames to track again."""
        before = call.before[name]
        own = [prompt for prompt in call.prompts if prompt.object_id == name]
        found = {prompt.frame for prompt in own if prompt.frame in before.changed}
        for stretch in find_stretches(own, span, call.direction, {name: before}):
            if not stretch.old:
                found |= set(stretch.frames)
                continue
            for step in [1] * stretch.forward + [-1] * stretch.backward:
                for frame in stretch.frames[::step]:
                    found.add(frame)
                    if overlap(self._observe(call, name, frame, video), stretch.old[frame]) >= AGREE_IOU:
                        break
        return found

    def allow(self, frames: int) -> None:
        """Permit so many more frames."""
        with self._changed:
            self._allowed += frames
            self._changed.notify_all()

    def release(self) -> None:
        """Permit everything."""
        with self._changed:
            self._paced = False
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that the tracker's progress brings about."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), "it never came about"

    def _permitted(self, cancelled: Callable[[], bool]) -> bool:
        with self._changed:
            while self._paced and self._taken >= self._allowed:
                if cancelled():
                    return False
                self._changed.wait(0.005)  # nobody tells that a job was cancelled
            self._taken += 1
        return not cancelled()

    def _observe(self, call: Call, name: str, frame: int, video: VideoReader) -> Observation:
        boxes = call.boxes_of(name)
        human = frame in boxes
        if frame in self.absent and not human:
            return Observation(name, frame, None, 0.9)
        near = min(boxes, key=lambda prompted: (abs(prompted - frame), prompted))
        x0, y0, x1, y1 = (round(side) for side in boxes[near])
        dx, dy = (speed * (frame - near) for speed in self.velocity)
        mask = np.zeros((video.height, video.width), bool)
        mask[max(y0 + dy, 0) : max(y1 + dy, 0), max(x0 + dx, 0) : max(x1 + dx, 0)] = True
        score = 0.25 if frame in self.doubtful else 0.75
        return Observation(name, frame, Mask.from_array(mask) if mask.any() else None, score, human)


class Uneven(FakeTracker):
    """Its boxes breathe, so that no keyframe is like another."""

    def _observe(self, call: Call, name: str, frame: int, video: VideoReader) -> Observation:
        boxes = call.boxes_of(name)
        grown = [
            Prompt(
                prompt.object_id,
                prompt.frame,
                (*prompt.box[:3], prompt.box[3] + (7 * frame % 11 if frame not in boxes else 0)),
            )
            for prompt in call.prompts
            if prompt.object_id == name and prompt.box is not None
        ]
        return super()._observe(Call(grown, call.direction), name, frame, video)


def _reach(boxes: Mapping[int, Box], direction: Direction, first: int, last: int) -> range:
    first = max(min(boxes), first) if direction == "forward" else first
    last = min(max(boxes), last) if direction == "backward" else last
    return range(first, last + 1)


def _box(prompt: Prompt) -> Box | None:
    if prompt.box is not None or prompt.mask is None:
        return prompt.box
    return Mask.from_array(prompt.mask).box
