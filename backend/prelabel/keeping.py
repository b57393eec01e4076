"""Tracks that nobody pressed for are stored like those of a press, so that a correction by a press builds on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from backend.prelabel.prediction import TrackedRegion
from backend.service.records import NewTrack
from backend.service.store import Store


def keep(
    store: Store,
    project: str,
    task: str,
    source: str,
    regions: Sequence[TrackedRegion],
    *,
    since: int,
    instead_of: Collection[str] = (),
) -> bool:
    """Store a task's regions as complete tracks, all of them or none; they count as handed out.

    Args:
        store: where to.
        project: Label Studio's.
        task: Label Studio's.
        source: what the tracks depend on; see :func:`backend.service.interactive.source_of`.
        regions: what was found.
        since: the store's next press when the work began.
        instead_of: regions whose tracks these replace, unless a human has a keyframe in one.

    Returns:
        False, and nothing stored, where somebody pressed for the task since.
    """
    tracks = [
        NewTrack(region.id, region.item.label or "", region.answer, region.item.track.observations.values())
        for region in regions
    ]
    return store.keep_all(project, task, source, tracks, since=since, instead_of=instead_of)
