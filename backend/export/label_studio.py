"""A task with its prediction, for Label Studio's Import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from backend.export.results import write_text
from backend.export.tracked import TrackedObject
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.edits import Item
from backend.labelstudio.regions import format_region, from_keyframe, new_region
from backend.tracks import Box, Keyframe
from backend.video.clock import FrameClock


def format_task(
    objects: Sequence[TrackedObject],
    *,
    config: VideoConfig,
    data: Mapping[str, object],
    clock: FrameClock,
    size: tuple[int, int],
    model_version: str,
    texts: Mapping[str, Sequence[str]],
    keyframe_iou: float = 0.95,
) -> Item:
    """A task whose prediction holds a region for each object: its id is the object's, its boxes are keyframes.

    A box that a human gave is a keyframe, to the last decimal. An object without any keyframe is left out.

    Args:
        objects: what was tracked.
        config: says which names the project has.
        data: the task's data.
        clock: Label Studio's frames.
        size: the video's width and height.
        model_version: under which Label Studio keeps the prediction.
        texts: notes for each region's details, by object.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
    """
    results = [
        _result(item, config, clock, size, texts=texts.get(item.id, ()), keyframe_iou=keyframe_iou) for item in objects
    ]
    results = [result for result in results if result["value"]["sequence"]]
    score = fmean(result["score"] for result in results) if results else 0.0
    prediction = {"model_version": model_version, "score": score, "result": results}
    return {"data": dict(data), "predictions": [prediction]}


def write_tasks(path: Path, tasks: Sequence[Item]) -> None:
    """Write tasks as Label Studio imports them: a list.

    Raises:
        OutputError: the file cannot be written.
    """
    write_text(path, json.dumps(tasks, indent=1, ensure_ascii=False) + "\n")


def _result(
    item: TrackedObject,
    config: VideoConfig,
    clock: FrameClock,
    size: tuple[int, int],
    *,
    texts: Sequence[str],
    keyframe_iou: float,
) -> Item:
    boxes = {frame: found.box for frame, found in item.track.observations.items()}
    return format_region(
        new_region(item.id, item.label, config),
        boxes,
        clock,
        size,
        human=human_keyframes(item, boxes, clock, size),
        closed=(),
        score=item.score,
        texts=texts,
        keyframe_iou=keyframe_iou,
    )


def human_keyframes(
    item: TrackedObject, boxes: Mapping[int, Box | None], clock: FrameClock, size: tuple[int, int]
) -> list[Item]:
    """The boxes that a human gave as keyframes; of those at one Label Studio frame the first one counts."""
    shown = clock.shown().tolist()
    found: dict[int, Item] = {}
    for prompt in sorted(item.prompts, key=lambda prompt: prompt.frame):
        if prompt.box is None:
            continue
        frame = clock.label_studio_frame(prompt.frame)
        # Where nothing follows it is the last one that shows.
        enabled = frame == len(shown) or boxes.get(shown[frame]) is not None
        keyframe = Keyframe(frame - 1, prompt.box, enabled)
        found.setdefault(frame, from_keyframe(keyframe, frame, clock.frame_rate, size))
    return list(found.values())
