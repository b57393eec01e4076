"""The tasks of a Label Studio project: each is read, tracked, stored and posted when its turn comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.payload import Incoming, parse
from backend.labelstudio.project import iter_tasks, read_task
from backend.labelstudio.task_boxes import model_versions
from backend.prelabel.from_file import FilePlan, FromFile
from backend.prelabel.keeping import keep
from backend.prelabel.one_video import OneVideo
from backend.prelabel.passing import patiently
from backend.prelabel.plan import Everything, Leave, Left, Plan, plan_task, was_done
from backend.prelabel.prediction import Prediction
from backend.prelabel.studio import latest_alone, post, predictions_of, shown_regions
from backend.service.engine import Tracker
from backend.service.interactive import source_of
from backend.service.store import Store
from backend.video.reader import VideoReader

logger = logging.getLogger(__name__)

_MEANWHILE = Left("it has a prediction meanwhile")


@dataclass(frozen=True)
class Wish:
    """Which tasks are to be tracked, and by what.

    Attributes:
        tasks: their numbers; None: all.
        everything: whether whatever looks like an object is tracked.
        label: what all objects are; None: what is said of each.
        detections: instead of all that, what a file has.
        again: also tasks that have a prediction of this version, in whose place the new one comes.
        annotated: also tasks at which somebody has worked.
    """

    tasks: Collection[int] | None = None
    everything: Everything = "without boxes"
    label: str | None = None
    detections: FromFile | None = None
    again: bool = False
    annotated: bool = False


class _TaskItem(Incoming):
    id: int
    data: dict[str, Any]
    drafts: list[Any] | None = None


@dataclass(frozen=True, eq=False)
class Turn:
    """A task whose turn it is.

    Attributes:
        number: Label Studio's.
        plan: what it is tracked by.
        video: its video's address or path.
        frame_rate: the one that Label Studio takes for it.
        since: the store's next press when it was read.
        stale: regions of the store that it does not show, and nobody has drawn in.
    """

    number: int
    plan: Plan | FilePlan
    video: str
    frame_rate: float | None
    since: int
    stale: frozenset[str]


class ProjectTasks:
    """Tracks tasks of one project and posts what is found; each is done for good before the next one begins.

    What is found is stored before it is posted, and what it replaces goes after that, in Label Studio and in the store:
    at whatever moment the process is killed, each prediction that Label Studio shows has its tracks in the store, and
    the next run finds what is left to do, or left over.

    Args:
        client: of Label Studio.
        project: its number.
        config: its labeling configuration.
        fetch: gives the file of a task's video.
        store: where tracks are kept, so that a correction by a press builds on them.
        model_version: of the models.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
        wish: what is asked for.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        project: int,
        config: VideoConfig,
        *,
        fetch: Callable[[str], Path],
        store: Store,
        model_version: str,
        keyframe_iou: float,
        wish: Wish,
    ) -> None:
        self._client = client
        self._project = project
        self._config = config
        self._fetch = fetch
        self._store = store
        self._model_version = model_version
        self._keyframe_iou = keyframe_iou
        self._wish = wish

    def numbers(
        self, *, cancelled: Callable[[], bool] = lambda: False, listed: Callable[[], None] = lambda: None
    ) -> list[int]:
        """The numbers of the tasks that were asked for, in the project's order; nothing else is kept of them.

        Args:
            cancelled: asked now and then; True ends it.
            listed: called for each task of the project.

        Raises:
            LabelStudioError: Label Studio cannot be reached, or tasks went away meanwhile.
            PayloadError: the answer is not what Label Studio's is.
            DatasetError: several of a file's videos may be a task's.
        """
        wish = self._wish
        found: list[int] = []
        for raw in iter_tasks(self._client, self._project, cancelled, whole=False):
            task = parse(_TaskItem, raw, f"a task of project {self._project}")
            wanted = wish.tasks is None or task.id in wish.tasks
            if wanted:
                found.append(task.id)
            if wish.detections is not None:
                value = task.data.get(self._config.video_key)
                wish.detections.meet(value if isinstance(value, str) else "", asked_for=wanted)
            listed()
        return found

    def read(self, number: int, cancelled: Callable[[], bool] = lambda: False) -> Turn | Left:
        """What is to become of a task, as it is now.

        Raises:
            LabelStudioError: Label Studio cannot be reached.
            PayloadError: what the task has cannot be read.
            DatasetError: several of a file's videos may be this task's.
        """
        since = self._store.next_press()
        raw = patiently(lambda: read_task(self._client, self._project, number), cancelled=cancelled)
        if raw is None:
            return Left("the project does not have it any more")
        task = parse(_TaskItem, raw, f"task {number}")
        if not self._wish.again and self._model_version in model_versions(raw):
            return self._tidied(number, raw, since)
        if not self._wish.annotated and task.drafts:
            return Left("somebody is at work on it: it has a draft")
        plan = self._plan(raw, task.data)
        if isinstance(plan, Left):
            return plan
        name, rate = self._config.video_of(task.data), self._config.frame_rate_of(task.data)
        source = source_of(name, rate, self._model_version)
        tracks = self._store.tracks(str(self._project), str(number))
        if not self._wish.annotated and any(one.demand.human and one.demand.source == source for one in tracks):
            return Left("somebody pressed for it")
        stale = frozenset(one.key.region for one in tracks) - shown_regions(raw)
        return Turn(number, plan, name, rate, since, stale)

    def _plan(self, raw: Mapping[str, Any], data: Mapping[str, Any]) -> Plan | FilePlan | Left:
        wish = self._wish
        if wish.detections is not None:
            done = was_done(raw, self._model_version, again=wish.again, annotated=wish.annotated)
            return done or wish.detections.plan(self._config.video_of(data))
        return plan_task(
            raw,
            self._config,
            self._model_version,
            everything=wish.everything,
            label=wish.label,
            again=wish.again,
            annotated=wish.annotated,
        )

    def track(
        self,
        turn: Turn,
        tracker: Tracker,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> str | Left | None:
        """Track one task, store what is found, and post it.

        Args:
            turn: the task.
            tracker: the models.
            cancelled: asked between frames.
            advance: called after each frame with the number of frames that there are.

        Returns:
            what came of it, in words; None where it was cancelled, and then nothing is stored or posted.

        Raises:
            KeytrackError: the video cannot be fetched or read, or the prediction cannot be posted.
        """
        path = patiently(lambda: self._fetch(turn.video), cancelled=cancelled)
        with VideoReader(path) as video:
            try:
                work = OneVideo(
                    video,
                    turn.plan,
                    config=self._config,
                    frame_rate=turn.frame_rate,
                    model_version=self._model_version,
                    keyframe_iou=self._keyframe_iou,
                )
            except Leave as leave:
                return leave.left
            for _ in work.steps(tracker, cancelled):
                advance(len(work))
        if cancelled():
            return None
        found = work.prediction
        left = self._settle(turn, found)
        if left is not None:
            return left
        count = len(found.regions)
        tracks = f"{count} track{'s' * (count != 1)}"
        return f"{tracks} in {len(work)} frames, by {turn.plan}; confidence {found.score:.2f}"

    def _settle(self, turn: Turn, found: Prediction) -> Left | None:
        """Store and post; the reason where somebody was first, and then nothing is stored or posted."""
        project, task = str(self._project), str(turn.number)
        if not self._wish.again and patiently(lambda: self._predicted(turn.number)):
            return _MEANWHILE
        source = source_of(turn.video, turn.frame_rate, self._model_version)
        if not keep(self._store, project, task, source, found.regions, since=turn.since, instead_of=turn.stale):
            return Left("somebody pressed for it meanwhile")
        if not patiently(lambda: post(self._client, turn.number, found, again=self._wish.again)):
            new = [region.id for region in found.regions]
            self._store.forget(project, task, new, since=self._store.next_press())
            return _MEANWHILE
        if self._wish.again:
            try:
                raw = patiently(lambda: read_task(self._client, self._project, turn.number))
                self._forget_unshown(turn.number, raw or {}, turn.since)
            except LabelStudioError as error:  # the next run does it
                logger.warning("task %d: tracks that were replaced stay in the store: %s", turn.number, error)
        return None

    def _predicted(self, number: int) -> bool:
        return bool(predictions_of(self._client, number, self._model_version))

    def _tidied(self, number: int, raw: Mapping[str, Any], since: int) -> Left:
        """A task that is done; what a run that was killed has left over goes."""
        spare = latest_alone(self._client, raw, self._model_version)
        if spare:
            raw = read_task(self._client, self._project, number) or {}
        self._forget_unshown(number, raw, since)
        extra = f"; {spare} older one{'s' * (spare != 1)} deleted" if spare else ""
        return Left(f"it has a prediction of {self._model_version}{extra}")

    def _forget_unshown(self, number: int, raw: Mapping[str, Any], since: int) -> None:
        """Remove a task's tracks whose regions Label Studio does not show."""
        project, task = str(self._project), str(number)
        there = {track.key.region for track in self._store.tracks(project, task)}
        self._store.forget(project, task, there - shown_regions(raw), since=since)
