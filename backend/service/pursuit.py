"""One region of a press, and what it becomes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from backend.labelstudio.edits import Item
from backend.labelstudio.regions import Region, format_region
from backend.labelstudio.untouched import Earlier
from backend.service import notes
from backend.service.records import Base, StoredFrame, TrackKey
from backend.service.timeline import Timeline


@dataclass(frozen=True, eq=False)
class Pursuit:
    """One region of a press: as it came, the human's keyframes in it, the revision to store under, and what it was when
    it was last complete."""

    key: TrackKey
    revision: int
    region: Region
    human: tuple[Item, ...]
    closed: frozenset[int]
    base: Base | None = None

    def results(
        self,
        frames: Mapping[int, StoredFrame],
        timeline: Timeline,
        keyframe_iou: float,
        texts: Sequence[str],
        *,
        touched: Collection[int] = (),
    ) -> list[Item]:
        """The region with the track of ``frames`` in place of its own, and its companions as they came.

        What lies between keyframes of the human that did not change, and was not tracked again, is as it was.
        ``touched`` are frames that changed though the base has them.

        Raises:
            FrameOutOfRange: the video does not have a human keyframe's frame.
        """
        earlier = None
        if self.base is not None:
            earlier = Earlier(self.base.human, self.base.closed, self.base.sequence)
            again = {frame for frame, found in frames.items() if found.revision != self.base.revision}
            touched = again.union(touched)
        item = format_region(
            self.region,
            {frame: found.box for frame, found in frames.items()},
            timeline.clock,
            timeline.size,
            human=self.human,
            closed=self.closed,
            score=notes.score(frames),
            texts=texts,
            keyframe_iou=keyframe_iou,
            earlier=earlier,
            touched=touched,
        )
        return [item, *self.region.companions]
