"""MASA's matching, rule by rule as its released tracker does it (Li et al., CVPR 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from backend.association.geometry import Boxes, Grid, centres, ious
from backend.association.matcher import Candidates
from backend.association.similarity import bi_softmax, cosine

# How the distance that an object may have gone grows: by the factor e in this part of a second.
_GROWTH = 1 / 6


@dataclass(frozen=True)
class GreedyRules:
    """What the released tracker is configured with; the defaults are those of its demo.

    Attributes:
        begin: a candidate that is nobody's begins a track above this score.
        follow: one of a lower score continues none.
        match: the least similarity of a candidate that continues a track.
        memory: frames after which a track that was not seen is forgotten.
        momentum: how much of a track's embedding the newest one replaces.
        weak: below this score a candidate is dropped where it overlaps a better one
        overlap: by more than this (IoU).
        distance: pixels that an object may go from one frame to the next; None: as far as it likes.
        fps: frames per second.
    """

    begin: float = 0.1
    follow: float = 0.01
    match: float = 0.5
    memory: int = 10
    momentum: float = 0.8
    weak: float = 0.5
    overlap: float = 0.3
    distance: float | None = 100.0
    fps: float = 30.0


@dataclass(frozen=True, eq=False)
class Remembered:
    """A track as it was last seen: its box (4,), its embedding (D,) and the frame."""

    box: npt.NDArray[np.float64]
    embedding: Tensor
    frame: int


class GreedyMatcher:
    """A :class:`~backend.association.matcher.Matcher` that lets the surest candidates choose first.

    Similarity is the mean of the cosine and the bi-softmax of the embeddings' products. There is no motion model, the
    memory is measured in frames and the distance in pixels. It is here to be compared with;
    :class:`~backend.association.optimal.OptimalMatcher` is made for annotation.
    """

    def __init__(self, rules: GreedyRules | None = None) -> None:
        self._rules = rules or GreedyRules()
        self._tracks: dict[int, Remembered] = {}
        self._begun = 0

    @property
    def tracks(self) -> Mapping[int, Remembered]:
        """What is remembered."""
        return self._tracks

    def step(self, frame: int, candidates: Candidates) -> list[int | None]:
        """See :class:`~backend.association.matcher.Matcher`; a frame without candidates changes nothing."""
        found: list[int | None] = [None] * len(candidates)
        if not len(candidates):
            return found
        places = self._distinct(candidates)
        chosen = candidates.take(places)
        numbers = self._choose(frame, chosen)
        for row, (place, number) in enumerate(zip(places, numbers, strict=True)):
            if number is None and chosen.scores[row] > self._rules.begin:
                number = self._begun
                self._begun += 1
            if number is not None:
                self._remember(number, frame, chosen.boxes[row], chosen.embeddings[row].float())
                found[place] = number
        self._tracks = {
            number: track for number, track in self._tracks.items() if frame - track.frame < self._rules.memory
        }
        return found

    def _distinct(self, candidates: Candidates) -> list[int]:
        """Places of the candidates, the surest first, without weak ones that overlap surer ones."""
        order = np.argsort(-candidates.scores, kind="stable")
        boxes = candidates.boxes[order]
        covered = np.tril(ious(boxes, boxes) > self._rules.overlap, k=-1).any(1)
        return [int(place) for place in order[~(covered & (candidates.scores[order] < self._rules.weak))]]

    def _choose(self, frame: int, candidates: Candidates) -> list[int | None]:
        """The track of each candidate, by what is remembered."""
        numbers = list(self._tracks)
        found: list[int | None] = [None] * len(candidates)
        if not numbers:
            return found
        similarity = self._similarity(frame, candidates)
        for row in range(len(candidates)):
            best = int(similarity[row].argmax())
            if similarity[row, best] > self._rules.match and candidates.scores[row] > self._rules.follow:
                found[row] = numbers[best]
                similarity[:, best] = 0
        return found

    def _similarity(self, frame: int, candidates: Candidates) -> npt.NDArray[np.float64]:
        """(N, M), of each candidate with each track."""
        tracks = list(self._tracks.values())
        embeddings = candidates.embeddings.float()
        known = torch.stack([track.embedding for track in tracks])
        alike = (bi_softmax(embeddings @ known.T) + cosine(embeddings, known)) / 2
        similarity: npt.NDArray[np.float64] = alike.double().cpu().numpy()
        if self._rules.distance is not None:
            similarity *= self._gate(frame, candidates.boxes, tracks, self._rules.distance)
        return similarity

    def _gate(self, frame: int, boxes: Boxes, tracks: list[Remembered], distance: float) -> npt.NDArray[np.float64]:
        """(N, M): 1 where a candidate is near enough to where a track was, and little where it is not."""
        last = np.stack([track.box for track in tracks])
        gone = np.linalg.norm(centres(boxes)[:, None] - centres(last)[None], axis=2)
        missed = np.array([frame - track.frame for track in tracks])
        # A long absence allows any distance: no exponent above what is farther than any picture.
        reach = distance * np.exp(np.minimum(missed / (self._rules.fps * _GROWTH), 50.0))
        gate: Grid = np.exp(-np.clip(gone - reach, 0, None) / (distance / self._rules.fps))
        return gate

    def _remember(self, number: int, frame: int, box: npt.NDArray[np.float64], embedding: Tensor) -> None:
        known = self._tracks.get(number)
        if known is not None:
            embedding = (1 - self._rules.momentum) * known.embedding + self._rules.momentum * embedding
        self._tracks[number] = Remembered(box, embedding, frame)
