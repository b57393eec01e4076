"""Everything that moves through a video or stands in it, without any prompt.

The segmenter proposes objects on some frames (:mod:`backend.segmentation.proposals`), and between these they are
propagated. A proposal is sparse in time, and the next one of the same thing need not have the same outline; so what is
followed is not proposed again, but detected by its own propagation, as long as that is sure of itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.segmentation.proposals import DEFAULT_PROPOSALS, ProposalRules, main_part, propose
from backend.segmentation.segmenter import Segmenter
from backend.tracking.detector import MaskedDetection
from backend.tracking.lives import Rules
from backend.tracking.matching import Sight
from backend.tracks import BoolArray, Mask, Observation, mask_iou
from backend.video.frames import Frames


@dataclass(frozen=True)
class EverythingRules:
    """What is looked for, and when.

    Attributes:
        every: seconds from one search for new objects to the next; the first frame of each shot is searched too.
        again: seconds from one look to the next; a look that is no search only tells which objects are still there.
        most: objects that show at a time.
        sure: the least score of a propagation that shows that its object is still there,
        steady: the factor by which its size may have changed since the last look,
        main: and the least part of its mask that is connected. In any other case it must be proposed again.
        same: a proposal that overlaps an object this much (IoU) shows it.
        proposals: what is proposed.
        lives: when tracks begin and end: an object must still be there on the next look.
    """

    every: float = 1.0
    again: float = 0.5
    most: int = 12
    sure: float = 0.5
    steady: float = 2.0
    main: float = 0.5
    same: float = 0.5
    proposals: ProposalRules = DEFAULT_PROPOSALS
    lives: Rules = field(default_factory=Rules)


DEFAULT_EVERYTHING = EverythingRules()


class Everything:
    """A :class:`~backend.tracking.detector.Detector` of whatever the segmenter proposes.

    Args:
        video: the frames.
        segmenter: proposes.
        rules: what is looked for, and when.
    """

    def __init__(self, video: Frames, segmenter: Segmenter, rules: EverythingRules = DEFAULT_EVERYTHING) -> None:
        self._last = len(video) - 1
        self._fps = video.fps
        self._segmenter = segmenter
        self._rules = rules
        self._looked: int | None = None
        self._searched: int | None = None
        # Propagated over a cut: only a proposal tells whether that is an object at all.
        self._suspected: set[str] = set()
        self._sizes: dict[str, int] = {}  # pixels, on the last look that showed the object

    def looks_at(self, frame: int, starts: bool) -> bool:
        """On the first frame of a shot, every so often, and on the last one, or what is new would remain unsettled."""
        search = starts or self._due(frame, self._searched, self._rules.every)
        return search or frame == self._last or self._due(frame, self._looked, self._rules.again)

    def detect(self, frame: int, starts: bool, sight: Sight) -> Sequence[MaskedDetection]:
        """What is still there, and on a search also what is proposed beside it."""
        search = starts or self._due(frame, self._searched, self._rules.every)
        self._looked = frame
        if starts:
            self._suspected = set(sight.seen)
        self._suspected.intersection_update(sight.seen)
        self._sizes = {name: size for name, size in self._sizes.items() if name in sight.seen}
        there = {name: one for name, one in sight.seen.items() if self._is_there(name, one)}
        detections = [_detection(one.mask, one.score) for one in there.values() if one.mask is not None]
        if search:
            self._searched = frame
            detections += self._search(sight, there)
        return detections

    def _due(self, frame: int, before: int | None, seconds: float) -> bool:
        # Half a frame less, or rounding would make it a frame more.
        return before is None or frame - before >= seconds * self._fps - 0.5

    def _is_there(self, name: str, one: Observation) -> bool:
        if one.mask is None or one.score < self._rules.sure or name in self._suspected:
            return False
        size = one.mask.area
        before = self._sizes.get(name, size)
        if not before <= self._rules.steady * size <= self._rules.steady**2 * before:
            return False
        if main_part(one.mask.array()) < self._rules.main:
            return False
        self._sizes[name] = size
        return True

    def _search(self, sight: Sight, there: Mapping[str, Observation]) -> list[MaskedDetection]:
        known = [one.mask for one in there.values() if one.mask is not None]
        proposals = propose(self._segmenter, sight.encode(), _union(known), self._rules.proposals)
        room = max(self._rules.most - len(there), 0)
        found = []
        for one in proposals:
            meets = self._meets(one.mask, sight.seen, there.keys())
            self._suspected.difference_update(meets)
            self._sizes |= dict.fromkeys(meets, one.mask.area)
            if meets or room:
                room -= not meets
                found.append(_detection(one.mask, one.score))
        return found

    def _meets(self, mask: Mask, seen: Mapping[str, Observation], there: Collection[str]) -> list[str]:
        """Names of the objects in doubt that a proposal shows."""
        return [
            name
            for name, one in seen.items()
            if name not in there and one.mask is not None and mask_iou(mask, one.mask) >= self._rules.same
        ]


def _detection(mask: Mask, score: float) -> MaskedDetection:
    box = mask.solid_box
    assert box is not None  # of a mask that is not empty
    return MaskedDetection(box, score, mask=mask)


def _union(masks: Sequence[Mask]) -> BoolArray | None:
    """``bool (H, W)``: what any of the masks covers."""
    if not masks:
        return None
    covered = np.zeros(masks[0].size, bool)
    for mask in masks:
        covered |= mask.array()
    return covered
