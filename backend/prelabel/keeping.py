"""Tracks that nobody pressed for are stored like those of a press, so that a correction by a press builds on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from backend.prelabel.prediction import TrackedRegion
from backend.service.records import Demand, TrackKey
from backend.service.store import Store


def keep(
    store: Store, project: str, task: str, source: str, regions: Sequence[TrackedRegion], count: int
) -> Iterator[None]:
    """Store regions as complete tracks, one a step; they count as handed out. Once it has begun all are stored, even
    if nobody asks for more steps: some of a task's tracks would pass for all of them.

    Args:
        store: where to.
        project: Label Studio's.
        task: Label Studio's.
        source: what the tracks depend on; see :func:`backend.service.interactive.source_of`.
        regions: of the task.
        count: frames of the video.
    """
    press = store.next_press()
    left = iter(regions)

    def keep_one(region: TrackedRegion) -> None:
        key = TrackKey(project, task, region.id)
        revision = store.begin(key, press, Demand(region.item.label or "", source, "both", ()), keep=False)
        store.add(key, revision, region.item.track.observations.values())
        store.finish(key, revision, region.answer, (), reach=range(count))

    try:
        for region in left:
            keep_one(region)
            yield
    except GeneratorExit:
        for region in left:
            keep_one(region)
        raise
