"""Tracks that went on with each other's object: one correction puts both right."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from backend.labelstudio.edits import Item
from backend.service import notes
from backend.service.pursuit import Pursuit
from backend.service.records import Answer, Base, StoredFrame, StoredTrack
from backend.service.store import Store
from backend.service.timeline import Timeline
from backend.tracking.swaps import Exchange, find_exchange
from backend.tracks import Box, Prompt

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Side:
    """One track as it was last complete: its boxes, and the decode indices on which the human has drawn it."""

    pursuit: Pursuit
    track: StoredTrack
    frames: dict[int, StoredFrame]
    human: Collection[int]


class Uncrosser:
    """Exchanges tracks in the store where a correction shows that they were swapped.

    Args:
        neighbours: the regions that a correction may be about beside its own. They are complete, nothing of them has
            changed, and the press returns them; all are of one class.
        keyframe_iou: how well the keyframes meet the boxes.
    """

    def __init__(self, store: Store, neighbours: Sequence[Pursuit], timeline: Timeline, keyframe_iou: float) -> None:
        self._store = store
        self._neighbours = neighbours
        self._timeline = timeline
        self._keyframe_iou = keyframe_iou

    def heed(self, pursuit: Pursuit, prompts: Sequence[Prompt], changed: Collection[int]) -> bool:
        """Exchange what the prompts of a region say was swapped; whether anything was.

        Args:
            pursuit: the region, which was complete once.
            prompts: all that it has now.
            changed: the frames of those that are new, or differ from what they were.
        """
        marked = {prompt.frame for prompt in prompts}
        corrected = {one.frame: one.box for one in prompts if one.frame in changed and one.box is not None}
        exchanged = [self._heed(pursuit, frame, corrected, marked) for frame in sorted(corrected)]
        return any(exchanged)

    def _heed(self, pursuit: Pursuit, frame: int, corrected: Mapping[int, Box], human: Collection[int]) -> bool:
        name = pursuit.key.region
        track = self._store.track(pursuit.key)
        if track is None or track.base is None or frame in self._indices(track.base.human):
            return False
        own = _Side(pursuit, track, self._frames(track, track.base.revision), human)
        sides = {name: own}
        for neighbour in self._neighbours:
            other = self._store.track(neighbour.key)
            if other is not None and other.complete and other.revision == neighbour.revision:
                frames = self._frames(other, other.revision)
                sides[neighbour.key.region] = _Side(neighbour, other, frames, self._indices(other.demand.human))
        tracks = {which: {at: one.box for at, one in side.frames.items()} for which, side in sides.items()}
        found = find_exchange(name, frame, corrected, tracks, {which: side.human for which, side in sides.items()})
        return found is not None and self._exchange(own, sides[found.other], found)

    def _frames(self, track: StoredTrack, revision: int) -> dict[int, StoredFrame]:
        return {frame: one for frame, one in self._store.frames(track).items() if one.revision == revision}

    def _exchange(self, own: _Side, other: _Side, found: Exchange) -> bool:
        answer = other.track.answer
        frames = [frame for frame in found.frames if frame in own.frames and frame in other.frames]
        if answer is None:
            return False
        revision = other.track.revision
        taken = {frame: replace(own.frames[frame], revision=revision) for frame in frames}
        shown_at = self._timeline.clock.label_studio_frame(found.crossing)
        ours, theirs = (
            notes.exchanged(side.pursuit.region, shown_at, backwards=found.backwards) for side in (other, own)
        )
        remarks = (*other.track.remarks, theirs)
        everything = {**other.frames, **taken}
        texts = notes.finished(everything, self._timeline, remarks)
        demand = other.track.demand
        base = Base(revision, demand.human, demand.closed, answer.results[0]["value"]["sequence"])
        results = replace(other.pursuit, base=base).results(
            everything, self._timeline, self._keyframe_iou, texts, touched=frames
        )
        changed = Answer(results, notes.score(everything), texts)
        if not self._store.exchange(own.track, other.track, frames, changed):
            return False
        self._store.remark(own.track.key, own.track.revision, [*own.track.remarks, ours])
        self._store.remark(other.track.key, revision, remarks)
        logger.info(
            "task %s of project %s: %s and %s are exchanged from frame %d",
            *(own.track.key.task, own.track.key.project, own.track.key.region, other.track.key.region, shown_at),
        )
        return True

    def _indices(self, human: Sequence[Item]) -> frozenset[int]:
        return frozenset(self._timeline.clock.index(item["frame"]) for item in human)
