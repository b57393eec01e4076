"""Matching for annotation: nothing in it depends on how large a frame is, or on how many come a second."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from backend.association.assignment import assign
from backend.association.geometry import Grid, centres, ious, sizes
from backend.association.mask_overlap import moved_mask_ious, shared_parts
from backend.association.matcher import Candidates
from backend.association.motion import Motion
from backend.association.similarity import bi_softmax, cosine
from backend.tracks import Mask


@dataclass(frozen=True)
class OptimalRules:
    """What counts how much.

    Attributes:
        begin: a candidate that is nobody's begins a track from this score on.
        follow: one of a lower score continues none.
        match: the least agreement, from 0 to 1, of a candidate that continues a track.
        memory: seconds after which a track that was not seen is forgotten.
        temperature: by which cosines are divided before the softmaxes of the bi-softmax; it belongs to the embedder.
        place: the weight of where an object is (the overlap of its box, and of its mask where there is one, with what
            motion predicts) beside that of what it looks like, which is 1, of an object seen just now;
        fade: it falls to 1/e of that in so many seconds without sight.
        reach: how far an object may be from where it is predicted, in diagonals of the frame,
        spread: and by how many diagonals this grows in a second without sight.
        renew: after so many seconds the newest embedding has replaced ``1 - exp(-renew * seconds)`` of a track's.
        shared: where as much of one of two candidates' masks lies in the other, they show the same thing, and what it
            looks like is learned for neither.
    """

    begin: float = 0.5
    follow: float = 0.1
    match: float = 0.4
    memory: float = 10.0
    temperature: float = 0.1
    place: float = 1.0
    fade: float = 0.2
    reach: float = 0.05
    spread: float = 0.5
    renew: float = 5.0
    shared: float = 0.5


@dataclass(frozen=True, eq=False)
class Tracklet:
    """A track as it was last seen: how it moves, what it looks like (D,), what it covered."""

    motion: Motion
    embedding: Tensor
    mask: Mask | None


class OptimalMatcher:
    """A :class:`~backend.association.matcher.Matcher` that finds the assignment that is best for all objects.

    Appearance (bi-softmax and cosine, as MASA has it), the overlap of boxes with what constant velocity predicts, and
    that of masks where there are any, are one agreement; what lies beyond an object's reach is not considered. The
    assignment with the greatest sum is taken (Kuhn 1955).

    Args:
        size: the frames' (height, width).
        fps: frames per second.
        rules: what counts how much.
    """

    def __init__(self, size: tuple[int, int], fps: float, rules: OptimalRules | None = None) -> None:
        self._diagonal = math.hypot(*size)
        self._fps = fps
        self._rules = rules or OptimalRules()
        self._tracks: dict[int, Tracklet] = {}
        self._begun = 0

    @property
    def tracks(self) -> Mapping[int, Tracklet]:
        """What is remembered."""
        return self._tracks

    def step(self, frame: int, candidates: Candidates) -> list[int | None]:
        """See :class:`~backend.association.matcher.Matcher`."""
        second = frame / self._fps
        self._tracks = {
            number: track
            for number, track in self._tracks.items()
            if second - track.motion.second <= self._rules.memory
        }
        found: list[int | None] = [None] * len(candidates)
        usable = [place for place, score in enumerate(candidates.scores) if score >= self._rules.follow]
        chosen = candidates.take(usable)
        taken = self._choose(second, chosen)
        alike = self._sharing(chosen)
        for row, place in enumerate(usable):
            number = taken.get(row)
            if number is None and chosen.scores[row] >= self._rules.begin:
                number = self._begun
                self._begun += 1
            if number is not None:
                self._remember(number, second, chosen, row, learn=row not in alike)
                found[place] = number
        return found

    def agreement(self, second: float, candidates: Candidates) -> Grid:
        """(N, M): of each candidate with each track, in the order of ``tracks``; 0 beyond reach."""
        tracks = list(self._tracks.values())
        known = torch.stack([track.embedding for track in tracks])
        alike = cosine(candidates.embeddings, known)
        looks: Grid = ((bi_softmax(alike / self._rules.temperature) + alike) / 2).clamp(min=0).double().cpu().numpy()
        away = np.array([second - track.motion.second for track in tracks])
        predicted = np.stack([track.motion.predict(second) for track in tracks])
        weight = self._rules.place * np.exp(-away / self._rules.fade)[None]
        agreement = (looks + weight * self._overlap(second, candidates, tracks, predicted)) / (1 + weight)
        gone = np.linalg.norm(centres(candidates.boxes)[:, None] - centres(predicted)[None], axis=2)
        # What is large also moves far in its own measure: half its size is always allowed.
        reach = self._diagonal * (self._rules.reach + self._rules.spread * away) + sizes(predicted).max(1) / 2
        return np.where(gone <= reach[None], agreement, 0.0)

    def _overlap(self, second: float, candidates: Candidates, tracks: Sequence[Tracklet], predicted: Grid) -> Grid:
        """(N, M), with what is predicted: of the boxes, and on average with that of the masks where both have one."""
        overlap = ious(candidates.boxes, predicted)
        if candidates.masks is not None:
            shifts = [track.motion.shift(second) for track in tracks]
            masks = moved_mask_ious(candidates.masks, [track.mask for track in tracks], shifts)
            overlap = np.where(np.isnan(masks), overlap, (overlap + masks) / 2)
        return overlap

    def _choose(self, second: float, candidates: Candidates) -> dict[int, int]:
        """Tracks by the rows of the candidates that continue them."""
        if not self._tracks or not len(candidates):
            return {}
        numbers = list(self._tracks)
        pairs = assign(self.agreement(second, candidates), self._rules.match)
        return {row: numbers[column] for row, column in pairs}

    def _sharing(self, candidates: Candidates) -> set[int]:
        """The rows of candidates whose masks show what another one shows."""
        if candidates.masks is None:
            return set()
        parts = shared_parts(candidates.masks)
        return set(np.flatnonzero((np.maximum(parts, parts.T) >= self._rules.shared).any(1)).tolist())

    def _remember(self, number: int, second: float, candidates: Candidates, row: int, *, learn: bool) -> None:
        box = candidates.boxes[row]
        embedding = functional.normalize(candidates.embeddings[row].float(), dim=0)
        mask = None if candidates.masks is None else candidates.masks[row]
        known = self._tracks.get(number)
        if known is None:
            self._tracks[number] = Tracklet(Motion(box, second), embedding, mask)
            return
        new = 1 - math.exp(-self._rules.renew * (second - known.motion.second)) if learn else 0.0
        mixed = functional.normalize((1 - new) * known.embedding + new * embedding, dim=0)
        self._tracks[number] = Tracklet(known.motion.seen(box, second), mixed, mask)
