"""The tasks of a Label Studio project: each is read, tracked, stored and posted when its turn comes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import LabelStudioError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.payload import Incoming, parse
from backend.labelstudio.project import iter_tasks, read_task
from backend.labelstudio.task_boxes import model_versions
from backend.prelabel.course import Settled
from backend.prelabel.from_file import FilePlan, FromFile
from backend.prelabel.jobs import Failed, Manner, Tracked, VideoJob
from backend.prelabel.keeping import keep
from backend.prelabel.passing import patiently
from backend.prelabel.plan import Everything, Left, Plan, plan_task, was_done
from backend.prelabel.prediction import Prediction, free_name
from backend.prelabel.studio import latest_alone, post, predictions_in, predictions_of, shown_regions
from backend.service.interactive import source_of
from backend.service.records import StoredTrack
from backend.service.store import Store

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
class _Turn:
    """A task whose turn it is.

    Attributes:
        number: Label Studio's.
        source: what its tracks depend on.
        since: the store's next press when it was read.
        stale: regions of the store that it does not show, and nobody has drawn in.
    """

    number: int
    source: str
    since: int
    stale: frozenset[str]


class ProjectTasks:
    """The tasks of one project, as they are to be tracked, and what becomes of what is found: nobody else writes.

    What is found is stored before it is posted, and what it replaces goes after that, in Label Studio and in the store:
    at whatever moment the process is killed, each prediction that Label Studio shows has its tracks in the store, and
    the next run finds what is left to do, or left over.

    Args:
        client: of Label Studio.
        project: its number.
        config: its labeling configuration.
        store: where tracks are kept, so that a correction by a press builds on them.
        manner: how they are tracked.
        wish: what is asked for.
    """

    def __init__(
        self,
        client: LabelStudioClient,
        project: int,
        config: VideoConfig,
        *,
        store: Store,
        manner: Manner,
        wish: Wish,
    ) -> None:
        self._client = client
        self._project = project
        self._config = config
        self._store = store
        self._manner = manner
        self._model_version = manner.model_version
        self._wish = wish
        self._numbers: Sequence[int] = ()
        self._turns: dict[str, _Turn] = {}

    def find(
        self, *, cancelled: Callable[[], bool] = lambda: False, listed: Callable[[], None] = lambda: None
    ) -> list[int]:
        """Find the tasks that were asked for: their numbers, in the project's order. Nothing else is kept of them.

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
        self._numbers = found
        return found

    def jobs(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[VideoJob | Settled]:
        """The tasks that were found, each as it is when its turn comes."""
        for number in self._numbers:
            try:
                found = self.read(number, cancelled)
            except Exception as error:  # noqa: BLE001 - one task does not keep the others
                yield Settled(_name(number), "", Failed.of(error))
            else:
                yield Settled(_name(number), "", found) if isinstance(found, Left) else found

    def link(self, name: str) -> str:
        """Where a task is opened."""
        return f"{self._client.url}/projects/{self._project}/data?task={name.removeprefix(_name(''))}"

    def read(self, number: int, cancelled: Callable[[], bool] = lambda: False) -> VideoJob | Left:
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
        video, rate = self._config.video_of(task.data), self._config.frame_rate_of(task.data)
        source = source_of(video, rate, self._model_version)
        tracks = self._store.tracks(str(self._project), str(number))
        shown = shown_regions(raw)
        if not self._wish.annotated and any(one.demand.human and one.demand.source == source for one in tracks):
            return Left("somebody pressed for it")
        stale = frozenset(one.key.region for one in tracks) - shown
        # What is stale goes before the new ones come, unless somebody has drawn in it.
        staying = {one.key.region for one in tracks if one.key.region not in stale or self._is_drawn_in(one)}
        name = _name(number)
        self._turns[name] = _Turn(number, source, since, stale)
        regions = free_name(f"{self._project} {number} {self._model_version}", shown | staying)
        return VideoJob(name, video, plan, regions, self._config, rate, self._manner)

    def _is_drawn_in(self, track: StoredTrack) -> bool:
        """Whether a human has, or had, a keyframe in a track."""
        before = track.base is not None and track.base.human
        return bool(track.demand.human or before or any(one.human for one in self._store.emitted(track.key)))

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

    def settle(self, job: VideoJob, found: Tracked) -> Left | None:
        """Store what was found of a task, and post it.

        Returns:
            the reason where somebody was first, and then nothing is stored or posted.

        Raises:
            LabelStudioError: it cannot be posted.
            StorageError: it cannot be stored.
        """
        return self._keep(self._turns.pop(job.name), found.prediction)

    def _keep(self, turn: _Turn, found: Prediction) -> Left | None:
        project, task = str(self._project), str(turn.number)
        if not self._wish.again and patiently(lambda: self._predicted(turn.number)):
            return _MEANWHILE
        if not keep(self._store, project, task, turn.source, found.regions, since=turn.since, instead_of=turn.stale):
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
        spare = latest_alone(self._client, predictions_in(raw, self._model_version))
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


def _name(number: object) -> str:
    return f"task {number}"
