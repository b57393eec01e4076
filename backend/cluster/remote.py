"""A tracker whose models are elsewhere, in a :class:`backend.cluster.actor.TrackerActor`."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from backend.cluster.calls import Call, Click, Method, PackedPrompt, Portion
from backend.cluster.footage import Footage, footage_of, pieces
from backend.errors import WorkerLostError
from backend.tracks import Detection, Direction, FrameResult, Observation, Prompt
from backend.video.frames import Frames

if TYPE_CHECKING:
    from ray import ObjectRef
    from ray.actor import ActorHandle
    from torch import Tensor

    from backend.tracking.click import Answer
    from backend.tracking.everything import EverythingRules
    from backend.tracking.labels import Labels
    from backend.tracking.learned import Learned
    from backend.tracking.lives import Rules
    from backend.tracking.standing import Standing
    from backend.tracking.stretches import Before

logger = logging.getLogger(__name__)

CONTROL = "control"
"""The group of those calls that may come while others are under way."""
WATCH_SECONDS = 0.1
"""How often it is asked whether a call was cancelled, while its next results are waited for."""
TOLD_FRAMES = 64
"""Frames on which neighbours are told at a time."""
ASK_SECONDS = 2.0

_names = itertools.count(1)


class RemoteTracker:
    """See :class:`backend.service.engine.Tracker`: a worker's thread calls it, but for what any thread may ask.

    The worker is at most one portion of results ahead. Whatever it takes to reach it, it raises
    :class:`~backend.errors.WorkerLostError` where the worker died, and else what its tracker raises.

    Args:
        actor: the worker.
    """

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        before: Mapping[str, Before] | None = None,
        standing: Standing | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track`. What ``standing`` says is read at the beginning; an
        object that it no longer knows where something was found stands no more."""
        arguments: dict[str, Any] = {
            "span": span,
            "direction": direction if isinstance(direction, str) else dict(direction),
        }
        if before:
            arguments["before"] = dict(before)
        packed = [PackedPrompt.of(prompt) for prompt in prompts]
        stands = _Stands(standing, range(len(video))) if standing is not None else None
        return self._call(video, "track", arguments, cancelled, packed, stands=stands)

    def track_detections(
        self,
        video: Frames,
        detections: Mapping[int, Sequence[Detection]],
        *,
        rules: Rules | None = None,
        labels: Labels | None = None,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track_detections`; raises ValueError for ``learned``, which
        stays with the worker."""
        _refuse(learned)
        arguments = {"detections": {frame: list(found) for frame, found in detections.items()}, **_given(rules)}
        return self._call(video, "track_detections", arguments, cancelled, labels=labels)

    def track_everything(
        self,
        video: Frames,
        *,
        rules: EverythingRules | None = None,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """See :meth:`backend.tracking.tracker.VideoTracker.track_everything`; ``learned`` is refused here, too."""
        _refuse(learned)
        return self._call(video, "track_everything", _given(rules), cancelled)

    def click(self, video: Frames, prompt: Prompt, logits: Tensor | None = None) -> Answer:
        """See :meth:`backend.tracking.tracker.VideoTracker.click`; its logits are for a worker alone to read."""
        from backend.tracking.click import Answer  # torch

        footage = self._sent(video)
        found: Click = get(self._actor.click.remote(footage, PackedPrompt.of(prompt), logits))
        return Answer(found.mask.array(), found.score, found.logits)

    def prepare(self, video: Frames, frame: int) -> None:
        """See :meth:`backend.tracking.tracker.VideoTracker.prepare`."""
        get(self._actor.prepare.remote(self._sent(video), frame))

    def prepared(self, video: Frames, frame: int) -> bool:
        """See :meth:`backend.tracking.tracker.VideoTracker.prepared`; of a worker that does not answer nothing is."""
        asked = self._actor.prepared.options(concurrency_group=CONTROL)
        try:
            return bool(get(asked.remote(footage_of(video), frame), ASK_SECONDS))
        except WorkerLostError:
            return False

    def forget(self, identity: Hashable) -> None:
        """See :meth:`backend.tracking.tracker.VideoTracker.forget`."""
        self._actor.forget.options(concurrency_group=CONTROL).remote(identity)

    def _call(
        self,
        video: Frames,
        method: Method,
        arguments: Mapping[str, Any],
        cancelled: Callable[[], bool],
        prompts: Sequence[PackedPrompt] = (),
        *,
        stands: _Stands | None = None,
        labels: Labels | None = None,
    ) -> Iterator[FrameResult]:
        """Begin a call, whose own errors come at once, and give its results."""
        footage = self._sent(video)
        name = f"call {next(_names)}"
        told = list(stands.told()) if stands is not None else []
        call = Call(method, arguments, prompts, stands=bool(told), labelled=labels is not None)
        get(self._actor.begin.remote(name, footage, call))
        for frames in told:
            self._actor.tell.remote(name, frames)
        return self._results(name, cancelled, stands if told else None, labels)

    def _results(
        self, name: str, cancelled: Callable[[], bool], stands: _Stands | None, labels: Labels | None
    ) -> Iterator[FrameResult]:
        done = False
        try:
            coming = self._actor.pull.remote(name)
            while not done:
                portion: Portion = self._wait(name, coming, cancelled)
                done = portion.done
                if not done:
                    gone = stands.gone([one.frame for one in portion.results]) if stands is not None else []
                    coming = self._actor.pull.remote(name, gone)
                if labels is not None:
                    for said in portion.said:
                        labels.add(*said)
                for result in portion.results:
                    if cancelled():
                        return
                    yield result
        finally:
            if not done:
                self._actor.cancel.options(concurrency_group=CONTROL).remote(name)
                self._actor.end.remote(name)

    def _wait(self, name: str, coming: ObjectRef, cancelled: Callable[[], bool]) -> Any:
        """What is coming; it is made to come soon where the call is cancelled meanwhile."""
        import ray

        told = False
        while not ray.wait([coming], timeout=WATCH_SECONDS)[0]:
            if cancelled() and not told:
                self._actor.cancel.options(concurrency_group=CONTROL).remote(name)
                told = True
        return get(coming)

    def _sent(self, video: Frames) -> Footage:
        """Where a video lies; what of it the worker cannot read there is sent.

        Raises:
            VideoError: it cannot be read here, or not be kept there.
        """
        footage = footage_of(video)
        for position in get(self._actor.wanting.remote(footage)):
            state = footage.files[position]
            for at, piece in pieces(state):
                get(self._actor.put.remote(state, piece, at))
        return footage


class _Stands:
    """What stands on the frames of a video, read once, and compared with later."""

    def __init__(self, standing: Standing, frames: range) -> None:
        self._standing = standing
        self._frames = frames
        self._names: dict[int, frozenset[str]] = {}

    def told(self) -> Iterator[dict[int, dict[str, Observation]]]:
        """All there is, some frames at a time."""
        for start in self._frames[::TOLD_FRAMES]:
            frames = range(start, min(start + TOLD_FRAMES, self._frames.stop))
            found = {frame: dict(self._standing.at(frame)) for frame in frames}
            some = {frame: there for frame, there in found.items() if there}
            self._names.update({frame: frozenset(there) for frame, there in some.items()})
            if some:
                yield some

    def gone(self, frames: Sequence[int]) -> list[str]:
        """Those that were there on some frames, and are no more."""
        known = {frame: self._names[frame] for frame in frames if frame in self._names}
        return sorted({name for frame, names in known.items() for name in names.difference(self._standing.at(frame))})


def _refuse(learned: object) -> None:
    if learned is not None:
        raise ValueError("what is learned of objects stays with the worker")


def _given(rules: object) -> dict[str, Any]:
    return {} if rules is None else {"rules": rules}


def get(ref: ObjectRef, seconds: float | None = None) -> Any:
    """What a worker's method returned; it raises what that has raised.

    Raises:
        WorkerLostError: the worker died, or did not answer in so many seconds.
    """
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref, timeout=seconds)
    except RayTaskError as error:
        if isinstance(error.cause, Exception) and not isinstance(error.cause, RayError):
            raise error.cause from error
        raise
    except RayError as error:
        logger.warning("a worker was lost: %s", error)
        raise WorkerLostError(
            f"the worker that it ran on has died or cannot be reached ({type(error).__name__}); try again"
        ) from error
