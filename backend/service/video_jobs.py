"""The work of the interactive video protocol: masks of clicks, frames ahead of them, and tracks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from backend.errors import WorkerLostError
from backend.service.engine import Engine, Tracker
from backend.service.failures import reason
from backend.service.jobs import Job
from backend.service.readers import Readers
from backend.service.video_course import Course
from backend.service.video_memory import Known, Memory
from backend.service.video_payloads import Marks, Moment, PrewarmRequest, TrackRequest
from backend.service.video_sessions import Limits, Session, TaskKey
from backend.tracking.plan import take_turns
from backend.tracks import BoolArray, Direction, Prompt
from backend.video.frames import Frames
from backend.video.images import ImageSequence

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Room:
    """What all work shares."""

    engine: Engine
    readers: Readers
    memory: Memory
    limits: Limits


@dataclass(frozen=True, eq=False)
class Media:
    """A task's video, or its one picture, and how to get it."""

    task: TaskKey
    fetch: Callable[[], Path]
    picture: bool

    def open(self, path: Path, readers: Readers) -> AbstractContextManager[Frames]:
        """The frames of what was fetched.

        Raises:
            VideoError: it cannot be read.
        """
        return nullcontext(ImageSequence([path])) if self.picture else readers.lease(path)


class _Work(Generic[Found]):
    """Fetches the media on a thread of its own; ``located`` is what is found there, as soon as it is, or why not."""

    def __init__(self, room: Room, media: Media) -> None:
        self.located: Future[Found] = Future()
        self._room = room
        self._media = media
        self._path = Path()

    def prepare(self, job: Job) -> None:
        """Fetch the media, and look up what the request asks of it."""
        try:
            self._path = self._media.fetch()
            with self._open() as video:
                self._room.memory.note_video(self._media.task, self._path, video.identity())
                found = self._locate(video, job)
        except Exception as error:
            self.located.set_exception(error)
            raise
        self.located.set_result(found)

    def _locate(self, video: Frames, job: Job) -> Found:
        raise NotImplementedError

    def _open(self) -> AbstractContextManager[Frames]:
        return self._media.open(self._path, self._room.readers)

    def _click(self, tracker: Tracker, video: Frames, prompt: Prompt) -> BoolArray:
        """The mask of a prompt, which goes on from the one before where it can."""
        known = self._recall(prompt, video)
        mask = known.answered(prompt)
        if mask is None:
            answer = tracker.click(video, prompt, known.logits(prompt))
            known.answer(prompt, answer)
            mask = answer.mask
        return mask

    def _recall(self, prompt: Prompt, video: Frames) -> Known:
        return self._room.memory.known(self._media.task, prompt.object_id, video.identity())


class ClickWork(_Work[list[Prompt]]):
    """Makes the ``masks``, by object, of what was marked on one frame."""

    def __init__(self, room: Room, media: Media, moment: Moment, marks: Mapping[str, Marks]) -> None:
        super().__init__(room, media)
        self.masks: dict[str, BoolArray] = {}
        self._moment = moment
        self._marks = marks

    def _locate(self, video: Frames, job: Job) -> list[Prompt]:
        prompts = prompts_of(self._marks, self._moment.index(video), video)
        video.frame(prompts[0].frame)  # decoded here, it does not keep the worker waiting
        job.ticket.steps = len(prompts)
        return prompts

    def steps(self, job: Job) -> Iterator[None]:
        """An object a step."""
        with self._open() as video:
            tracker = self._room.engine.tracker(job.worker)
            for prompt in self.located.result():
                if self.masks:
                    yield
                self.masks[prompt.object_id] = self._click(tracker, video, prompt)


@dataclass(frozen=True)
class Window:
    """Frames that are prepared, and those that will be."""

    cached: list[int]
    pending: list[int]
    frame_count: int


class PrewarmWork(_Work[Window]):
    """Encodes frames ahead of clicks."""

    def __init__(self, room: Room, media: Media, request: PrewarmRequest) -> None:
        super().__init__(room, media)
        self._request = request

    def _locate(self, video: Frames, job: Job) -> Window:
        request, limit = self._request, self._room.limits.window
        first = request.index(video)
        size = limit if request.window is None else min(request.window, limit)
        step = -1 if request.direction == "backward" else 1
        frames = [frame for frame in range(first, first + step * size, step) if 0 <= frame < len(video)]
        tracker = self._room.engine.ready(job.home)
        cached = [frame for frame in frames if tracker is not None and tracker.prepared(video, frame)]
        pending = [frame for frame in frames if frame not in cached]
        job.ticket.steps = 1 + len(pending)
        return Window(cached, pending, len(video))

    def steps(self, job: Job) -> Iterator[None]:
        """A frame a step."""
        with self._open() as video:
            tracker = self._room.engine.tracker(job.worker)
            for frame in self.located.result().pending:
                yield
                tracker.prepare(video, frame)


@dataclass(frozen=True)
class Route:
    """What is to be tracked: from a frame, over a span in each direction."""

    prompts: list[Prompt]
    spans: dict[Direction, tuple[int, int]]
    fps: float
    duration: float

    @property
    def frames(self) -> int:
        """How many, the marked one once."""
        return 1 + sum(last - first for first, last in self.spans.values())


class TrackWork(_Work[Route]):
    """Tracks what was marked on one frame for a session."""

    def __init__(
        self, room: Room, media: Media, request: TrackRequest, marks: Mapping[str, Marks], session: Session
    ) -> None:
        super().__init__(room, media)
        self._request = request
        self._marks = marks
        self._session = session
        self._known: dict[str, Known] = {}
        self._marked: set[tuple[str, int]] = set()

    def prepare(self, job: Job) -> None:
        """Fetch the video, and look up what the request asks of it; the session ends where that fails."""
        with self._telling(job):
            super().prepare(job)

    def _locate(self, video: Frames, job: Job) -> Route:
        frame = self._request.index(video)
        prompts = prompts_of(self._marks, frame, video)
        reach = self._request.reach(video.fps, self._room.limits.frames)
        way = self._request.way()
        spans: dict[Direction, tuple[int, int]] = {}
        if way != "backward":
            spans["forward"] = frame, min(frame + reach, len(video) - 1)
        if way != "forward":
            spans["backward"] = max(frame - reach, 0), frame
        route = Route(prompts, spans, video.fps, video.duration)
        self._session.size = video.height, video.width
        self._session.timestamps = video.timestamps
        self._session.total = route.frames * len(prompts)
        job.ticket.steps = len(prompts) + route.frames
        return route

    def steps(self, job: Job) -> Iterator[None]:
        """An object, and then a frame, a step."""
        route = self.located.result()
        again = False
        try:
            with self._telling(job), self._open() as video:
                tracker = self._room.engine.tracker(job.worker)
                prompts: list[Prompt] = []
                for prompt in route.prompts:
                    yield
                    mask = self._click(tracker, video, prompt)
                    known = self._known[prompt.object_id] = self._recall(prompt, video)
                    prompts += known.correct(prompt.frame, mask)
                ways = [self._follow(tracker, video, prompts, way, span, job) for way, span in route.spans.items()]
                yield from take_turns(ways, job.cancelled)
        except WorkerLostError as error:
            again = job.goes_on(error)
            raise
        finally:
            if not again:
                self._session.end()

    def _follow(
        self, tracker: Tracker, video: Frames, prompts: list[Prompt], way: Direction, span: tuple[int, int], job: Job
    ) -> Iterator[None]:
        """One direction, until all objects have been followed to their ends."""
        session = self._session
        courses = _courses(prompts, way, span, self._room.limits)
        results = tracker.track(
            video, prompts, span=span, direction=way, cancelled=lambda: job.cancelled() or not session.live
        )
        for result in results:
            for one in result.observations:
                tell, mask = courses[one.object_id].see(one)
                key = one.object_id, one.frame
                if not tell or key in self._marked:
                    continue
                if one.human:
                    self._marked.add(key)
                session.add(*key, mask)
                if mask is not None:
                    self._known[one.object_id].follow(one.frame, mask)
            if all(course.over for course in courses.values()):
                return
            yield

    @contextmanager
    def _telling(self, job: Job) -> Iterator[None]:
        """The session ends with an error where there is one that ends the job."""
        try:
            yield
        except Exception as error:
            if not job.goes_on(error):
                self._session.end(reason(error))
            raise


def prompts_of(marks: Mapping[str, Marks], frame: int, video: Frames) -> list[Prompt]:
    """What was marked on a frame, one prompt an object.

    Raises:
        PromptError: what was marked cannot be used.
    """
    prompts = [one.prompt(name, frame, video.width, video.height) for name, one in marks.items()]
    for prompt in prompts:
        prompt.validate(video.width, video.height)
    return prompts


def _courses(prompts: list[Prompt], way: Direction, span: tuple[int, int], limits: Limits) -> dict[str, Course]:
    """A course for each object, from the last frame in the span on which it was marked."""
    step = -1 if way == "backward" else 1
    marked: dict[str, list[int]] = {}
    for prompt in prompts:
        if span[0] <= prompt.frame <= span[1]:
            marked.setdefault(prompt.object_id, []).append(prompt.frame)
    return {name: Course(max(frames) if step > 0 else min(frames), step, limits) for name, frames in marked.items()}
