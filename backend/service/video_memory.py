"""What the interactive video protocol remembers of objects from one request to the next."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from backend.service.click_memory import LOGITS_BYTES
from backend.service.video_payloads import UNNAMED
from backend.service.video_sessions import TaskKey
from backend.tracking.plan import goes_on
from backend.tracks import BoolArray, Mask, Prompt, mask_iou

if TYPE_CHECKING:  # of which label-studio-ml's own environment has none
    from torch import Tensor

    from backend.tracking.click import Answer

MAX_OBJECTS = 64
MAX_CORRECTIONS = 8
MAX_TRACKED = 2000
MAX_TRACKED_BYTES = 32 << 20
MAX_BYTES = 128 << 20
SECONDS = 1800.0
# An object without a name is the one of the last track where the two overlap by as much.
_SAME_IOU = 0.1


@dataclass(frozen=True, eq=False)
class _Click:
    prompt: Prompt
    mask: Mask
    logits: Tensor


@dataclass(eq=False)
class Known:
    """An object of one video: the last click on it, the masks that it was tracked from, and what came of them.

    Two tracks of a task may be under way at once, each on a worker of its own.
    """

    name: str
    video: Hashable
    used: float = 0.0
    _click: _Click | None = None
    _corrections: dict[int, Mask] = field(default_factory=dict)
    _tracked: OrderedDict[int, Mask] = field(default_factory=OrderedDict)
    _tracked_bytes: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def size(self) -> int:
        """What it takes of memory, in bytes, roughly."""
        last = self._click  # which another worker may replace meanwhile, as it does the corrections
        click = 0 if last is None else len(last.mask.counts) + LOGITS_BYTES
        return click + sum(len(mask.counts) for mask in self._corrections.values()) + self._tracked_bytes

    def answered(self, prompt: Prompt) -> BoolArray | None:
        """The mask that was the answer to exactly this prompt."""
        last = self._click
        same = last is not None and goes_on(prompt, last.prompt) and goes_on(last.prompt, prompt)
        return last.mask.array() if last is not None and same else None

    def logits(self, prompt: Prompt) -> Tensor | None:
        """What a prompt can go on from."""
        last = self._click
        return last.logits if last is not None and goes_on(prompt, last.prompt) else None

    def answer(self, prompt: Prompt, answer: Answer) -> None:
        """Keep an answer for the next click."""
        self._click = _Click(prompt, Mask.from_array(answer.mask), answer.logits)

    def correct(self, frame: int, mask: BoolArray) -> list[Prompt]:
        """Take in a mask ``bool (H, W)`` to track from; it comes back as a prompt, with earlier ones of the object,
        the nearest of them first.

        Without a name it takes some overlap with what was tracked to be the same object.
        """
        drawn = Mask.from_array(mask)
        with self._lock:
            if self.name == UNNAMED:
                there = self._tracked.get(frame) or self._corrections.get(frame)
                if there is None or mask_iou(there, drawn) < _SAME_IOU:
                    self._corrections = {}
                    self._tracked.clear()
                    self._tracked_bytes = 0
            others = [other for other in self._corrections if other != frame]
            nearest = sorted(others, key=lambda other: abs(other - frame))[: MAX_CORRECTIONS - 1]
            found = self._corrections = {frame: drawn} | {other: self._corrections[other] for other in nearest}
        return [Prompt(self.name, other, mask=one.array()) for other, one in found.items()]

    def follow(self, frame: int, mask: Mask) -> None:
        """Take in what came of it: only an object without a name has to be told by that."""
        if self.name != UNNAMED:
            return
        with self._lock:
            before = self._tracked.pop(frame, None)
            self._tracked[frame] = mask
            self._tracked_bytes += len(mask.counts) - (0 if before is None else len(before.counts))
            while len(self._tracked) > MAX_TRACKED or self._tracked_bytes > MAX_TRACKED_BYTES:
                self._tracked_bytes -= len(self._tracked.popitem(last=False)[1].counts)


class Memory:
    """The objects of all tasks: the last :data:`MAX_OBJECTS`, fewer where they take more than :data:`MAX_BYTES`, for
    :data:`SECONDS` each after it was last used."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._objects: OrderedDict[tuple[TaskKey, str], Known] = OrderedDict()
        self._paths: OrderedDict[TaskKey, tuple[Path, Hashable]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, task: TaskKey, name: str, video: Hashable) -> Known:
        """What is known of an object, in a video by its identity: nothing yet, at first."""
        with self._lock:
            now = self._clock()
            for key in [key for key, one in self._objects.items() if now - one.used >= SECONDS]:
                del self._objects[key]
            found = self._objects.pop((task, name), None)
            if found is None or found.video != video:
                found = Known(name, video)
            found.used = now
            self._objects[task, name] = found
            total = sum(one.size for one in self._objects.values())
            while len(self._objects) > 1 and (len(self._objects) > MAX_OBJECTS or total > MAX_BYTES):
                total -= self._objects.popitem(last=False)[1].size
            return found

    def note_video(self, task: TaskKey, path: Path, video: Hashable) -> None:
        """Remember where a task's video lies, and its identity."""
        with self._lock:
            self._paths.pop(task, None)
            self._paths[task] = path, video
            while len(self._paths) > MAX_OBJECTS:
                self._paths.popitem(last=False)

    def drop(self, task: TaskKey) -> tuple[Path, Hashable] | None:
        """Forget all of a task; where its video lies, and its identity, if that was known."""
        with self._lock:
            for key in [key for key in self._objects if key[0] == task]:
                del self._objects[key]
            return self._paths.pop(task, None)
