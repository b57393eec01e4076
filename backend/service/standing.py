"""The neighbours of a region that is tracked: tracks of its task that are complete, as they lie in the store."""

from __future__ import annotations

from collections.abc import Collection

from backend.service.records import TrackKey, still_there
from backend.service.store import Store
from backend.tracks import Observation


class StoredNeighbours:
    """See :class:`backend.tracking.standing.Standing`; a frame is read when it is asked for, and nothing is kept.

    A neighbour that a newer press changes stands no more from then on.

    Args:
        store: where they lie.
        pursued: the regions that are tracked, all of one task and one source: these are no neighbours, and what was
            made of another video or by other models is of no use to them.
        size: (height, width) of the video.
    """

    def __init__(self, store: Store, pursued: Collection[TrackKey], size: tuple[int, int]) -> None:
        self._store = store
        self._size = size
        key = next(iter(pursued))
        tracks = store.tracks(key.project, key.task)
        sources = {track.demand.source for track in tracks if track.key in pursued}
        self._tracks = [
            track
            for track in still_there(tracks)
            if track.complete and track.key not in pursued and track.demand.source in sources
        ]

    def at(self, frame: int) -> dict[str, Observation]:
        """What is stored of them on a frame."""
        return {
            one.object_id: one
            for one in self._store.observations_at(self._tracks, frame)
            if one.mask is not None and one.mask.size == self._size
        }
