"""Tasks are tracked in the background, when Label Studio asks what there is to say of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from pathlib import Path

from backend.errors import BusyError, PayloadError, StorageError, UnavailableError
from backend.labelstudio.config import VideoConfig
from backend.prelabel.delivery import Delivery
from backend.prelabel.keeping import keep
from backend.prelabel.later import Alarm, Wake, backoff, call_later
from backend.prelabel.one_video import OneVideo
from backend.prelabel.passing import is_passing
from backend.prelabel.plan import Everything, Left, plan_task
from backend.prelabel.prediction import Prediction
from backend.prelabel.waiting import Order, Waiting, key_of, pack, unpack
from backend.service.engine import Engine
from backend.service.interactive import Footage
from backend.service.jobs import Job, Jobs
from backend.service.parcels import Parcel, Terms
from backend.service.readers import Readers
from backend.service.store import Store

logger = logging.getLogger(__name__)

# Tasks that wait for their turn; a whole project comes at once, and what is turned away is asked about again.
MOST_WAITING = 1000
MOST_WAITING_BYTES = 64 * 2**20
# Tasks that are remembered, so that the same is not tried, or logged, each time one is opened.
MOST_REMEMBERED = 10_000
# Seconds after which a failure that may pass is tried again: doubled each time, up to the longest.
FIRST_WAIT = 30.0
LONGEST_WAIT = 3600.0


class Background:
    """One task after the other is tracked without a press, stored, and posted to Label Studio.

    Presses go before, and what they leave for the background too: this is idle work. Tasks wait here, so that no more
    than one video is fetched ahead. One that fails for a reason that may pass is tried again after a while; where its
    worker died it is begun again at once, unless several died of it.

    Args:
        store: where tracks are kept.
        jobs: does the work.
        readers: open videos.
        engine: the models.
        delivery: posts what was found.
        model_version: theirs.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
        everything: whether tasks without boxes are tracked too.
        clock: in seconds.
        alarm: see :data:`backend.prelabel.later.Alarm`.
    """

    def __init__(
        self,
        store: Store,
        jobs: Jobs,
        readers: Readers,
        engine: Engine,
        delivery: Delivery,
        *,
        model_version: str,
        keyframe_iou: float,
        everything: bool = False,
        clock: Callable[[], float] = time.monotonic,
        alarm: Alarm = call_later,
    ) -> None:
        self._everything: Everything = "without boxes" if everything else "never"
        self._store = store
        self._jobs = jobs
        self._readers = readers
        self._engine = engine
        self._model_version = model_version
        self._keyframe_iou = keyframe_iou
        self._lock = threading.Lock()
        self._clock = clock
        self._wake = Wake(self._next, clock, alarm)
        self._waiting = Waiting(MOST_WAITING, MOST_WAITING_BYTES)
        self._tracking: Hashable | None = None
        self._leaving = False  # the one that is being tracked
        self._delivery = delivery
        self._said: OrderedDict[Hashable, str] = OrderedDict()
        self._tried: OrderedDict[Hashable, str] = OrderedDict()

    def busy(self, project: str, task: str) -> bool:
        """Whether a task is being tracked or posted, or waits for its turn and for nothing else."""
        key = key_of(project, task)
        with self._lock:
            found = self._waiting.get(key)
            waiting = found is not None and found[0] <= self._clock()
            tracked = key == self._tracking
        return waiting or tracked or self._delivery.sending(project, task)

    def consider(
        self,
        project: str,
        task: str,
        raw: object,
        config: VideoConfig,
        footage: Footage,
    ) -> None:
        """Track a task if there is something to track it by, and that was not done before; returns at once.

        Args:
            project: Label Studio's.
            task: Label Studio's.
            raw: the task as Label Studio sent it.
            config: the project's.
            footage: the task's video.
        """
        try:
            plan = plan_task(raw, config, self._model_version, everything=self._everything)
        except PayloadError as error:
            plan = Left(f"its boxes cannot be read ({error})")
        key = key_of(project, task)
        name = f"task {task} of project {project}"
        if isinstance(plan, Left):
            self._say(key, f"{name}: not tracked: {plan.reason}")
            return
        fingerprint = plan.fingerprint + footage.source(self._model_version)
        with self._lock:
            tried = self._tried.get(key) == fingerprint
            again = self._waiting.get(key)
        if tried and again is not None:
            self._say(key, f"{name}: failed {_times(again[1].failures)}, and is tried again by itself")
        elif tried:
            self._say(key, f"{name}: not tracked again: it was tried by {plan} since this service started")
        elif self._enqueue(Order(project, task, pack(plan), fingerprint, config, footage)):
            self._say(key, f"{name}: is tracked by {plan}")
            self._next()
        else:
            self._say(key, f"{name}: not tracked now: {len(self._waiting)} tasks are waiting; ask again later")

    def leave(self, project: str, task: str, reason: str) -> None:
        """Track a task no longer, nor post what was found; ``reason`` is said where there was anything to leave."""
        self._delivery.leave(project, task)
        key = key_of(project, task)
        with self._lock:
            waited = self._waiting.get(key) is not None
            self._waiting.drop(key)
            if self._tracking == key:
                self._leaving = True
                waited = True
        if waited:
            self._say(key, f"task {task} of project {project}: left: {reason}")

    def outdated(self, project: str, config: VideoConfig | None) -> bool:
        """Let those of a project's tasks that wait under another configuration have no turn before they are considered
        again; whether there are any."""
        with self._lock:
            held = self._waiting.held(project)
            found = [order for order in self._waiting.of(project) if order.config != config or order in held]
            for order in found:
                self._waiting.hold(order.key)
                self._tried.pop(order.key, None)
        return bool(found)

    def considered(self, project: str, problem: str = "") -> None:
        """All tasks of a project were considered again, or cannot be, for what is said in ``problem``: leave those that
        have no turn still."""
        with self._lock:
            found = self._waiting.held(project)
            for order in found:
                self._waiting.drop(order.key)
        why = f" ({problem})" if problem else ""
        for order in found:
            self._say(order.key, f"{order}: left: the project's labeling configuration was changed{why}")

    def _enqueue(self, order: Order) -> bool:
        """Let an order wait for its turn, once; False where there is no room."""
        with self._lock:
            if self._tried.get(order.key) == order.fingerprint:  # two asked at once
                return True
            if not self._waiting.add(order, self._clock()):
                return False
            _remember(self._tried, order.key, order.fingerprint)
            return True

    def _say(self, key: Hashable, text: str) -> None:
        """Log a decision, once."""
        with self._lock:
            new = self._said.get(key) != text
            _remember(self._said, key, text)
        if new:
            logger.info("%s", text)

    def _next(self) -> None:
        """Track the task that has waited longest, if none is being tracked."""
        with self._lock:
            if self._tracking is not None:
                return
            order = self._waiting.take(self._clock())
            due = self._waiting.next_due()
            if order is not None:
                self._tracking = order.key
                self._leaving = False
        if order is None:
            if due is not None:
                self._wake.at(due)
            return
        try:
            place, work = (order.project, order.task), _Tracking(order, self)
            self._jobs.submit(f"prelabel {order}", work, [order.key], idle=True, place=place, moves=True)
        except BusyError:
            again = self._clock() + FIRST_WAIT
            self._put_back(order, again)
            with self._lock:
                self._tracking = None
            self._wake.at(again)
        except UnavailableError:  # the service is stopping; Label Studio asks again
            with self._lock:
                self._tracking = None
                self._waiting.clear()

    def _failed(self, order: Order, error: Exception) -> None:
        """A task could not be tracked: it is tried again where that may help, and once more, and so on."""
        if not is_passing(error):
            return
        wait = backoff(FIRST_WAIT, order.failures, LONGEST_WAIT)
        again = replace(order, failures=order.failures + 1)
        if self._put_back(again, self._clock() + wait):
            self._say(order.key, f"{order}: failed {_times(again.failures)}, is tried again in {wait:g} s: {error}")

    def _put_back(self, order: Order, due: float) -> bool:
        """Have the order that was taken wait for another turn; whether it does, or a newer one of its task."""
        with self._lock:
            if self._leaving:  # somebody annotated it meanwhile
                return False
            if self._waiting.get(order.key) is None and not self._waiting.add(order, due):
                self._tried.pop(order.key, None)  # no room: Label Studio may ask again
                return False
        return True

    def _pressed(self, order: Order) -> bool:
        """Whether somebody has pressed for a task since it was considered: then the presses count."""
        source = order.footage.source(self._model_version)
        pressed = any(track.demand.source == source for track in self._store.tracks(order.project, order.task))
        if pressed:
            self._say(order.key, f"{order}: left: somebody pressed for it meanwhile")
        return pressed

    def _tracked(self, order: Order, prediction: Prediction | None, *, human: bool = False) -> None:
        """A task was tracked, or not; what was found is posted beside the next one. ``human`` says that it was tracked
        by the boxes of an annotation, which it is posted beside."""
        if prediction is not None:
            version, score, result = prediction.model_version, prediction.score, prediction.result
            terms: Terms = "beside" if human else "first"
            try:
                self._delivery.send(Parcel(order.project, order.task, version, score, result, terms))
            except StorageError as error:
                self._say(order.key, f"{order}: tracked, and not posted: {error}; Retrieve Predictions brings it")
        with self._lock:
            self._tracking = None
        self._next()


class _Tracking:
    """The work of tracking one task."""

    def __init__(self, order: Order, background: Background) -> None:
        self._order = order
        self._background = background
        self._path = Path()

    def prepare(self, job: Job) -> None:
        """Fetch the video."""
        try:
            self._path = self._order.footage.fetch()
        except BaseException as error:
            if isinstance(error, Exception):
                self._background._failed(self._order, error)
            self._background._tracked(self._order, None)
            raise

    def steps(self, job: Job) -> Iterator[None]:
        """Track, and store; a step is a frame or a region, and storing is the last one."""
        order, back = self._order, self._background
        found: Prediction | None = None
        human = again = False
        since = back._store.next_press()
        try:
            if back._leaving or back._pressed(order):
                return
            plan = unpack(order.packed)
            human = plan.boxes is not None and plan.boxes.human
            with back._readers.lease(self._path) as video:
                work = OneVideo(
                    video,
                    plan,
                    config=order.config,
                    frame_rate=order.footage.frame_rate,
                    model_version=back._model_version,
                    keyframe_iou=back._keyframe_iou,
                )
                yield
                tracker = back._engine.tracker(job.worker)
                yield
                yield from work.steps(tracker, lambda: job.cancelled() or back._leaving)
                if job.cancelled() or back._leaving:
                    return
                source, regions = order.footage.source(back._model_version), work.prediction.regions
                if keep(back._store, order.project, order.task, source, regions, since=since):
                    found = work.prediction
                else:
                    back._pressed(order)
        except Exception as error:
            again = job.goes_on(error)
            if not again:
                back._failed(order, error)
            raise
        finally:
            if not again:
                back._tracked(order, found, human=human)


def _times(count: int) -> str:
    """A number of times in words."""
    return "once" if count == 1 else f"{count} times"


def _remember(memory: OrderedDict[Hashable, str], key: Hashable, text: str) -> None:
    memory[key] = text
    memory.move_to_end(key)
    while len(memory) > MOST_REMEMBERED:
        memory.popitem(last=False)
