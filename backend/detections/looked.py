"""On which frames a detector looked, where its file has only those on which it found something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import gcd

from backend.tracks import Detection

ByFrame = dict[int, list[Detection]]
"""Detections by frame, from 0. An empty list: there is nothing; a frame without any: nobody looked."""

# The part of the frames of its step on which a detector must have found something for there to be a step.
_STEADY = 0.5


def with_empty_frames(found: Mapping[int, Sequence[Detection]]) -> ByFrame:
    """The same, and the frames between the first and the last on which the detector found nothing.

    It is taken to have looked at every so many-th frame where most of those have detections. Otherwise somebody chose
    the frames, and then nothing is known of the others; nor is it of those before the first one and after the last.
    """
    frames = sorted(found)
    step = gcd(*(later - earlier for earlier, later in pairwise(frames)))
    looked = range(frames[0], frames[-1] + 1, step) if step else range(0)
    if len(frames) < _STEADY * len(looked):
        looked = range(0)
    return {frame: list(found.get(frame, ())) for frame in sorted({*frames, *looked})}
