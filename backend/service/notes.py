"""What a region's details tell the annotator about its track."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from backend.service.records import StoredFrame
from backend.service.timeline import Timeline

DOUBTFUL = 0.5  # a score below this marks a frame worth a look
RANGES_SHOWN = 6
PRESS_AGAIN = "press t again for more"


def progress(stage: str) -> str:
    """Nothing to show yet; ``stage`` says what is under way."""
    return f"tracking: {stage}, {PRESS_AGAIN}"


def partial(frames: Mapping[int, StoredFrame], revision: int, timeline: Timeline, *, again: bool = False) -> str:
    """What is done by now, at least one frame; ``again`` says that the others have a track already."""
    done = ranges(_positions(timeline, {frame for frame, found in frames.items() if found.revision == revision}))
    if again:
        return f"tracking again: frames {done} done, {PRESS_AGAIN}"
    return f"tracking: frames {done} of {timeline.clock.frame_count} done, {PRESS_AGAIN}"


def complete(frames: Mapping[int, StoredFrame], timeline: Timeline) -> str:
    """A finished track: what was tracked, where the object is absent, how many frames are doubtful."""
    parts = [f"tracked {ranges(_positions(timeline, frames))}"]
    absent = _positions(timeline, {frame for frame, found in frames.items() if found.box is None})
    if absent:
        parts.append(f"absent {ranges(absent)}")
    doubtful = len(_positions(timeline, {frame for frame, found in frames.items() if is_doubtful(found)}))
    if doubtful:
        parts.append(f"{doubtful} doubtful frame" + "s" * (doubtful > 1))
    return ", ".join(parts)


def problem(reason: str, frames: Mapping[int, StoredFrame], revision: int, timeline: Timeline | None) -> str:
    """Why a track was not made, or not finished."""
    done = {frame for frame, found in frames.items() if found.revision == revision}
    if timeline is None or not done:
        return f"not tracked: {reason}"
    reached = ranges(_positions(timeline, done))
    return f"stopped after frames {reached} of {timeline.clock.frame_count}: {reason}"


def is_doubtful(found: StoredFrame) -> bool:
    """Whether a frame is worth a look; what a human drew is not."""
    return not found.human and found.score < DOUBTFUL


def score(frames: Mapping[int, StoredFrame]) -> float:
    """A track's confidence: the mean over its frames."""
    return sum(found.score for found in frames.values()) / len(frames) if frames else 0.0


def ranges(numbers: Iterable[int]) -> str:
    """``1-40, 90, 120-131``; with very many, the last are summed up."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [f"{first}-{last}" if last > first else str(first) for first, last in spans]
    if len(texts) > RANGES_SHOWN:
        texts = [*texts[:RANGES_SHOWN], f"and {len(texts) - RANGES_SHOWN} more"]
    return ", ".join(texts)


def _positions(timeline: Timeline, frames: Collection[int]) -> list[int]:
    """Label Studio's frames, from 1, that show one of these decode indices."""
    return [position for position, index in enumerate(timeline.shown, start=1) if index in frames]
