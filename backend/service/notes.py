"""What a region's details tell the annotator about its track."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from backend.labelstudio.regions import Region
from backend.service.records import StoredFrame
from backend.service.timeline import Timeline
from backend.tracking.doubt import DOUBTFUL, confidence, next_look

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
    """A finished track: what was tracked, where that is doubtful, where the object is absent, and from where on it was
    not found again."""
    parts = [f"tracked {ranges(_positions(timeline, frames))}"]
    doubtful = _positions(timeline, {frame for frame, found in frames.items() if is_doubtful(found)})
    if doubtful:
        parts.append(f"doubtful at {ranges(doubtful)}")
    lost = _lost(frames)
    absent = {frame for frame, found in frames.items() if found.box is None and (lost is None or frame < lost)}
    if positions := _positions(timeline, absent):
        parts.append(f"absent {ranges(positions)}")
    if lost is not None and (positions := _positions(timeline, [frame for frame in frames if frame >= lost])):
        parts.append(f"lost at {positions[0]}")
    return ", ".join(parts)


def finished(frames: Mapping[int, StoredFrame], timeline: Timeline, remarks: Sequence[str] = ()) -> list[str]:
    """All that there is to tell of a finished track."""
    return [complete(frames, timeline), *look(frames, timeline), *timeline.warnings, *remarks]


def problem(reason: str, frames: Mapping[int, StoredFrame], revision: int, timeline: Timeline | None) -> str:
    """Why a track was not made, or not finished."""
    done = {frame for frame, found in frames.items() if found.revision == revision}
    if timeline is None or not done:
        return f"not tracked: {reason}"
    reached = ranges(_positions(timeline, done))
    return f"stopped after frames {reached} of {timeline.clock.frame_count}: {reason}"


def exchanged(region: Region, frame: int, *, backwards: bool = False) -> str:
    """The track was swapped with that of ``region``, from Label Studio's ``frame`` on, or up to there."""
    name = " ".join([*region.labels[:1], region.id])
    return f"exchanged with {name} " + (f"up to frame {frame}" if backwards else f"from frame {frame} on")


def is_doubtful(found: StoredFrame) -> bool:
    """Whether a frame is worth a look; what a human drew is not."""
    return not found.human and found.score < DOUBTFUL


def look(frames: Mapping[int, StoredFrame], timeline: Timeline) -> list[str]:
    """Where a correction would tell most, in one text; none where nothing is doubtful."""
    shown = {index: frames[index].score for index in timeline.shown if index in frames}
    found = next_look(shown, [frame for frame, one in frames.items() if one.human])
    if found is None:
        return []
    position = timeline.shown.index(found.frame) + 1
    around = ranges(_positions(timeline, range(found.first, found.last + 1)))
    return [f"look at frame {position} next: {around} doubtful"]


def score(frames: Mapping[int, StoredFrame]) -> float:
    """A track's confidence, by which tasks can be sorted: 1 - doubt."""
    scores = {frame: found.score for frame, found in frames.items()}
    return confidence(scores, {frame for frame, found in frames.items() if found.human})


def ranges(numbers: Iterable[int]) -> str:
    """``1-40, 90, 120-131``; with very many, the shortest are summed up."""
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    longest = sorted(spans, key=lambda span: span[0] - span[1])[:RANGES_SHOWN]
    texts = [f"{first}-{last}" if last > first else str(first) for first, last in sorted(longest)]
    if len(spans) > RANGES_SHOWN:
        texts.append(f"and {len(spans) - RANGES_SHOWN} more")
    return ", ".join(texts)


def _lost(frames: Mapping[int, StoredFrame]) -> int | None:
    """The first frame (decode index) from which on the object was not found again; None where it shows at the end, was
    never there, or a human drew it last: then that is where it ends."""
    last = max((frame for frame, found in frames.items() if found.box is not None), default=None)
    if last is None or frames[last].human:
        return None
    return min((frame for frame in frames if frame > last), default=None)


def _positions(timeline: Timeline, frames: Collection[int]) -> list[int]:
    """Label Studio's frames, from 1, that show one of these decode indices."""
    return [position for position, index in enumerate(timeline.shown, start=1) if index in frames]
