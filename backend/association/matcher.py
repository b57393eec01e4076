"""The seam: what tells who the objects of a frame are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

from backend.association.geometry import Boxes
from backend.tracks import Mask


@dataclass(frozen=True, eq=False)
class Candidates:
    """N things that were found on one frame.

    Attributes:
        boxes: (N, 4) ``xyxy`` pixels.
        scores: (N,) how sure it is that each is an object.
        embeddings: (N, D) what each looks like, on any device.
        masks: what each covers, where that is known.

    Raises:
        ValueError: they are not equally many.
    """

    boxes: Boxes
    scores: npt.NDArray[np.float64]
    embeddings: Tensor
    masks: Sequence[Mask | None] | None = None

    def __post_init__(self) -> None:
        counts = {len(self.boxes), len(self.scores), len(self.embeddings)}
        if self.masks is not None:
            counts.add(len(self.masks))
        if len(counts) != 1:
            raise ValueError(
                f"{len(self.boxes)} boxes, {len(self.scores)} scores and {len(self.embeddings)} embeddings "
                f"{'' if self.masks is None else f'and {len(self.masks)} masks '}do not belong together"
            )

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, places: Sequence[int]) -> Candidates:
        """Some of them, in this order."""
        chosen = list(places)
        masks = None if self.masks is None else [self.masks[place] for place in chosen]
        return Candidates(self.boxes[chosen], self.scores[chosen], self.embeddings[chosen], masks)


class Matcher(Protocol):
    """Tells who is who from frame to frame, with a memory of its own; a video needs one of its own."""

    def step(self, frame: int, candidates: Candidates) -> list[int | None]:
        """Take in one frame, later than the last one; frames may be left out.

        Returns:
            for each candidate the number of its track, counted from 0 in the order in which tracks begin, or None
            where it is nobody; no number comes twice.
        """
