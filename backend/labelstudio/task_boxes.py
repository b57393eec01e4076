"""The boxes that a task has already: another model's, or a human's."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.errors import FrameOutOfRange
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.exported import AnnotationItem, standing
from backend.labelstudio.payload import Incoming, Text, parse
from backend.labelstudio.regions import Region, Size, parse_regions, to_box
from backend.tracks import Detection
from backend.video.clock import FrameClock

OURS = "keytrack-"
"""What the versions of this backend's models begin with."""


class _Prediction(AnnotationItem):
    model_version: Text | None = None


class _Task(Incoming):
    annotations: list[Any] | None = None
    predictions: list[Any] | None = None


@dataclass(frozen=True, eq=False)
class TaskBoxes:
    """Regions with keyframes.

    Attributes:
        regions: at least one, each with at least one keyframe.
        human: they are an annotation's.
        source: whose they are, in words.
    """

    regions: Sequence[Region]
    human: bool
    source: str

    @property
    def frames(self) -> list[int]:
        """The Label Studio frames on which there are keyframes, ascending."""
        return sorted({frame for region in self.regions for frame in region.frames})

    @property
    def complete(self) -> bool:
        """Whether the boxes on a frame are all that there is: no region is merely interpolated there."""
        frames = self.frames
        return not any(_is_interpolated(region, frames) for region in self.regions)

    @property
    def curated(self) -> bool:
        """Whether one box is enough for an object: a human drew it; there are boxes on one frame only; or they are
        keyframes, between which objects were followed, and no single detections."""
        several = any(len(region.items) > 1 for region in self.regions)
        return self.human or len(self.frames) == 1 or (several and not self.complete)

    @property
    def best(self) -> float:
        """The highest score of all."""
        return max(self._score(region) for region in self.regions)

    def detections(self, clock: FrameClock, size: Size) -> dict[int, list[Detection]]:
        """A detection for each keyframe, by decode index; its label is the region's first one, its score the region's,
        and 1 where that has none, or a human took the region over.

        A disabled keyframe is one too: Label Studio draws its box. Of several of a region that show the same decoded
        frame the first one counts.

        Raises:
            FrameOutOfRange: the video does not have a keyframe's frame.
        """
        found: dict[int, list[Detection]] = {}
        for region in self.regions:
            label = region.labels[0] if region.labels else None
            score = self._score(region)
            for index, box in _by_index(region, clock, size).items():
                found.setdefault(index, []).append(Detection(box, score, label))
        return found

    def _score(self, region: Region) -> float:
        return 1.0 if self.human else _score(region)


def find_boxes(task: object, config: VideoConfig) -> TaskBoxes | None:
    """The boxes of a task's newest prediction that has any and is not this backend's; without one, those of the
    annotation that counts.

    Args:
        task: as Label Studio's API gives it, or its call to ``/predict``.
        config: says which regions to look for.

    Returns:
        None where there are none.

    Raises:
        PayloadError: what should be a region is none.
    """
    for kind, human, index, item in _labellings(task):
        where = f"{kind}s[{index}].result"
        regions = [region for region in parse_regions(item.result, config, where) if region.items]
        if regions:
            version = item.model_version if isinstance(item, _Prediction) else None
            return TaskBoxes(regions, human, f"{kind} of {version}" if version else kind)
    return None


def model_versions(task: object) -> set[str]:
    """Of which models a task has predictions.

    Raises:
        PayloadError: what should be a prediction is none.
    """
    found = (item.model_version for _, item in _predictions(parse(_Task, task, "task")))
    return {version for version in found if version}


def is_annotated(task: object) -> bool:
    """Whether a task has an annotation that was not skipped; raises PayloadError where what should be one is none."""
    return bool(_annotations(parse(_Task, task, "task")))


def _labellings(task: object) -> Iterator[tuple[str, bool, int, AnnotationItem]]:
    parsed = parse(_Task, task, "task")
    others = [one for one in _predictions(parsed) if not (one[1].model_version or "").startswith(OURS)]
    for index, prediction in sorted(others, key=standing, reverse=True):
        yield "prediction", False, index, prediction
    for index, annotation in sorted(_annotations(parsed), key=standing, reverse=True)[:1]:
        yield "annotation", True, index, annotation


def _predictions(task: _Task) -> list[tuple[int, _Prediction]]:
    """Those that are there with their results: in some places Label Studio gives mere numbers."""
    return [
        (index, parse(_Prediction, item, f"predictions[{index}]"))
        for index, item in enumerate(task.predictions or ())
        if isinstance(item, Mapping)
    ]


def _annotations(task: _Task) -> list[tuple[int, AnnotationItem]]:
    found = [
        (index, parse(AnnotationItem, item, f"annotations[{index}]"))
        for index, item in enumerate(task.annotations or ())
        if isinstance(item, Mapping)
    ]
    return [(index, item) for index, item in found if not item.was_cancelled]


def _by_index(region: Region, clock: FrameClock, size: Size) -> dict[int, tuple[float, float, float, float]]:
    found: dict[int, tuple[float, float, float, float]] = {}
    for item in region.items:
        try:
            found.setdefault(clock.index(item["frame"]), to_box(item, size))
        except FrameOutOfRange as error:
            raise FrameOutOfRange(f"region {region.id!r}, Label Studio frame {item['frame']}: {error}") from error
    return found


def _score(region: Region) -> float:
    score = region.raw.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float):
        return 1.0
    return float(score) if 0 <= score <= 1 else 1.0


def _is_interpolated(region: Region, frames: Sequence[int]) -> bool:
    """Whether the region shows on one of the frames, which ascend, and has no keyframe there."""
    own = [item["frame"] for item in region.items]
    for item, after in zip(region.items, [*own[1:], frames[-1] + 1], strict=True):
        between = bisect_left(frames, after) - bisect_left(frames, item["frame"] + 1)
        if item["enabled"] and between:
            return True
    return False
