"""Objects whose tracks stand while others are tracked: they hold their pixels, unless a human's word says otherwise.

A correction tracks the corrected object alone. Its neighbours are not propagated and nothing of them changes, but what
is known of them competes for the pixels of each frame, as if they were followed too: otherwise one that looks like them
takes them in. A neighbour that lies on the object where a human has just shown it is the one that is wrong: it is
doubted, and holds nothing against that object, from there on for as long as it stays on it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from pycocotools import mask as coco

from backend.tracking.stretches import Before, Stretch
from backend.tracks import BoolArray, FloatArray, FrameResult, Mask, Observation

# A neighbour whose mask covers more than this part of an object's mask lies on it.
COVERS = 0.5
# No neighbour is believed more than this: memory that is surer of the object wins.
MOST = 0.95


class Standing(Protocol):
    """What is known of objects that are not tracked now."""

    def at(self, frame: int) -> Mapping[str, Observation]:
        """Their observations on a frame, by object; those that are absent there may be missing."""


class Settled:
    """What was tracked before of objects that are tracked again elsewhere: it stands where nothing of it is done again.

    Args:
        before: by object.
        stretches: those that are tracked again.
    """

    def __init__(self, before: Mapping[str, Before], stretches: Sequence[Stretch]) -> None:
        self._before = before
        self._again = {name: [one.frames for one in stretches if one.name == name] for name in before}

    def at(self, frame: int) -> dict[str, Observation]:
        """See :class:`Standing`."""
        return {
            name: found
            for name, before in self._before.items()
            if not any(frame in frames for frames in self._again[name])
            and (found := before.observations.get(frame)) is not None
        }


class Together:
    """Several as one.

    Args:
        parts: of different objects.
    """

    def __init__(self, *parts: Standing) -> None:
        self._parts = parts

    def at(self, frame: int) -> dict[str, Observation]:
        """See :class:`Standing`."""
        return {name: one for part in self._parts for name, one in part.at(frame).items()}


class Rivals:
    """What neighbours hold against the objects of one pass, and which of them are doubted.

    Args:
        standing: the neighbours.
    """

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._read: tuple[int, Mapping[str, Observation]] = (-1, {})
        self._doubted: dict[str, set[str]] = {}  # by the object that doubts them

    def shown(self, frame: int, masks: Mapping[str, BoolArray]) -> None:
        """A human has shown objects: masks ``bool (H, W)``. Whoever lies on one is doubted, nobody else."""
        there = self._at(frame)
        for name, mask in masks.items():
            own = Mask.from_array(mask)
            self._judge(name, own, {other: one for other, one in there.items() if other != name})

    def found(self, result: FrameResult) -> None:
        """Objects were found on the next frame of the pass: who lies on one now is doubted, who is off it is not."""
        there = self._at(result.frame)
        for one in result.observations:
            if one.mask is not None:
                self._judge(one.object_id, one.mask, there)

    def masks(self, frame: int, wanted: Collection[str]) -> dict[str, Mask]:
        """Where neighbours are, by name, of whom none of the objects doubts it; none of these is one."""
        return {name: mask for name, (mask, _) in self._believed(frame, wanted).items()}

    def claims(self, frame: int, wanted: Collection[str]) -> FloatArray | None:
        """How probable it is that pixels belong to neighbours of whom none of the objects doubts it: float32 (H, W).

        None where they claim nothing.
        """
        claimed: FloatArray | None = None
        for mask, sure in self._believed(frame, wanted).values():
            one = mask.array() * np.float32(sure)
            claimed = one if claimed is None else np.maximum(claimed, one)
        return claimed

    def _at(self, frame: int) -> Mapping[str, Observation]:
        if self._read[0] != frame:
            self._read = frame, self._standing.at(frame)
        return self._read[1]

    def _judge(self, name: str, mask: Mask, there: Mapping[str, Observation]) -> None:
        self._doubted[name] = {other for other, one in there.items() if _covered(mask, one) > COVERS}

    def _believed(self, frame: int, wanted: Collection[str]) -> dict[str, tuple[Mask, float]]:
        doubted = {other for name in wanted for other in self._doubted.get(name, ())}
        return {
            name: (one.mask, MOST if one.human else min(one.score, MOST))
            for name, one in self._at(frame).items()
            if one.mask is not None and name not in doubted and name not in wanted
        }


def _covered(mask: Mask, other: Observation) -> float:
    """The part of a mask that another object's covers."""
    if other.mask is None or other.mask.size != mask.size:
        return 0.0
    one, cover = ({"size": list(each.size), "counts": each.counts} for each in (mask, other.mask))
    return float(np.nan_to_num(coco.iou([one], [cover], [1])[0, 0]))  # of a crowd: over the area of the first
