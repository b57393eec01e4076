"""Interactive calls of projects whose tasks are pictures in their order: clicks, and Track."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from backend.errors import PayloadError
from backend.labelstudio.cut_video import cut_video
from backend.labelstudio.edits import Item
from backend.labelstudio.picture_config import PictureConfig
from backend.labelstudio.picture_marks import named, parse_marks
from backend.labelstudio.tags import parse_number
from backend.labelstudio.working_copy import working_copy
from backend.service.albums import Albums, Find, Use
from backend.service.click_memory import ClickMemory
from backend.service.clicks import Clicks
from backend.service.engine import Engine
from backend.service.jobs import Jobs
from backend.service.payloads import Task, check_text
from backend.service.picture_task import PictureTask
from backend.service.picture_tracks import PictureTracks
from backend.service.store import Store

FRAME_RATE_KEY = "fps"


class Pictures:
    """Calls on the tasks of all such projects, from any thread; ``use`` is told of pictures that are wanted again, see
    :class:`backend.service.albums.Album`."""

    def __init__(self, store: Store, jobs: Jobs, engine: Engine, *, model_version: str, use: Use) -> None:
        albums, memory = Albums(use=use), ClickMemory()
        self._clicks = Clicks(store, jobs, albums, engine, memory)
        self._tracks = PictureTracks(store, jobs, albums, engine, memory, model_version=model_version)

    def answer(
        self,
        project: str,
        task: Task,
        raw: object,
        result: object,
        config: PictureConfig,
        find: Find,
        deadline: float,
    ) -> list[Item]:
        """What the interface is to suggest.

        Args:
            project: Label Studio's.
            task: which one.
            raw: the same as it came, with its drafts and annotations.
            result: what is marked, of one label: points, boxes or masks.
            config: of the project.
            find: gives the file at a picture's address.
            deadline: of ``time.monotonic``; what is not done then goes on, and a later call returns it.

        Raises:
            PayloadError: something in the call is not what it should be, or a picture has another size.
            MediaError, VideoError: a picture that was clicked on cannot be had.
            PromptError: nothing can be made out where somebody clicked.
        """
        try:
            addresses = config.frames_of(task.data)
            for index, address in enumerate(addresses):
                check_text(address, f"data.{config.frames_key}[{index}]")
        except PayloadError as error:
            raise PayloadError(f"tasks[0].{error}") from None
        marks = parse_marks(result, config, len(addresses))
        saved = working_copy(raw)
        here = PictureTask(
            project,
            task.id,
            config,
            addresses,
            find,
            frame_rate(task.data, len(addresses)),
            None if saved is None else parse_marks(saved[0], config, len(addresses), saved[1]),
        )
        if marks.track is not None:
            return self._tracks.press(here, marks.track, deadline)
        # What a smart brush painted is a suggestion's prompt to Label Studio, which deletes it unless it comes back.
        return [*self._clicks.click(here, marks, deadline), *(named(mask) for mask in marks.masks)]


def frame_rate(data: Mapping[str, Any], count: int) -> float | None:
    """Pictures a second of a task with ``count`` of them; None where it does not say. Of a video of which not every
    frame was cut it is what their times say, and not the video's own rate."""
    try:
        cut = cut_video(data, count, "data")
    except PayloadError:  # that is for those to tell who need the frames' numbers
        cut = None
    span = 0.0 if cut is None or count < 2 else cut.times[-1] - cut.times[0]
    number = parse_number(data.get(FRAME_RATE_KEY)) if span <= 0 else (count - 1) / span
    return number if number is not None and math.isfinite(number) and number > 0 else None
