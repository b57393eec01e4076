"""Whether a task of Label Studio is to be tracked without a press, and by what."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Literal

from backend.labelstudio.config import VideoConfig
from backend.labelstudio.task_boxes import TaskBoxes, find_boxes, is_annotated, model_versions
from backend.prelabel.given import Given, GivenDetections, GivenNothing
from backend.service.timeline import Timeline
from backend.tracking.lives import DEFAULT_RULES
from backend.video.frames import Frames

Everything = Literal["never", "without boxes", "always"]


@dataclass(frozen=True)
class Left:
    """A task is left as it is; ``reason`` completes "not tracked: "."""

    reason: str


class Leave(Exception):
    """A task turns out, when its video is there, to be one that is left."""

    def __init__(self, left: Left) -> None:
        super().__init__(left.reason)
        self.left = left


@dataclass(frozen=True, eq=False)
class Plan:
    """What a task is tracked by.

    Attributes:
        boxes: those that it has; None: whatever looks like an object.
        label: what all objects are; None: what the boxes say.
    """

    boxes: TaskBoxes | None
    label: str | None

    def __str__(self) -> str:
        if self.boxes is None:
            return f"everything, as {self.label}"
        count = sum(len(region.items) for region in self.boxes.regions)
        return f"{count} box{'es' * (count != 1)} of its {self.boxes.source}"

    @property
    def fingerprint(self) -> str:
        """Tells the same plan again."""
        raw = None if self.boxes is None else [region.raw for region in self.boxes.regions]
        return hashlib.sha256(json.dumps([raw, self.label]).encode()).hexdigest()

    def given(self, timeline: Timeline, video: Frames) -> Given:
        """The same on the frames of the video.

        Raises:
            FrameOutOfRange: the video does not have a box's frame.
        """
        if self.boxes is None:
            return GivenNothing()
        detections = self.boxes.detections(timeline.clock, timeline.size)
        rules = replace(DEFAULT_RULES, at_once=self.boxes.curated, complete=self.boxes.complete)
        return GivenDetections(detections, rules)


def plan_task(
    task: object,
    config: VideoConfig,
    model_version: str,
    *,
    everything: Everything = "never",
    label: str | None = None,
    again: bool = False,
    annotated: bool = True,
) -> Plan | Left:
    """What to track a task by.

    Args:
        task: as Label Studio's API gives it, or its call to ``/predict``.
        config: the project's.
        model_version: the one that is tracked with.
        everything: whether whatever looks like an object is tracked.
        label: what all objects are; by default what the boxes say, or where they do not, the project's only label.
        again: also a task that has a prediction of this version.
        annotated: also a task that has an annotation.

    Raises:
        PayloadError: what the task has cannot be read.
    """
    done = was_done(task, model_version, again=again, annotated=annotated)
    if done is not None:
        return done
    only = config.labels[0] if len(config.labels) == 1 else None
    boxes = None if everything == "always" else find_boxes(task, config)
    if boxes is not None:
        if boxes.best < DEFAULT_RULES.confident:
            return not_sure(boxes.best, DEFAULT_RULES.confident)
        unlabelled = not any(region.labels for region in boxes.regions)
        return Plan(boxes, label or (only if unlabelled else None))
    if everything == "never":
        return Left("it has no boxes")
    if label is None and only is None:
        return Left(f"nobody says which of the project's {len(config.labels)} labels everything is")
    return Plan(None, label or only)


def was_done(task: object, model_version: str, *, again: bool = False, annotated: bool = True) -> Left | None:
    """Whether a task is left whatever it could be tracked by; the arguments are those of :func:`plan_task`.

    Raises:
        PayloadError: what the task has cannot be read.
    """
    if not again and model_version in model_versions(task):
        return Left(f"it has a prediction of {model_version}")
    if not annotated and is_annotated(task):
        return Left("it is annotated")
    return None


def not_sure(best: float, least: float) -> Left:
    """A task of which no box is sure enough: a prediction without a track would say that nothing is there."""
    return Left(f"the highest score of its boxes is {best:g}, and below {least:g} nothing begins a track")
