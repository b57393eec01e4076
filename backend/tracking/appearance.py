"""Objects that were lost are known again by what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from backend.association.assignment import assign
from backend.association.identity import Gallery, same
from backend.tracking.looks import Looks
from backend.tracking.matching import Sight, match_by_overlap
from backend.tracks import Box, Detection


@dataclass(frozen=True)
class AppearanceRules:
    """What looks decide.

    Attributes:
        again: the least probability with which a detection shows an object that was lost.
    """

    again: float = 0.5


class AppearanceMatcher:
    """A :class:`~backend.tracking.matching.Matcher` that also knows objects again that were lost, wherever they come
    back, and long after.

    Where an object is known to be, overlap decides. Among detections that are left, those that look like a lost object
    are it, in the assignment that is most probable in all.

    Args:
        looks: what tells objects apart.
        known: what they look like, by name; somebody else learns it, such as a :class:`~backend.tracking.guard.Guard`.
        rules: what looks decide.
    """

    def __init__(self, looks: Looks, known: Mapping[str, Gallery], rules: AppearanceRules | None = None) -> None:
        self._looks = looks
        self._known = known
        self._rules = rules or AppearanceRules()

    def __call__(
        self, objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight, /
    ) -> dict[str, int]:
        """See :class:`~backend.tracking.matching.Matcher`."""
        met = match_by_overlap(objects, detections)
        return met | self._find(
            [name for name in objects if name not in met and not _present(name, sight)],
            detections,
            [place for place in range(len(detections)) if place not in met.values()],
            sight,
        )

    def _find(
        self, lost: Sequence[str], detections: Sequence[Detection], places: Sequence[int], sight: Sight
    ) -> dict[str, int]:
        """Which of the detections at these places shows an object that was lost."""
        galleries = {name: self._known[name] for name in lost if name in self._known}
        for gallery in galleries.values():
            gallery.forget(sight.second)
        known = [name for name, gallery in galleries.items() if len(gallery)]
        if not known or not places:
            return {}
        masks = {place: sight.segment(detections[place]) for place in places}
        shown = [place for place in places if masks[place].any()]
        if not shown:
            return {}
        boxes = torch.tensor([detections[place].box for place in shown], dtype=torch.float32)
        embeddings = self._looks.embedder.embed(sight.look(), boxes, [masks[place] for place in shown])
        alike = torch.stack([same(galleries[name], embeddings, self._looks.calibration) for name in known])
        pairs = assign(np.asarray(alike.cpu(), np.float64), self._rules.again)
        return {known[row]: shown[column] for row, column in pairs}


def _present(name: str, sight: Sight) -> bool:
    return name in sight.seen and sight.seen[name].present
