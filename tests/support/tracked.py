"""Tracks that were not tracked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from backend.export.tracked import TrackedObject
from backend.tracks import BoolArray, Mask, Observation, Prompt, Track


def square(size: tuple[int, int], x: int, y: int, side: int = 4) -> BoolArray:
    """A mask for a frame of ``size`` (width, height), True in a square from (x, y)."""
    mask = np.zeros(size[::-1], bool)
    mask[y : y + side, x : x + side] = True
    return mask


def tracked(
    name: str,
    masks: Mapping[int, BoolArray | None],
    *,
    label: str | None = None,
    prompts: Iterable[Prompt] = (),
    score: float = 0.75,
    doubtful: Iterable[int] = (),
) -> TrackedObject:
    """An object with these masks, None where it is absent; ``doubtful`` frames have a score of 0.25."""
    given = tuple(prompts)
    marked, poor = {prompt.frame for prompt in given}, set(doubtful)
    track = Track(name)
    for frame, mask in masks.items():
        found = None if mask is None else Mask.from_array(mask)
        track.add(Observation(name, frame, found, 0.25 if frame in poor else score, frame in marked))
    return TrackedObject(name, label, given, track)
