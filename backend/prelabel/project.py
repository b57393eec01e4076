"""All tasks of a Label Studio project, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import KeytrackError, PayloadError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.payload import Incoming, parse
from backend.labelstudio.project import iter_tasks
from backend.prelabel.keeping import keep
from backend.prelabel.one_video import OneVideo
from backend.prelabel.plan import Everything, Left, Plan, plan_task
from backend.prelabel.studio import post, predictions_of
from backend.service.engine import Tracker
from backend.service.interactive import source_of
from backend.service.store import Store
from backend.video.reader import VideoReader

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wish:
    """Which tasks are to be tracked, and by what.

    Attributes:
        tasks: their numbers; None: all.
        everything: whether whatever looks like an object is tracked.
        label: what all objects are; None: what is said of each.
        again: also tasks that have a prediction of this version, in whose place the new one comes.
        annotated: also tasks that have an annotation.
    """

    tasks: Collection[int] | None = None
    everything: Everything = "without boxes"
    label: str | None = None
    again: bool = False
    annotated: bool = False


@dataclass(frozen=True, eq=False)
class Entry:
    """A task, and what is to become of it: a plan, a reason to leave it, or an error that came before."""

    number: int
    data: Mapping[str, Any]
    plan: Plan | Left | KeytrackError


class _TaskItem(Incoming):
    id: int
    data: dict[str, Any]


class ProjectTasks:
    """Tracks tasks of one project and posts what is found; each is done for good before the next one begins.

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

    def entries(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Entry]:
        """The tasks that were asked for, and what is to become of each; nothing is tracked yet.

        Raises:
            LabelStudioError: Label Studio cannot be reached, or tasks went away meanwhile.
            PayloadError: the answer is not what Label Studio's is.
        """
        for raw in iter_tasks(self._client, self._project, cancelled):
            task = parse(_TaskItem, raw, f"a task of project {self._project}")
            if self._wish.tasks is None or task.id in self._wish.tasks:
                yield Entry(task.id, task.data, self._plan(raw))

    def _plan(self, raw: object) -> Plan | Left | KeytrackError:
        wish = self._wish
        try:
            return plan_task(
                raw,
                self._config,
                self._model_version,
                everything=wish.everything,
                label=wish.label,
                again=wish.again,
                annotated=wish.annotated,
            )
        except PayloadError as error:
            return error

    def track(
        self,
        entry: Entry,
        plan: Plan,
        tracker: Tracker,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        advance: Callable[[int], None] = lambda _: None,
    ) -> str | None:
        """Track one task, and post its prediction.

        Args:
            entry: the task.
            plan: its plan.
            tracker: the models.
            cancelled: asked between frames.
            advance: called after each frame with the number of frames that there are.

        Returns:
            what came of it, in words; None where it was cancelled, and then nothing is posted.

        Raises:
            KeytrackError: the video cannot be fetched or read, or the prediction cannot be posted.
        """
        meanwhile = "left: it has a prediction meanwhile"
        # Before the work, not only after it: somebody else may do the same project, and Label Studio may be gone.
        if not self._wish.again and predictions_of(self._client, entry.number, self._model_version):
            return meanwhile
        name = self._config.video_of(entry.data)
        frame_rate = self._config.frame_rate_of(entry.data)
        with VideoReader(self._fetch(name)) as video:
            work = OneVideo(
                video,
                plan,
                config=self._config,
                frame_rate=frame_rate,
                model_version=self._model_version,
                keyframe_iou=self._keyframe_iou,
            )
            for _ in work.steps(tracker, cancelled):
                advance(len(work))
            if cancelled():
                return None
            found = work.prediction
            if not post(self._client, entry.number, found, again=self._wish.again):
                return meanwhile
            source = source_of(name, frame_rate, self._model_version)
            for _ in keep(self._store, str(self._project), str(entry.number), source, found.regions, len(video)):
                pass
            count = len(found.regions)
            tracks = f"{count} track{'s' * (count != 1)}"
            return f"{tracks} in {len(video)} frames, by {plan}; confidence {found.score:.2f}"


@dataclass(frozen=True)
class Failure:
    """A task that could not be done, and why."""

    number: int
    reason: str


def run(
    tasks: ProjectTasks,
    entries: Collection[Entry],
    tracker: Callable[[], Tracker],
    *,
    say: Callable[[str], None],
    cancelled: Callable[[], bool] = lambda: False,
    done: Callable[[], None] = lambda: None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Failure]:
    """Do tasks one after the other; one that fails does not keep the others.

    Args:
        tasks: the project's.
        entries: what to do.
        tracker: gives the models, when the first task needs them.
        say: takes a line on each task.
        cancelled: asked between frames and tasks; True ends it.
        done: called after each task.
        advance: called after each frame with the number of frames that the video has.

    Returns:
        the tasks that failed.

    Raises:
        KeytrackError: the models cannot be loaded.
    """
    failures: list[Failure] = []
    for entry in entries:
        if cancelled():
            break
        text: str | None
        try:
            text = _do(tasks, entry, tracker, cancelled, advance)
        except _Failed as failed:
            failures.append(Failure(entry.number, failed.reason))
            text = f"failed: {failed.reason}"
        if text is not None:
            say(f"task {entry.number}: {text}")
            done()
    return failures


class _Failed(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _do(
    tasks: ProjectTasks,
    entry: Entry,
    tracker: Callable[[], Tracker],
    cancelled: Callable[[], bool],
    advance: Callable[[int], None],
) -> str | None:
    if isinstance(entry.plan, Left):
        return f"left: {entry.plan.reason}"
    if isinstance(entry.plan, KeytrackError):
        raise _Failed(str(entry.plan))
    models = tracker()
    try:
        return tasks.track(entry, entry.plan, models, cancelled=cancelled, advance=advance)
    except KeytrackError as error:
        raise _Failed(str(error)) from error
    except Exception as error:
        logger.exception("task %d", entry.number)
        raise _Failed("an internal error; the log has the details") from error
