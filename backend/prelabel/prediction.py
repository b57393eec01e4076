"""From the objects of a video to a prediction of Label Studio."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from backend.export.label_studio import human_keyframes
from backend.export.tracked import TrackedObject
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.regions import format_region, new_region
from backend.service import notes
from backend.service.records import Answer, Item, observed
from backend.service.timeline import Timeline

# Of a random or hashed name: told apart are the few dozen of one task.
_DIGITS = 8


@dataclass(frozen=True, eq=False)
class TrackedRegion:
    """An object, and the region that it becomes under its own id."""

    item: TrackedObject
    id: str
    answer: Answer


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is said of one task.

    Attributes:
        model_version: under which Label Studio keeps it.
        regions: the objects; none where nothing was found.
    """

    model_version: str
    regions: Sequence[TrackedRegion]

    @property
    def result(self) -> list[Item]:
        """The regions as Label Studio has them."""
        return [item for region in self.regions for item in region.answer.results]

    @property
    def score(self) -> float:
        """The confidence in the worst of the tracks, by which tasks can be sorted; 0 without any."""
        return min((region.answer.score for region in self.regions), default=0.0)

    def body(self, task: int) -> dict[str, Any]:
        """What is posted to Label Studio."""
        return {"task": task, "model_version": self.model_version, "score": self.score, "result": self.result}


def free_name(owner: str, taken: Collection[str]) -> str:
    """What the ids of a task's regions begin with: the same in every run, unless a region has such an id already.

    Args:
        owner: tells the task and the models from all others.
        taken: the ids that there are of the task.
    """
    names = (hashlib.sha256(f"{owner}\n{attempt}".encode()).hexdigest()[:_DIGITS] for attempt in count())
    return next(name for name in names if not any(one.startswith(f"{name}-") for one in taken))


def format_regions(
    objects: Sequence[TrackedObject],
    *,
    config: VideoConfig,
    timeline: Timeline,
    keyframe_iou: float,
    name: str | None = None,
) -> Iterator[TrackedRegion]:
    """The regions of objects, one after the other, since a long track takes a while; those without a box are left out.

    Args:
        objects: what was tracked.
        config: says which names the project has.
        timeline: Label Studio's frames.
        keyframe_iou: how well the interpolated boxes meet the tracked ones.
        name: what their ids begin with; by default new each time, so that nothing that was tracked before, and nothing
            that anybody drew, has one of them.
    """
    first = name or secrets.token_hex(_DIGITS // 2)
    for number, item in enumerate(objects, start=1):
        frames = observed(item.track)
        region_id = f"{first}-{number}"
        boxes = {frame: found.box for frame, found in frames.items()}
        texts = notes.finished(frames, timeline)
        score = notes.score(frames)
        region = format_region(
            new_region(region_id, item.label, config),
            boxes,
            timeline.clock,
            timeline.size,
            human=human_keyframes(item, boxes, timeline.clock, timeline.size),
            closed=(),
            score=score,
            texts=texts,
            keyframe_iou=keyframe_iou,
        )
        if region["value"]["sequence"]:
            yield TrackedRegion(item, region_id, Answer([region], score, texts))
