"""Which clips a benchmark presses on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from backend.evaluation.benchmark_report import Case

RESOLUTIONS: Mapping[str, tuple[int, int]] = {
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "2160p": (3840, 2160),
}
"""Width and height by name."""
MOST_OBJECTS = 30


def make_cases(
    objects: Sequence[int], resolutions: Sequence[str], lengths: Sequence[int], frames: int
) -> tuple[Case, ...]:
    """The clips to measure, each once: one thing is varied at a time, the others stay at the first of theirs.

    Args:
        objects: numbers of objects, up to :data:`MOST_OBJECTS`.
        resolutions: names in :data:`RESOLUTIONS`.
        lengths: numbers of frames.
        frames: where the length is not what is varied.
    """
    first = objects[0], resolutions[0]
    wanted = [(number, first[1], frames) for number in objects]
    wanted += [(first[0], name, frames) for name in resolutions]
    wanted += [(*first, length) for length in lengths]
    return tuple(
        Case(objects=number, resolution=name, width=RESOLUTIONS[name][0], height=RESOLUTIONS[name][1], frames=length)
        for number, name, length in dict.fromkeys(wanted)
    )
