"""Keytrack as label-studio-ml knows a model: ``predict`` and ``fit``."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import Any, get_args

from pydantic import SecretStr

from backend import __version__
from backend.errors import KeytrackError, LabelConfigError, PayloadError, StorageError, UnavailableError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig, parse_config
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.labelstudio.picture_config import PictureConfig, read_config
from backend.labelstudio.regions import parse_regions
from backend.prelabel.background import Background
from backend.prelabel.delivery import Delivery
from backend.prelabel.pressed import Pressed
from backend.prelabel.studio import make_client
from backend.prelabel.webhooks import Webhooks
from backend.service.engine import Choice, Engine, Tracker, WarmUp
from backend.service.interactive import Footage, Interactive, source_of
from backend.service.jobs import Jobs
from backend.service.overview import Overview
from backend.service.payloads import Task, annotator_of, check_text, parse_tasks, project_of
from backend.service.pictures import Pictures
from backend.service.presses import KeptPress, PressBody
from backend.service.readers import Readers
from backend.service.records import Project, still_there
from backend.service.store import DATABASE, Store
from backend.service.video_protocol import VideoProtocol, speaks
from backend.service.workers import State
from backend.settings import Settings

logger = logging.getLogger(__name__)

Entry = dict[str, Any] | list[Any]
"""A prediction ``{"result", "score", "model_version"}``, or an empty list where there is nothing to say."""


class Keytrack:
    """The backend without its HTTP: presses are tracked in the background, answers come from the store.

    One object serves all projects; its methods may be called from any thread.

    Attributes:
        overview: what goes on, for people who look.
    """

    def __init__(
        self,
        settings: Settings,
        tracker_factory: Callable[[], Tracker],
        choice: Choice,
        *others: Callable[[], Tracker],
    ) -> None:
        """Open the store; no model is loaded.

        Args:
            settings: where things are kept, and how long a press may take.
            tracker_factory: builds the models, on a worker's thread, when its first track needs them.
            choice: which models these are, as it is shown; its name goes into the model version.
            others: factories of further workers.

        Raises:
            SettingsError: the data directory cannot be used.
        """
        self.model_version = f"keytrack-{__version__}-{choice.name}"
        self._settings = settings
        self._choice = choice
        self._store = Store(settings.data_dir / DATABASE)
        self._engine = Engine(tracker_factory, *others)
        self._jobs = Jobs(settings.max_jobs, workers=len(self._engine), revive=self._engine.revive)
        self._readers = Readers()
        self._media = MediaLibrary(settings, leaving=self._readers.drop)
        self.overview = Overview(
            settings,
            choice,
            self.model_version,
            store=self._store,
            jobs=self._jobs,
            engine=self._engine,
            media=self._media,
        )
        self._delivery = Delivery(self._store.parcels, self._jobs, self._client)
        self._pressed_for = Pressed(self._store, self._delivery, self._client, model_version=self.model_version)
        self._interactive = Interactive(
            self._store,
            self._jobs,
            self._readers,
            self._engine,
            model_version=self.model_version,
            keyframe_iou=settings.keyframe_iou,
            ended=self._pressed_for.ended,
        )
        self._video_protocol = VideoProtocol(self._jobs, self._readers, self._engine, model_version=self.model_version)
        self._pictures = Pictures(
            self._store, self._jobs, self._engine, model_version=self.model_version, use=self._media.use
        )
        self._background = Background(
            self._store,
            self._jobs,
            self._readers,
            self._engine,
            self._delivery,
            model_version=self.model_version,
            keyframe_iou=settings.keyframe_iou,
            everything=settings.prelabel == "everything",
        )

        self._webhooks = Webhooks(
            self._jobs,
            consider=self._consider,
            leave=self._background.leave,
            outdated=self._outdated,
            considered=self._background.considered,
            client=self._client,
        )

    def warm_up(self) -> None:
        """Load the models in the background, before the first press."""
        for worker in range(len(self._engine)):
            self._jobs.submit("loading the models", WarmUp(self._engine), worker=worker)

    def resume(self) -> None:
        """Take up what was not done when the service ended: predictions to post, and presses whose tracks were not
        complete; whoever presses goes first."""
        self._delivery.resume()
        for kept in list(self._store.presses):
            own = [one for one in self._store.tracks(kept.project, kept.task) if one.pressed == kept.number]
            left = [one for one in own if not one.complete and one.problem is None]
            if left:
                try:
                    self._take_up(kept, {one.key.region for one in own})
                    continue
                except (UnavailableError, StorageError) as error:  # stopped meanwhile, for one
                    logger.warning("what was pressed is taken up again at the next start: %s", error)
                    return
                except KeytrackError as error:  # an older version took what this one refuses
                    logger.warning("task %s of project %s is not taken up again: %s", kept.task, kept.project, error)
                    with _forgiving():
                        for one in left:
                            self._store.fail(one.key, one.revision, str(error))
            self._pressed_for.ended(kept.project, kept.task)

    def _take_up(self, kept: KeptPress, own: Collection[str]) -> None:
        """Go on with a press, for those regions that no newer one has asked for."""
        body = kept.body
        config = parse_config(body.label_config)
        regions = [one for one in parse_regions(body.result, config) if one.id in own]
        footage = self._footage(Task(id=kept.task, data=body.data), config, kept.project)
        self._interactive.resume(kept.project, kept.task, regions, footage, kept.number)

    def stop(self) -> None:
        """End all work; whoever waits for some is let go with what is done."""
        self.overview.close()
        self._video_protocol.stop()
        self._jobs.close()
        self._media.close()  # last: a download that ends now is no job's failure any more

    def close(self) -> None:
        """Stop, and close the store; unfinished tracks are taken up again by :meth:`resume` or the next press."""
        self.stop()
        self._readers.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """What is running, without waiting for anything."""
        return {
            "status": "UP",
            "model_class": type(self).__name__,
            "model_version": self.model_version,
            **asdict(self._choice),
            "models_loaded": self._engine.loaded,
            "jobs": len(self._jobs),
            "workers": self.workers(),
        }

    def jobs(self) -> dict[str, int]:
        """Numbers of jobs that are not at their end, by status."""
        return self._jobs.counts()

    def workers(self) -> dict[str, int]:
        """Numbers of workers, by what they do: ``idle``, ``busy`` or ``lost``."""
        found = Counter(worker.state for worker in self._jobs.workers())
        return {state: found[state] for state in get_args(State)}

    def media_bytes(self) -> int:
        """Bytes of the media that were fetched and are still on the disk."""
        return self._media.held()

    def remember(
        self, project: str, hostname: str | None, access_token: str | None, extra_params: object = None
    ) -> None:
        """Keep what Label Studio reports about a project: its own address, and a token to fetch media with."""
        reported = Project(hostname or "", access_token or "", extra_params)
        if self._store.project(project_of(project)) != reported:
            self._store.remember_project(project_of(project), reported)

    def predict(self, tasks: object, context: object = None, **kwargs: Any) -> list[Entry]:
        """label-studio-ml's entry: an answer for each task.

        Without a ``context`` that is what is stored for the task, at once; a task of which nothing is stored may be
        tracked in the background, and gets its prediction later. With one somebody pressed the button:
        ``context["result"]`` holds the regions of one class, which are tracked, and what is done within the budget
        is returned; or somebody clicked on a picture, see :class:`backend.service.pictures.Pictures`. Contexts of the
        interactive video protocol are answered by :class:`backend.service.video_protocol.VideoProtocol`.

        Args:
            tasks: as Label Studio sends them.
            context: what the interactive call adds; None for a batch.
            kwargs: ``project`` (its id, or ``<id>.<time>``) and ``label_config`` (XML); others are ignored.

        Raises:
            PayloadError: something in the payload has the wrong type.
            LabelConfigError: a press in a project whose labeling configuration cannot be served.
            KeytrackError: an event of the interactive video protocol cannot be answered.
        """
        deadline = time.monotonic() + self._settings.budget_seconds
        project, label_config = _text(kwargs, "project"), _text(kwargs, "label_config")
        parsed = parse_tasks(tasks)
        if context is None:
            return [
                self._stored(task, raw, project, label_config) for task, raw in zip(parsed, _listed(tasks), strict=True)
            ]
        if not isinstance(context, Mapping):
            raise PayloadError(f"params.context: expected an object; found {type(context).__name__}")
        if speaks(context, label_config) and len(parsed) <= 1:
            return [self._event(context, parsed[0] if parsed else None, project, label_config)]
        if len(parsed) != 1:
            raise PayloadError(f"tasks: a press is about one task; found {len(parsed)}")
        return [self._pressed(parsed[0], _listed(tasks)[0], context.get("result"), project, label_config, deadline)]

    def fit(self, event: str, data: Mapping[str, Any], **kwargs: Any) -> dict[str, Any]:
        """label-studio-ml's training hook: nothing is learned from annotations, but events tell what goes on; see
        :class:`backend.prelabel.webhooks.Webhooks`."""
        done = self._webhooks.handle(event, data)
        logger.debug("event %s%s", event, "" if done else ": nothing to do")
        return {}

    def _consider(self, raw: object, project: str, label_config: str) -> None:
        (task,) = parse_tasks([raw])
        self._stored(task, raw, project, label_config)

    def _pressed(
        self, task: Task, raw: object, result: object, project: str | None, label_config: str | None, deadline: float
    ) -> Entry:
        if label_config is None:
            raise LabelConfigError("label_config: it is missing; Label Studio sends the project's with each call")
        config = read_config(label_config)
        project_id = project_of(project, task)
        if isinstance(config, PictureConfig):
            find = partial(self._media.resolve, reported=self._access(project_id))
            made = self._pictures.answer(project_id, task, raw, result, config, find, deadline)
            return {"result": made, "model_version": self.model_version}
        regions = parse_regions(result, config)
        if not regions:
            return {"result": [], "model_version": self.model_version}
        footage = self._footage(task, config, project_id)
        body = PressBody(next(iter(regions[0].labels), ""), task.data, _listed(result), label_config)
        press, replies = self._interactive.press(
            project_id, task.id, regions, footage, deadline, body=body, annotator=annotator_of(raw)
        )
        if all(reply.over for reply in replies):
            with _forgiving():
                self._store.presses.drop(project_id, task.id, press)
            self._pressed_for.returned(project_id, task.id, press)
        entry: dict[str, Any] = {
            "result": [item for reply in replies for item in reply.results],
            "model_version": self.model_version,
        }
        scores = [reply.score for reply in replies if reply.score is not None]
        return {**entry, "score": min(scores)} if scores else entry

    def _event(
        self, context: Mapping[str, Any], task: Task | None, project: str | None, label_config: str | None
    ) -> Entry:
        project_id = project_of(project, task)
        resolve = partial(self._media.resolve, reported=self._access(project_id))
        result = self._video_protocol.answer(context, task, project_id, label_config, resolve)
        return {"result": result, "model_version": self.model_version}

    def _footage(self, task: Task, config: VideoConfig, project: str) -> Footage:
        name, frame_rate = _video(task, config)
        return Footage(name, partial(self._media.resolve, name, self._access(project)), frame_rate)

    def _access(self, project: str) -> LabelStudioAccess | None:
        known = self._store.project(project)
        if known is None or not known.hostname:
            return None
        return LabelStudioAccess(known.hostname, SecretStr(known.token) if known.token else None)

    def _stored(self, task: Task, raw: object, project: str | None, label_config: str | None) -> Entry:
        """The task's complete tracks; nothing while one of them is being made, since Label Studio asks only once.

        A task of which there are none may be tracked in the background."""
        project_id = project_of(project, task)
        tracks = still_there(self._store.tracks(project_id, task.id))
        if self._background.busy(project_id, task.id) or any(
            self._jobs.owner(track.key) is not None for track in tracks
        ):
            return []
        source = self._source(task, label_config)
        current = [track for track in tracks if track.demand.source == source]
        answers = [track.answer for track in current if track.answer is not None]
        if not current and source is not None and self._settings.prelabel != "off":
            self._prelabel(task, raw, project_id, parse_config(label_config or ""))
        if not answers:
            return []
        return {
            "result": [item for answer in answers for item in answer.results],
            "score": min(answer.score for answer in answers),
            "model_version": self.model_version,
        }

    def _prelabel(self, task: Task, raw: object, project: str, config: VideoConfig) -> None:
        self._background.consider(project, task.id, raw, config, self._footage(task, config, project))

    def _outdated(self, project: str, label_config: str) -> bool:
        try:
            config = parse_config(label_config)
        except LabelConfigError:  # nothing can be tracked under it
            config = None
        return self._background.outdated(project, config)

    def _client(self, project: str) -> LabelStudioClient | None:
        return make_client(self._settings, self._store.project(project))

    def _source(self, task: Task, label_config: str | None) -> str | None:
        try:
            name, frame_rate = _video(task, parse_config(label_config or ""))
        except KeytrackError:
            return None
        return source_of(name, frame_rate, self.model_version)


@contextmanager
def _forgiving() -> Iterator[None]:
    """Without what is done inside a restart takes up less; the rest of a press says itself what cannot be stored."""
    try:
        yield
    except StorageError as error:
        logger.warning("%s", error)


def _video(task: Task, config: VideoConfig) -> tuple[str, float | None]:
    """A task's video and the frame rate that Label Studio takes for it."""
    try:
        name = check_text(config.video_of(task.data), f"data.{config.video_key}")
        return name, config.frame_rate_of(task.data)
    except PayloadError as error:
        raise PayloadError(f"tasks[0].{error}") from None  # a press is about one task; a batch swallows this


def _listed(tasks: object) -> list[object]:
    """Tasks as they came, which were parsed: they are a list."""
    return tasks if isinstance(tasks, list) else []


def _text(kwargs: Mapping[str, Any], name: str) -> str | None:
    value = kwargs.get(name)
    if value is not None and not isinstance(value, str):
        raise PayloadError(f"{name}: expected a text; found {type(value).__name__}")
    return value
