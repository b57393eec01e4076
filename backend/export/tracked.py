"""What every format is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from backend.tracks import Prompt, Track


@dataclass(frozen=True, eq=False)
class TrackedObject:
    """An object with what a human said of it and what was found. Its ``label`` is its class, if it has one."""

    id: str
    label: str | None
    prompts: tuple[Prompt, ...]
    track: Track

    @property
    def score(self) -> float:
        """The mean confidence over the tracked frames; 0 without any."""
        return fmean(found.score for found in self.track.observations.values()) if self.track.observations else 0.0


def tracked_frames(objects: Iterable[TrackedObject]) -> list[int]:
    """The frames on which any of the objects was tracked, ascending."""
    return sorted({frame for item in objects for frame in item.track.observations})
