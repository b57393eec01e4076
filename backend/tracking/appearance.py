"""Objects that were lost are known again by what they look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.association.assignment import assign
from backend.association.embedder import Embedder, FrameEncoder
from backend.association.identity import Calibration, Gallery, same
from backend.tracking.matching import Sight, box_ious, match_by_overlap
from backend.tracks import BoolArray, Box, Detection


@dataclass(frozen=True)
class AppearanceRules:
    """When looks are learned, and what they decide.

    Attributes:
        again: the least probability with which a detection shows an object that was lost.
        sure: the least score of a propagation whose looks are learned.
        crowded: nothing is learned of an object whose box overlaps another one's more than this (IoU).
        memory: seconds after which looks are forgotten; None: never.
    """

    again: float = 0.5
    sure: float = 0.5
    crowded: float = 0.1
    memory: float | None = 60.0


class AppearanceMatcher:
    """A :class:`~backend.tracking.matching.Matcher` that also knows objects again that were lost, wherever they come
    back, and long after.

    Where an object is known to be, overlap decides; its looks are learned as long as detections confirm it. Among
    detections that are left, those that look like a lost object are it, in the assignment that is most probable in all.
    One matcher serves one video.

    Args:
        embedder: says what objects look like.
        calibration: what its similarities mean.
        encoder: encodes frames for the embedder; without one it takes the segmenter's encodings.
        rules: when looks are learned, and what they decide.
    """

    def __init__(
        self,
        embedder: Embedder,
        calibration: Calibration,
        *,
        encoder: FrameEncoder | None = None,
        rules: AppearanceRules | None = None,
    ) -> None:
        self._embedder = embedder
        self._calibration = calibration
        self._encoder = encoder
        self._rules = rules or AppearanceRules()
        self._galleries: dict[str, Gallery] = {}
        self._encoded: tuple[Sight, Any] | None = None  # of the last frame that was asked about

    def __call__(
        self, objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight, /
    ) -> dict[str, int]:
        """See :class:`~backend.tracking.matching.Matcher`."""
        met = match_by_overlap(objects, detections)
        self._learn([name for name in met if _present(name, sight)], sight)
        return met | self._find(
            [name for name in objects if name not in met and not _present(name, sight)],
            detections,
            [place for place in range(len(detections)) if place not in met.values()],
            sight,
        )

    def _learn(self, names: Sequence[str], sight: Sight) -> None:
        """Take in what objects look like that are where a detection is, and are alone there."""
        boxes = {name: one.box for name, one in sight.seen.items() if one.box is not None}
        due: dict[str, tuple[Box, BoolArray]] = {}
        for name in names:
            mask, box = sight.seen[name].mask, boxes.get(name)
            others = [other for key, other in boxes.items() if key != name]
            gallery = self._galleries.setdefault(name, Gallery(memory=self._rules.memory))
            gallery.forget(sight.second)
            if mask is None or box is None or sight.seen[name].score < self._rules.sure:
                continue
            if gallery.due(sight.second) and box_ious([box], others).max(initial=0.0) <= self._rules.crowded:
                due[name] = box, mask.array()
        if due:
            embeddings = self._embed([box for box, _ in due.values()], [mask for _, mask in due.values()], sight)
            for name, embedding in zip(due, embeddings, strict=True):
                self._galleries[name].add(sight.second, embedding)

    def _find(
        self, lost: Sequence[str], detections: Sequence[Detection], places: Sequence[int], sight: Sight
    ) -> dict[str, int]:
        """Which of the detections at these places shows an object that was lost."""
        galleries = {name: self._galleries[name] for name in lost if name in self._galleries}
        for gallery in galleries.values():
            gallery.forget(sight.second)
        known = [name for name, gallery in galleries.items() if len(gallery)]
        if not known or not places:
            return {}
        masks = {place: sight.segment(detections[place]) for place in places}
        shown = [place for place in places if masks[place].any()]
        if not shown:
            return {}
        embeddings = self._embed([detections[place].box for place in shown], [masks[place] for place in shown], sight)
        alike = torch.stack([same(galleries[name], embeddings, self._calibration) for name in known])
        pairs = assign(np.asarray(alike.cpu(), np.float64), self._rules.again)
        return {known[row]: shown[column] for row, column in pairs}

    def _embed(self, boxes: Sequence[Box], masks: Sequence[BoolArray], sight: Sight) -> Tensor:
        if self._encoded is None or self._encoded[0] is not sight:
            self._encoded = sight, sight.encode() if self._encoder is None else self._encoder.encode(sight.image)
        return self._embedder.embed(self._encoded[1], torch.tensor(boxes, dtype=torch.float32), masks)


def _present(name: str, sight: Sight) -> bool:
    return name in sight.seen and sight.seen[name].present
