"""A task of pictures as an interactive call brings it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from backend.labelstudio.picture_config import PictureConfig
from backend.labelstudio.picture_marks import Marks
from backend.service.albums import Album, Albums, Find
from backend.service.click_memory import ClickMemory, Made

DRAFT_LAG = 6.0
"""Seconds within which Label Studio has saved a draft of what was changed (it waits for five)."""


@dataclass(frozen=True, eq=False)
class PictureTask:
    """Whose pictures they are, how to get them, and what is drawn on them as far as Label Studio has saved it.

    ``saved`` is None where nothing was saved yet.
    """

    project: str
    task: str
    config: PictureConfig
    addresses: Sequence[str]
    find: Find
    frame_rate: float | None
    saved: Marks | None

    def album(self, albums: Albums, opened_at: int) -> Album:
        """The pictures, opened at one of them.

        Raises:
            MediaError, VideoError, FrameOutOfRange: as :class:`Album`.
        """
        return albums.open(self.project, self.addresses, self.find, opened_at, self.frame_rate)

    def source(self, model_version: str) -> str:
        """All that tracks depend on beside their prompts; with another source, stored results are stale."""
        digest = hashlib.sha256("\n".join(self.addresses).encode("utf-8", "surrogatepass")).hexdigest()
        return json.dumps([f"{len(self.addresses)} pictures {digest}", self.frame_rate, model_version])

    def pending(self, memory: ClickMemory, now: float) -> list[Made]:
        """Those answers to clicks that are on the screen as suggestions, or were accepted and have not been saved yet.

        One whose clicks are there is pending; one whose clicks are gone was accepted, and is in what was saved, or
        rejected. What was answered just now may be missing in what was saved. What was accepted is forgotten: the
        region counts from then on.
        """
        made = memory.of(self.project, self.task)
        if self.saved is None:
            return made
        marks = {mark.id for mark in (*self.saved.points, *self.saved.boxes)}
        regions = {mark.id: mark for mark in self.saved.masks}
        found = []
        for one in made:
            region = regions.get(one.asked.region)
            if region is not None and region.shows(one.mask):
                memory.drop(self.project, self.task, one)
            elif marks.intersection(one.asked.marks) or now - one.at < DRAFT_LAG:
                found.append(one)
        return found
