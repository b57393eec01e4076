"""A worker of the service: the models, in a process of their own, which Ray calls an actor.

Whoever has it calls its methods one after the other, but for those that say that they may be called meanwhile. Results
are pulled, portion by portion, so that nothing piles up, and calls take turns.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from backend.cluster.calls import (
    PORTION_RESULTS,
    PORTION_SECONDS,
    Call,
    Click,
    Logits,
    Neighbours,
    PackedPrompt,
    Portion,
)
from backend.cluster.footage import Footage, MediaFolder, Videos
from backend.service.engine import Tracker
from backend.service.failures import relieve
from backend.settings import reuse_memory, share_processors
from backend.tracking.labels import Labels
from backend.tracks import Detection, FrameResult, Mask, Observation
from backend.video.frames import FileState


class TrackerActor:
    """One worker.

    Args:
        build: builds the models.
        limit: bytes that videos which are sent may take.
    """

    def __init__(self, build: Callable[[], Tracker], limit: int) -> None:
        share_processors()
        reuse_memory()
        self._build = build
        self._tracker: Tracker | None = None
        self._folder = MediaFolder(limit)
        self._videos = Videos(self._folder)
        self._sessions: dict[str, _Session] = {}

    def hello(self) -> int:
        """The process; may be called meanwhile."""
        return os.getpid()

    def load(self) -> None:
        """Build the models; raises what that raises."""
        self._models()

    def wanting(self, footage: Footage) -> list[int]:
        """The positions of a video's files that have to be sent before it is opened."""
        return self._videos.expect(footage)

    def put(self, state: FileState, piece: bytes, at: int) -> None:
        """Take in a piece of a file; raises VideoError where it cannot be kept."""
        self._videos.put(state, piece, at)

    def begin(self, name: str, footage: Footage, call: Call) -> None:
        """Begin a call, by a name that is new; raises what the call raises."""
        session = self._sessions[name] = _Session(call)
        try:
            session.open(self._models(), self._videos, footage)
        except BaseException:
            self.end(name)
            raise

    def tell(self, name: str, frames: Mapping[int, Mapping[str, Observation]]) -> None:
        """What stands on some frames; before the first pull."""
        self._sessions[name].neighbours.frames.update(frames)

    def pull(self, name: str, gone: Sequence[str] = ()) -> Portion:
        """The next results of a call; raises what the call raises, which ends it.

        Args:
            name: the call's.
            gone: which objects stand no more.
        """
        session = self._sessions[name]
        session.neighbours.gone.update(gone)
        try:
            portion = session.pull()
        except BaseException as error:
            self.end(name)
            if isinstance(error, Exception):
                relieve(error)
            raise
        if portion.done:
            self.end(name)
        return portion

    def cancel(self, name: str) -> None:
        """Let a call end soon; may be called meanwhile."""
        session = self._sessions.get(name)
        if session is not None:
            session.cancelled.set()

    def end(self, name: str) -> None:
        """Forget a call, whether it is at its end or not."""
        session = self._sessions.pop(name, None)
        if session is not None:
            session.close()

    def click(self, footage: Footage, prompt: PackedPrompt, logits: Any) -> Click:
        """See :meth:`backend.tracking.tracker.VideoTracker.click`."""
        import torch

        tracker = self._models()
        if isinstance(logits, Logits):
            logits = torch.from_numpy(logits.values.copy()).to(logits.device, getattr(torch, logits.dtype))
        try:
            with self._videos.open(footage) as video:
                answer = tracker.click(video, prompt.unpack(), logits)
        except Exception as error:
            relieve(error)
            raise
        kept: Any = answer.logits
        if isinstance(kept, torch.Tensor):
            kept = Logits(kept.float().cpu().numpy(), str(kept.device), str(kept.dtype).removeprefix("torch."))
        return Click(Mask.from_array(answer.mask), answer.score, kept)

    def prepare(self, footage: Footage, frame: int) -> None:
        """See :meth:`backend.tracking.tracker.VideoTracker.prepare`."""
        with self._videos.open(footage) as video:
            self._models().prepare(video, frame)

    def prepared(self, footage: Footage, frame: int) -> bool:
        """See :meth:`backend.tracking.tracker.VideoTracker.prepared`; may be called meanwhile."""
        if self._tracker is None or self._videos.identity(footage) is None or self._videos.wanting(footage):
            return False
        with self._videos.open(footage) as video:
            return self._tracker.prepared(video, frame)

    def forget(self, identity: Any) -> None:
        """See :meth:`backend.tracking.tracker.VideoTracker.forget`; may be called meanwhile."""
        known = self._videos.forget(identity)
        if known is not None and self._tracker is not None:
            self._tracker.forget(known)

    def close(self) -> None:
        """Remove the videos that were sent: this worker is about to be ended; may be called meanwhile."""
        self._folder.close()

    def _models(self) -> Tracker:
        if self._tracker is None:
            self._tracker = self._build()
        return self._tracker


class _Said(Labels):
    """Keeps what detections say, for the caller's own labels."""

    def __init__(self) -> None:
        super().__init__()
        self.new: list[tuple[str, Detection]] = []

    def add(self, name: str, detection: Detection) -> None:
        super().add(name, detection)
        self.new.append((name, detection))


class _Session:
    """A call that is under way."""

    def __init__(self, call: Call) -> None:
        self.cancelled = threading.Event()
        self.neighbours = Neighbours()
        self._call = call
        self._said = _Said()
        self._held = ExitStack()
        self._results: Iterator[FrameResult] = iter(())

    def open(self, tracker: Tracker, videos: Videos, footage: Footage) -> None:
        arguments: dict[str, Any] = dict(self._call.arguments)
        if self._call.method == "track":
            arguments["prompts"] = [prompt.unpack() for prompt in self._call.prompts]
        if self._call.stands:
            arguments["standing"] = self.neighbours
        if self._call.labelled:
            arguments["labels"] = self._said
        video = self._held.enter_context(videos.open(footage))
        self._results = getattr(tracker, self._call.method)(video, cancelled=self.cancelled.is_set, **arguments)

    def pull(self) -> Portion:
        results: list[FrameResult] = []
        done = False
        until = time.monotonic() + PORTION_SECONDS
        took = 0.0
        while not results or (len(results) < PORTION_RESULTS and time.monotonic() + took < until):
            began = time.monotonic()
            result = next(self._results, None)
            took = time.monotonic() - began
            if result is None:
                done = True
                break
            results.append(result)
        said, self._said.new = self._said.new, []
        return Portion(results, said, done)

    def close(self) -> None:
        try:
            close = getattr(self._results, "close", None)
            if close is not None:
                close()
        finally:
            self._held.close()
