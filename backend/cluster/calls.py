"""What passes between the service and a worker: calls of a tracker, and portions of their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from backend.tracks import Detection, FloatArray, FrameResult, Mask, Observation, Prompt

PORTION_SECONDS = 0.05
"""After which a portion is handed over, with one result at least."""
PORTION_RESULTS = 8
"""That a portion has at most: what a worker may be ahead by."""

Method = Literal["track", "track_detections", "track_everything"]


@dataclass(frozen=True, eq=False)
class PackedPrompt:
    """A prompt whose mask is run-length encoded."""

    prompt: Prompt
    mask: Mask | None

    @classmethod
    def of(cls, prompt: Prompt) -> PackedPrompt:
        """The same as a prompt."""
        mask = None if prompt.mask is None else Mask.from_array(prompt.mask)
        return cls(replace(prompt, mask=None), mask)

    def unpack(self) -> Prompt:
        """The prompt."""
        return self.prompt if self.mask is None else replace(self.prompt, mask=self.mask.array())


@dataclass(frozen=True, eq=False)
class Call:
    """A call that gives results one after the other.

    Attributes:
        method: of the tracker.
        arguments: by name, those that were given and can be sent.
        prompts: of ``track``.
        stands: whether other objects stand meanwhile, see :class:`Neighbours`.
        labelled: whether the caller wants to know what detections say of objects.
    """

    method: Method
    arguments: Mapping[str, Any]
    prompts: Sequence[PackedPrompt] = ()
    stands: bool = False
    labelled: bool = False


@dataclass(frozen=True, eq=False)
class Portion:
    """Some results of a call, and what detections said meanwhile; ``done`` says that there are no more."""

    results: list[FrameResult]
    said: list[tuple[str, Detection]]
    done: bool


@dataclass(frozen=True, eq=False)
class Logits:
    """A tensor that a worker alone reads: ``values`` are float32 (rows, columns)."""

    values: FloatArray
    device: str
    dtype: str


@dataclass(frozen=True, eq=False)
class Click:
    """The answer to a click; ``logits`` are :class:`Logits`, or whatever a tracker gave that is no tensor."""

    mask: Mask
    score: float
    logits: Any


@dataclass(eq=False)
class Neighbours:
    """What stands while others are tracked, see :class:`backend.tracking.standing.Standing`: what the service has sent,
    without those that it took back since."""

    frames: dict[int, Mapping[str, Observation]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)

    def at(self, frame: int) -> dict[str, Observation]:
        """What is known on a frame."""
        return {name: one for name, one in self.frames.get(frame, {}).items() if name not in self.gone}
