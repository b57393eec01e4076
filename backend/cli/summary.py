"""A track in a few words, for the screen and for Label Studio's region details."""

from __future__ import annotations

from backend.export.tracked import TrackedObject
from backend.service.notes import finished, is_doubtful, problem, ranges
from backend.service.records import FIRST_REVISION, observed
from backend.service.timeline import Timeline


def describe(item: TrackedObject, keyframes: int) -> str:
    """``cat (Animal): tracked 0-41, absent 20-24, doubtful 19, 25; 6 keyframes``; frames are decode indices."""
    found = observed(item.track)
    name = item.id if item.label is None else f"{item.id} ({item.label})"
    if not found:
        return f"{name}: not tracked"
    parts = [f"tracked {ranges(found)}"]
    absent = [frame for frame, one in found.items() if one.box is None]
    doubtful = [frame for frame, one in found.items() if one.box is not None and is_doubtful(one)]
    parts += [f"absent {ranges(absent)}"] if absent else []
    parts += [f"doubtful {ranges(doubtful)}"] if doubtful else []
    return f"{name}: {', '.join(parts)}; {keyframes} keyframe{'s' * (keyframes != 1)}"


def region_texts(item: TrackedObject, timeline: Timeline, stopped: str | None) -> list[str]:
    """What a press would note at the region; frames are Label Studio's. ``stopped`` says why there are no more."""
    found = observed(item.track)
    if stopped is None:
        return finished(found, timeline)
    return [problem(stopped, found, FIRST_REVISION, timeline), *timeline.warnings]
