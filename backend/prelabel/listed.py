"""Videos of no project: each comes to a file that Label Studio imports, which is written when it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from backend.errors import OutputError
from backend.export.results import replace_text
from backend.labelstudio.config import VideoConfig
from backend.prelabel.course import Settled
from backend.prelabel.jobs import Failed, Manner, Tracked, VideoJob
from backend.prelabel.one_video import TrackedBy
from backend.prelabel.plan import Left
from backend.prelabel.prediction import free_name
from backend.video.frames import file_state


class Planned(TrackedBy, Protocol):
    """What to track a video by; ``fingerprint`` tells the same again."""

    @property
    def fingerprint(self) -> str: ...


@dataclass(frozen=True, eq=False)
class Listed:
    """A video that is to be tracked.

    Attributes:
        name: by which its file is called, with ``/`` between directories; no other has it.
        video: its file, or its address.
        address: as the task is to have it.
        frame_rate: the one that Label Studio will take; None: what the labeling configuration says, and where that
            leaves it to the task, the video's own.
        plan: what it is tracked by; called when its turn comes.
    """

    name: str
    video: str | Path
    address: str
    frame_rate: float | None
    plan: Callable[[], Planned | Left]


class ListedVideos:
    """Videos as they are to be tracked, and the files that they come to.

    A file is there when it is complete. It says what it was made by, so that a run that was interrupted goes on where
    it was, and a video is tracked again if its prompts or its file have changed. What lies behind an address is taken
    to be the same.

    Args:
        videos: in their order.
        config: the labeling configuration of the project that is to have them.
        out: the directory of the files.
        manner: how they are tracked.
        again: also those that have their file, which is then replaced.
    """

    def __init__(
        self, videos: Sequence[Listed], config: VideoConfig, out: Path, *, manner: Manner, again: bool = False
    ) -> None:
        self._videos = videos
        self._config = config
        self._out = out
        self._manner = manner
        self._again = again
        self._turns: dict[str, tuple[Listed, str]] = {}

    def __len__(self) -> int:
        return len(self._videos)

    def jobs(self, cancelled: Callable[[], bool] = lambda: False) -> Iterator[VideoJob | Settled]:
        """One after the other, each as it is when its turn comes."""
        for video in self._videos:
            try:
                found = self._read(video)
            except Exception as error:  # noqa: BLE001 - one video does not keep the others
                yield Settled(video.name, str(video.video), Failed.of(error))
            else:
                yield Settled(video.name, str(video.video), found) if isinstance(found, Left) else found

    def settle(self, job: VideoJob, found: Tracked) -> None:
        """Write a video's file.

        Raises:
            OutputError: it cannot be written.
        """
        video, mark = self._turns.pop(job.name)
        data: dict[str, Any] = {self._config.video_key: video.address}
        if self._config.frame_rate_key is not None:
            data[self._config.frame_rate_key] = found.summary.frame_rate
        prediction = {
            "model_version": found.prediction.model_version,
            "score": found.prediction.score,
            "result": found.prediction.result,
        }
        task = {"data": data, "meta": {"keytrack": mark}, "predictions": [prediction]}
        path = self._path(video)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path.parent} cannot be made ({error.strerror})") from error
        replace_text(path, json.dumps([task], indent=1, ensure_ascii=False) + "\n")

    def link(self, name: str) -> str:
        """There is none."""
        return ""

    def _read(self, video: Listed) -> VideoJob | Left:
        plan = video.plan()
        if isinstance(plan, Left):
            return plan
        mark = self._mark(video, plan)
        if not self._again and self._is_done(video, mark):
            return Left(f"it has its file, by {self._manner.model_version}")
        self._turns[video.name] = video, mark
        regions = free_name(f"{video.name} {self._manner.model_version}", ())
        rate = video.frame_rate or self._config.frame_rate
        own = rate is None and self._config.frame_rate_key is not None
        return VideoJob(video.name, video.video, plan, regions, self._config, "own" if own else rate, self._manner)

    def _mark(self, video: Listed, plan: Planned) -> str:
        """Tells what a file was made by."""
        manner = self._manner
        parts = [manner.model_version, manner.keyframe_iou, repr(manner.pieces), plan.fingerprint, plan.label]
        whole = json.dumps([*parts, repr(self._config), video.address, video.frame_rate, _state(video.video)])
        return hashlib.sha256(whole.encode()).hexdigest()

    def _is_done(self, video: Listed, mark: str) -> bool:
        try:
            (task,) = json.loads(self._path(video).read_text(encoding="utf-8"))
            return bool(task["meta"]["keytrack"] == mark)
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is somebody else's
            return False

    def _path(self, video: Listed) -> Path:
        return self._out / f"{video.name}.json"


def _state(video: str | Path) -> tuple[int, int] | None:
    """When a file was changed, and its size; None of an address, and where this machine does not have the file."""
    try:
        return None if isinstance(video, str) else file_state(video)[1:]
    except OSError:
        return None
