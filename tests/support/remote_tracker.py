"""Trackers for workers in processes of their own, which a test reaches by files alone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backend.cluster import footage
from backend.errors import VideoError
from backend.service.engine import Tracker
from backend.tracks import FrameResult
from support.fake_tracker import PATIENCE, FakeTracker


class Reached(FakeTracker):
    """Leaves files in a directory, and heeds some that a test makes there.

    ``process`` has the number of its process. ``frame-N`` says that frame N was tracked, ``closed`` that a call was
    left before its end, ``cancelled`` that it was told to stop. Before frame N it waits as long as there is ``hold-N``
    (``waits-N`` says so), with ``broken-N`` there it fails, and with ``kill-N`` the process ends itself, as a fault in
    a driver would end it.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        (directory / "process").write_text(str(os.getpid()))

    def track(self, video: Any, prompts: Any, **further: Any) -> Iterator[FrameResult]:
        """As the fake one does it."""
        cancelled: Callable[[], bool] = further["cancelled"]
        for prompt in prompts:
            prompt.validate(video.width, video.height)
        return self._told(super().track(video, prompts, **further), cancelled)

    def _told(self, results: Iterator[FrameResult], cancelled: Callable[[], bool]) -> Iterator[FrameResult]:
        try:
            for result in results:
                self._heed(result.frame, cancelled)
                yield result
                (self._directory / f"frame-{result.frame}").touch()
        except GeneratorExit:
            (self._directory / "closed").touch()
            raise

    def _heed(self, frame: int, cancelled: Callable[[], bool]) -> None:
        if (self._directory / f"kill-{frame}").exists():
            os.kill(os.getpid(), 9)
        if (self._directory / f"hold-{frame}").exists():
            (self._directory / f"waits-{frame}").touch()
        if (self._directory / f"broken-{frame}").exists():
            raise VideoError(f"frame {frame} is broken")
        limit = time.monotonic() + PATIENCE
        while (self._directory / f"hold-{frame}").exists() and time.monotonic() < limit:
            if cancelled():
                (self._directory / "cancelled").touch()
                return
            time.sleep(0.01)


class Factory:
    """Builds them. ``apart`` is for a worker that sees none of the service's files."""

    def __init__(self, directory: Path, *, apart: bool = False) -> None:
        self._directory = directory
        self._apart = apart

    def __call__(self) -> Reached:
        if self._apart:
            own = footage.MediaFolder._place

            def find(folder: Any, state: Any) -> Path | None:
                path = own(folder, state)
                return path if path in folder._sizes else None

            footage.MediaFolder.find = find  # type: ignore[method-assign]
        return Reached(self._directory)


class Workers:
    """Workers that were started, and the directory by which they are reached."""

    def __init__(self, directory: Path, count: int = 1, **further: Any) -> None:
        from backend.cluster.fleet import Fleet
        from backend.cluster.pool import Share

        self.fleet = Fleet(Factory(directory, **further), count, Share(1.0), media_bytes=1 << 20)

    def first(self) -> Tracker:
        """The first worker's tracker, started anew."""
        return self.fleet.factories[0]()


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "it never came about"
        time.sleep(0.01)


def frames_of(directory: Path) -> set[int]:
    """Those that were tracked."""
    return {int(path.name.partition("-")[2]) for path in directory.glob("frame-*")}


def values(results: Iterator[FrameResult]) -> list[Mapping[str, Any]]:
    """Results as values that can be compared."""
    return [
        {one.object_id: (result.frame, one.mask and one.mask.counts, one.score, one.human)}
        for result in results
        for one in result.observations
    ]
