"""Whether an answer to a press is right: all that was asked for, nothing of anybody else, and what a human drew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from backend.evaluation.load_regions import Held, is_tracked
from backend.evaluation.load_videos import Target
from backend.labelstudio.drawn import draw
from backend.labelstudio.edits import Item

LEAST_FIT = 0.5
"""Mean IoU of a finished track with its object, below which it counts as lost."""
MARGIN = 0.1
"""By how much another object has to fit a finished track better for the results to count as crossed."""


class Wrong(NamedTuple):
    """Something that must not be in an answer: what kind of thing, and where."""

    kind: str
    detail: str


def check_answer(asked: Sequence[Held], results: Sequence[Item], others: Sequence[Target]) -> list[Wrong]:
    """All that is wrong with the results of a press.

    Args:
        asked: the regions that were sent.
        results: what came back.
        others: all objects that anybody presses on.
    """
    wanted = {held.id: held for held in asked}
    found: dict[str, Item] = {}
    wrong = []
    for item in results:
        name = str(item.get("id"))
        if name not in wanted:
            wrong.append(Wrong("foreign region", f"{name} came back for {sorted(wanted)}"))
        elif name in found:
            wrong.append(Wrong("region twice", name))
        else:
            found[name] = item
    for name, held in wanted.items():
        if name in found:
            wrong += (Wrong(kind, f"{name}: {detail}") for kind, detail in _check_region(held, found[name], others))
        else:
            wrong.append(Wrong("region lost", name))
    return wrong


def check_opened(region_ids: Sequence[str], entry: Any) -> list[Wrong]:
    """What is wrong with the answer to opening a task in which nobody may have drawn other regions than those."""
    results = entry.get("result", []) if isinstance(entry, dict) else []
    ids = {str(item.get("id")) for item in results}
    return [Wrong("foreign region", f"{name} came when a task was opened") for name in sorted(ids - set(region_ids))]


def _check_region(held: Held, item: Item, others: Sequence[Target]) -> Iterator[Wrong]:
    value = item["value"]
    sequence = value["sequence"]
    frames = [keyframe["frame"] for keyframe in sequence]
    video = held.target.video
    if value.get("labels") != held.item["value"]["labels"]:
        yield Wrong("class changed", str(value.get("labels")))
    if frames != sorted(set(frames)) or not set(frames) <= set(range(1, video.frames + 1)):
        yield Wrong("keyframes out of order", str(frames))
        return
    by_frame = dict(zip(frames, sequence, strict=True))
    for frame, drawn in held.drawn.items():
        if frame not in by_frame:
            yield Wrong("human keyframe lost", f"frame {frame}")
        elif by_frame[frame] != drawn:
            yield Wrong("human keyframe changed", f"{drawn} became {by_frame[frame]}")
    boxes = draw(sequence, video.clock, video.size).boxes
    if held.last is not None and max(boxes, default=0) >= held.last:
        yield Wrong("shown where a human hid it", f"frame {max(boxes) + 1} after {held.last}")
    if is_tracked(item):
        own = held.target.fit(boxes)
        best = max(others, key=lambda target: target.fit(boxes))
        if best.fit(boxes) > own + MARGIN:
            yield Wrong(
                "crossed", f"{best.video.name} object {best.number} fits {best.fit(boxes):.2f}, its own {own:.2f}"
            )
        elif own < LEAST_FIT:
            yield Wrong("track off its object", f"mean IoU {own:.2f} in {video.name}, object {held.target.number}")
