"""What tasks are read with, and what they are read to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from backend.export.dataset import LabelledObject
from backend.export.kept_masks import MaskSource
from backend.export.media import Media
from backend.export.notes import Notes
from backend.labelstudio.exported import Labelling, Task
from backend.labelstudio.project_config import ProjectConfig
from backend.labelstudio.results import Results
from backend.tracks import Box, Mask
from backend.video.shelf import VideoShelf

SEVERAL_LABELS = "a region has several labels; the first one is its class"
ROTATED = "rotated boxes are written as the upright boxes around them"
OUTSIDE = "an object is left out, since it never shows inside the picture"


@dataclass(frozen=True)
class Choices:
    """How tasks are read.

    Attributes:
        config: the project's labeling configuration, where it is known.
        predictions: a task without an annotation counts by its newest prediction.
        by_label: on pictures, all regions of one label are one object.
        frame_rate: by which Label Studio counted, whatever else says so; of images, the rate of their sequence.
        pictures: the pictures will be written, so that every one has to be at hand.
        ignored: types of regions that are left aside, in lower case.
        masked_only: frames of videos on which a box has no mask do not count as labelled.
    """

    config: ProjectConfig | None = None
    predictions: bool = False
    by_label: bool = False
    frame_rate: float | None = None
    pictures: bool = True
    ignored: frozenset[str] = frozenset()
    masked_only: bool = False


@dataclass(frozen=True, eq=False)
class Reading:
    """One run of reading.

    Attributes:
        choices: the user's.
        media: finds videos and images.
        shelf: holds the videos.
        notes: gets what the user should know.
        cancelled: asked now and then.
        masks: has masks for the boxes on videos, where there are any.
    """

    choices: Choices
    media: Media
    shelf: VideoShelf
    notes: Notes
    cancelled: Callable[[], bool] = lambda: False
    masks: MaskSource | None = None


@dataclass(frozen=True, eq=False)
class LabelledTask:
    """A task with what counts of it."""

    task: Task
    labelling: Labelling
    results: Results

    @property
    def place(self) -> str:
        """How messages call it."""
        return self.task.place

    @property
    def data_path(self) -> str:
        """Where its data were found."""
        return f"{self.task.path}.data".removeprefix(".")

    def name(self, stem: str) -> str:
        """The name of its video, whose file's name without extension is ``stem``."""
        return f"{self.task.name}-{stem or 'video'}"


@dataclass(eq=False)
class Sketch:
    """An object that is being put together."""

    id: str
    label: str | None
    boxes: dict[int, Box] = field(default_factory=dict)
    masks: dict[int, Mask] = field(default_factory=dict)

    @classmethod
    def of(cls, id: str, labels: tuple[str, ...], reading: Reading, place: str) -> Sketch:
        """An object by its region."""
        if len(labels) > 1:
            reading.notes.add(SEVERAL_LABELS, place)
        return cls(id, labels[0] if labels else None)


def in_order(sketches: Mapping[str, Sketch], reading: Reading, place: str) -> list[LabelledObject]:
    """The objects that show at all, by the first frame that shows them, those that begin together by their id."""
    shown = [item for item in sketches.values() if item.boxes]
    for _ in range(len(sketches) - len(shown)):
        reading.notes.add(OUTSIDE, place)
    shown.sort(key=lambda item: (min(item.boxes), item.id))
    return [
        LabelledObject(item.id, item.label, dict(sorted(item.boxes.items())), dict(sorted(item.masks.items())))
        for item in shown
    ]
