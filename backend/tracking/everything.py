"""Every object that a video shows, without any prompt.

The segmenter proposes objects on some frames (:mod:`backend.segmentation.proposals`), and between these they are
propagated. A proposal is sparse in time, and the next one of the same thing need not have the same outline; so what is
followed is not proposed again, but detected by its own propagation, as long as that is sure of itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from backend.segmentation.proposals import DEFAULT_PROPOSALS, ProposalRules, main_part, propose
from backend.segmentation.segmenter import Segmenter
from backend.tracking.detector import MaskedDetection
from backend.tracking.lives import Rules
from backend.tracking.matching import Sight
from backend.tracks import BoolArray, Mask, mask_iou
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
        shown = {name: one for name, one in sight.seen.items() if one.mask is not None and one.mask.area}
        if starts:
            self._suspected, self._sizes = set(shown), {}
        self._suspected.intersection_update(sight.seen)
        self._sizes = {name: size for name, size in self._sizes.items() if name in shown}
        there = {
            name: one.mask
            for name, one in shown.items()
            if one.mask is not None and one.score >= self._rules.sure and self._is_there(name, one.mask)
        }
        detections = [_detection(mask, shown[name].score) for name, mask in there.items()]
        if search:
            self._searched = frame
            doubtful = {name: one.mask for name, one in shown.items() if one.mask is not None and name not in there}
            detections += self._search(sight, list(there.values()), doubtful)
        return detections

    def _due(self, frame: int, before: int | None, seconds: float) -> bool:
        # Half a frame less, or rounding would make it a frame more.
        return before is None or frame - before >= seconds * self._fps - 0.5

    def _is_there(self, name: str, mask: Mask) -> bool:
        """Whether a propagated mask can be believed, by what the object was on the last look."""
        before = self._sizes.get(name, mask.area)
        if name in self._suspected or max(before, mask.area) > self._rules.steady * min(before, mask.area):
            return False
        if main_part(mask.array()) < self._rules.main:
            return False
        self._sizes[name] = mask.area
        return True

    def _search(self, sight: Sight, there: Sequence[Mask], doubtful: Mapping[str, Mask]) -> list[MaskedDetection]:
        """What is proposed beside what is there: objects in doubt, and new ones as long as there is room."""
        proposals = propose(self._segmenter, sight.encode(), _union(there), self._rules.proposals)
        room = max(self._rules.most - len(there), 0)
        found = []
        for one in proposals:
            meets = [name for name, mask in doubtful.items() if mask_iou(one.mask, mask) >= self._rules.same]
            self._suspected.difference_update(meets)
            self._sizes |= dict.fromkeys(meets, one.mask.area)
            if meets or room:
                room -= not meets
                found.append(_detection(one.mask, one.score))
        return found


def _detection(mask: Mask, score: float) -> MaskedDetection:
    return MaskedDetection(mask.solid_box or (0.0, 0.0, 0.0, 0.0), score, mask=mask)


def _union(masks: Sequence[Mask]) -> BoolArray | None:
    """``bool (H, W)``: what any of the masks covers."""
    if not masks:
        return None
    covered = np.zeros(masks[0].size, bool)
    for mask in masks:
        covered |= mask.array()
    return covered
