"""The interactive video protocol of Label Studio's newer interface, see docs/interactive-video.md.

Its calls come to ``/predict`` with an event in their context. Masks come back as pictures: at once where something was
clicked on, and in portions, which the client asks for, while something is tracked. The models, the queue and the
encodings are those of the presses.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from backend.errors import KeytrackError, LabelConfigError, PayloadError, PromptError, UnavailableError
from backend.labelstudio.targets import Target, find_target
from backend.service.engine import Engine
from backend.service.jobs import Job, Jobs
from backend.service.payloads import Task, check_text
from backend.service.readers import Readers
from backend.service.video_jobs import ClickWork, Media, PrewarmWork, Room, TrackWork
from backend.service.video_memory import Memory
from backend.service.video_payloads import (
    CAPABILITIES,
    Item,
    PredictRequest,
    PrewarmRequest,
    Replies,
    SessionRequest,
    TrackRequest,
    bitmask,
    check,
    read_marks,
)
from backend.service.video_sessions import Limits, Session, Sessions, Told

logger = logging.getLogger(__name__)

Resolve = Callable[[str], Path]
Found = TypeVar("Found")

_MARKS = ("keypointlabels", "rectanglelabels")
_LATER = "the video is still being fetched, or the models are being loaded; try again in a moment"


def speaks(context: Mapping[str, Any], label_config: str | None) -> bool:
    """Whether a context is one of this protocol.

    It names an event; or, since ``predict`` may go without saying, it names a moment, or holds nothing but clicks and
    boxes of a single frame, where the labeling configuration is about a Video: the open-source interface sends regions
    over time there, and never a moment.
    """
    if "event" in context:
        return True
    result = context.get("result")
    marked = isinstance(result, list) and bool(result)
    marked = marked and all(isinstance(one, Mapping) and one.get("type") in _MARKS for one in result or [])
    if not marked and context.get("time_ms") is None and context.get("frame") is None:
        return False
    try:
        return find_target(label_config or "").kind == "video"
    except LabelConfigError:
        return False


class VideoProtocol:
    """Answers the events of all clients; its methods may be called from any thread."""

    def __init__(
        self,
        jobs: Jobs,
        readers: Readers,
        engine: Engine,
        *,
        model_version: str,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._jobs = jobs
        self._readers = readers
        self._engine = engine
        self._model_version = model_version
        self._limits = limits or Limits()
        self._memory = Memory(clock)
        self._sessions = Sessions(self._limits, clock)
        self._room = Room(engine, readers, self._memory, self._limits)
        self._answers: Mapping[str, Callable[[_Call], list[Item]]] = {
            "prewarm": self._prewarm,
            "predict": self._predict,
            "track": self._track,
            "track_progress": self._track_progress,
            "track_cancel": self._track_cancel,
            "release": self._release,
        }

    def stop(self) -> None:
        """Let those go who wait for a track."""
        for session in self._sessions.of():
            session.end()

    def answer(
        self,
        context: Mapping[str, Any],
        task: Task | None,
        project: str,
        label_config: str | None,
        resolve: Resolve,
    ) -> list[Item]:
        """The results of one call.

        Args:
            context: with its event; ``predict`` where there is none.
            task: which it is about; only ``capabilities`` needs none.
            project: its id.
            label_config: the labeling configuration, which only ``capabilities`` does not need.
            resolve: fetches what a task names.

        Raises:
            PayloadError: there is no such event, a task is missing, or something has the wrong type.
            LabelConfigError: the configuration holds nothing to mark.
            PromptError, VideoError, MediaError: ``predict`` cannot be answered. Other events tell it in their results.
            UnavailableError: ``predict`` cannot be answered in time.
        """
        event = context.get("event", "predict")
        if event == "capabilities":
            name, _, version = self._model_version.partition("-")
            info = {"name": name, "version": version}
            return [Replies().item("capabilities", {**CAPABILITIES, "model_info": info})]
        answer = self._answers.get(event) if isinstance(event, str) else None
        if answer is None:
            known = ", ".join(["capabilities", *self._answers])
            raise PayloadError(f"params.context.event: there is no event {event!r:.40}; there are {known}")
        if task is None:
            raise PayloadError(f"tasks: the event {event} is about one task")
        target = find_target(label_config or "")
        media = Media((project, task.id), lambda: resolve(_address(target, task)), target.kind == "image")
        return answer(_Call(context, media, Replies(target), time.monotonic() + self._limits.patience))

    def _predict(self, call: _Call) -> list[Item]:
        request = check(PredictRequest, call.context)
        marks = read_marks(request)
        if not marks:
            return []
        work = ClickWork(self._room, call.media, request, marks)
        key, task = object(), call.media.task
        job = self._jobs.submit(f"a click on task {task[1]}", work, [key], place=task, moves=True)
        if not self._jobs.wait({key: job}, call.deadline) or job.status == "cancelled":
            self._jobs.cancel([key])  # nobody would get what it makes
            raise UnavailableError(_LATER)
        if job.error is not None:
            raise job.error
        return [call.replies.item("bitmask", bitmask(name, mask)) for name, mask in work.masks.items()]

    def _prewarm(self, call: _Call) -> list[Item]:
        task = call.media.task
        try:
            work = PrewarmWork(self._room, call.media, check(PrewarmRequest, call.context))
            job = self._jobs.submit(f"frames ahead of task {task[1]}", work, [("prewarm", task)], place=task)
            window = self._found(job, work.located, call.deadline)
        except KeytrackError as error:
            return [call.replies.item("prewarm_ack", {"status": "error", "error": str(error)})]
        value: Item = {"status": "ok", "cached": window.cached, "pending": window.pending}
        if call.media.picture:
            value |= {"cached": [0], "pending": []}  # a client asks for the frames of a video only
        else:
            value["frame_count"] = window.frame_count
        return [call.replies.item("prewarm_ack", value)]

    def _track(self, call: _Call) -> list[Item]:
        task = call.media.task
        session: Session | None = None
        try:
            request = check(TrackRequest, call.context)
            marks = read_marks(request)
            if not marks:
                raise PromptError("nothing is marked: click on an object, or draw a box around it, and track it then")
            if call.media.picture:
                raise PromptError("a picture has nothing to track through; the labeling configuration has no Video")
            session = self._sessions.begin(task)
            if session is None:
                return [call.replies.item("track_busy", self._busy())]
            work = TrackWork(self._room, call.media, request, marks, session)
            session.job = self._jobs.submit(f"a track of task {task[1]}", work, [session.id], place=task, moves=True)
            route = self._found(session.job, work.located, call.deadline)
        except KeytrackError as error:
            if session is not None:
                self._end(session)
                self._sessions.drop(session)
            return [call.replies.item("track_error", {"error": str(error), "done": True})]
        value = {
            "session_id": session.id,
            "total_frames": route.frames,
            "fps": route.fps,
            "duration_ms": route.duration * 1000,
        }
        logger.info("session %s: task %s of project %s, %d frames", session.id, task[1], task[0], route.frames)
        return [call.replies.item("track_started", value)]

    def _track_progress(self, call: _Call) -> list[Item]:
        session = self._find(call)
        if session is None:
            return [call.replies.item("track_progress", {"error": "session not found", "done": True})]
        with self._jobs.attended([] if session.job is None else [session.job]):
            batch = session.fetch(self._limits)
        value = {
            "frames": [_frame(session, told) for told in batch.told],
            "produced": batch.produced,
            "total": batch.total,
            "done": batch.done,
            "error": batch.error,
        }
        return [call.replies.item("track_progress", value)]

    def _track_cancel(self, call: _Call) -> list[Item]:
        session = self._find(call)
        if session is not None:
            self._end(session)
        status = "not_found" if session is None else "cancelled"
        return [call.replies.item("track_cancel_ack", {"status": status})]

    def _release(self, call: _Call) -> list[Item]:
        task = call.media.task
        for session in self._sessions.of(task):
            self._end(session)
            self._sessions.drop(session)
        self._jobs.cancel([("prewarm", task)])
        known = self._memory.drop(task)
        if known is not None:
            path, video = known
            self._readers.drop(path)
            for worker in range(len(self._engine)):
                tracker = self._engine.ready(worker)
                if tracker is not None:
                    tracker.forget(video)
        return [call.replies.item("release_ack", {"status": "released"})]

    def _find(self, call: _Call) -> Session | None:
        return self._sessions.find(call.media.task, check(SessionRequest, call.context).session_id)

    def _end(self, session: Session) -> None:
        session.end()
        self._jobs.cancel([session.id])

    def _found(self, job: Job, located: Future[Found], deadline: float) -> Found:
        """What work has located; it raises what that has raised.

        Raises:
            UnavailableError: that takes longer than until the deadline, or the job was cancelled.
        """
        self._jobs.wait_prepared(job, deadline)
        if not located.done():
            raise UnavailableError(_LATER)
        return located.result()

    def _busy(self) -> Item:
        live, resident = self._sessions.count()
        return {
            "error": f"{live} tracks are under way and {resident - live} wait to be fetched; cancel one, or wait",
            "active_or_queued": live,
            "resident_sessions": resident,
            "max_sessions": self._limits.sessions,
        }


@dataclass(frozen=True, eq=False)
class _Call:
    """One call: what was asked, of which media, how it is answered, and until when."""

    context: Mapping[str, Any]
    media: Media
    replies: Replies
    deadline: float


def _address(target: Target, task: Task) -> str:
    return check_text(target.address_of(task.data), f"tasks[0].data.{target.key}")


def _frame(session: Session, told: Told) -> Item:
    """What is told of a frame; where it takes something back its picture is empty."""
    mask = np.zeros(session.size, bool) if told.mask is None else told.mask.array()
    time_ms = round(float(session.timestamps[told.frame]) * 1000, 3)
    return {"frame": told.frame, "time_ms": time_ms, **bitmask(told.name, mask)}
