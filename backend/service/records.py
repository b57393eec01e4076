"""What the store keeps, as values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from backend.tracks import Box, Observation, Track

Item = dict[str, Any]  # one keyframe of a sequence, or one region, as Label Studio writes it


@dataclass(frozen=True)
class TrackKey:
    """Which track: Label Studio's project and task, and the region's id, which is the object's."""

    project: str
    task: str
    region: str


@dataclass(frozen=True)
class Demand:
    """What a press asks for one region.

    ``source`` names all that the result depends on beside the region: the video, its frame rate, the models. ``human``
    are the human's keyframes verbatim; ``closed`` the frames of those among them that end a visible span.
    """

    label: str
    source: str
    direction: str
    human: Sequence[Item]
    closed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Answer:
    """A complete track as Label Studio's results: the region, then its companions; and the notes on it."""

    results: list[Item]
    score: float
    texts: list[str]


@dataclass(frozen=True, eq=False)
class NewTrack:
    """A complete track that nobody pressed for, under a region's id that is new."""

    region: str
    label: str
    answer: Answer
    observations: Collection[Observation]


@dataclass(frozen=True)
class Base:
    """What a track was when it was last complete: under which revision, the human's keyframes and those among them that
    end a visible span, and all keyframes as they were last handed out."""

    revision: int
    human: Sequence[Item]
    closed: frozenset[int]
    sequence: Sequence[Item]


@dataclass(frozen=True)
class StoredTrack:
    """A track's row; there is an ``answer`` as soon as it is complete.

    ``base`` is what is being made anew, None where there is nothing to build on or the track is complete. ``remarks``
    are notes on the track beside those on how it was tracked.
    """

    id: int
    key: TrackKey
    demand: Demand
    pressed: int
    revision: int
    problem: str | None
    answer: Answer | None
    base: Base | None = None
    remarks: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every frame was tracked."""
        return self.answer is not None


def still_there(tracks: Sequence[StoredTrack]) -> list[StoredTrack]:
    """Of a task's tracks those that the last press on their class brought: what it did not bring had been deleted."""
    presses: dict[str, int] = {}
    for track in tracks:
        presses[track.demand.label] = max(track.pressed, presses.get(track.demand.label, 0))
    return [track for track in tracks if track.pressed == presses[track.demand.label]]


@dataclass(frozen=True)
class Emission:
    """A sequence that was handed out, the frames of the human's keyframes in it, and of those among them that end a
    visible span."""

    sequence: list[Item]
    human: frozenset[int]
    closed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class StoredFrame:
    """An observation without its mask; ``box`` is None where the object is absent."""

    revision: int
    score: float
    human: bool
    box: Box | None


FIRST_REVISION = 1


def observed(track: Track) -> dict[int, StoredFrame]:
    """A track that is not stored, as if it were, under the first revision."""
    return {
        frame: StoredFrame(FIRST_REVISION, found.score, found.human, found.box)
        for frame, found in track.observations.items()
    }


@dataclass(frozen=True)
class Project:
    """What Label Studio said about a project; ``token`` is a secret and left out of the representation."""

    hostname: str
    token: str
    extra: Any

    def __repr__(self) -> str:
        return f"Project(hostname={self.hostname!r})"
