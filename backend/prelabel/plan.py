"""Whether a task of Label Studio is to be tracked without a press, and by what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from backend.labelstudio.config import VideoConfig
from backend.labelstudio.task_boxes import TaskBoxes, find_boxes, model_versions
from backend.prelabel.given import Given, GivenDetections
from backend.service.timeline import Timeline
from backend.tracking.lives import DEFAULT_RULES


@dataclass(frozen=True)
class Left:
    """A task is left as it is; ``reason`` completes "not tracked: "."""

    reason: str


@dataclass(frozen=True, eq=False)
class Plan:
    """What a task is tracked by.

    Attributes:
        boxes: those that it has.
        label: what all objects are; None: what the boxes say.
    """

    boxes: TaskBoxes
    label: str | None

    def __str__(self) -> str:
        count = sum(len(region.items) for region in self.boxes.regions)
        return f"{count} box{'es' * (count != 1)} of its {self.boxes.source}"

    @property
    def fingerprint(self) -> str:
        """Tells the same plan again."""
        return hashlib.sha256(json.dumps([region.raw for region in self.boxes.regions]).encode()).hexdigest()

    def given(self, timeline: Timeline) -> Given:
        """The same on the frames of the video.

        Raises:
            FrameOutOfRange: the video does not have a box's frame.
        """
        detections = self.boxes.detections(timeline.clock, timeline.size)
        rules = replace(DEFAULT_RULES, at_once=self.boxes.curated, complete=self.boxes.complete)
        return GivenDetections(detections, rules)


def plan_task(
    task: object, config: VideoConfig, model_version: str, *, label: str | None = None, again: bool = False
) -> Plan | Left:
    """What to track a task by.

    Args:
        task: as Label Studio's API gives it, or its call to ``/predict``.
        config: the project's.
        model_version: the one that is tracked with.
        label: what all objects are; by default what the boxes say, or where they do not, the project's only label.
        again: also a task that has a prediction of this version.

    Raises:
        PayloadError: what the task has cannot be read.
    """
    if not again and model_version in model_versions(task):
        return Left(f"it has a prediction of {model_version}")
    boxes = find_boxes(task, config)
    if boxes is None:
        return Left("it has no boxes")
    only = config.labels[0] if len(config.labels) == 1 else None
    unlabelled = not any(region.labels for region in boxes.regions)
    return Plan(boxes, label or (only if unlabelled else None))
