"""Label Studio's tasks to a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from backend.errors import DatasetError, KeytrackError, PayloadError
from backend.export.dataset import Dataset, LabelledVideo
from backend.export.media import likely_kind
from backend.export.notes import Notes
from backend.export.picture_regions import label_pictures
from backend.export.reading import Choices, LabelledTask, Reading
from backend.export.video_regions import label_video
from backend.labelstudio.exported import Task
from backend.labelstudio.project_config import ProjectConfig
from backend.labelstudio.results import parse_results

NO_ANNOTATION = "left out: no annotation"
ONLY_NUMBERS = "left out: its predictions are not in the file, only their numbers; export the project itself"


def choose_labellings(tasks: Iterable[Task], choices: Choices, notes: Notes) -> list[LabelledTask]:
    """The tasks that are exported, with their regions; the others are noted.

    Raises:
        PayloadError: a region has a wrong type or a missing field, or cannot be exported.
        DatasetError: nothing is left.
    """
    chosen = []
    count = predicted = 0
    for task in tasks:
        count += 1
        predicted += task.prediction is not None
        labelling = task.annotation or (task.prediction if choices.predictions else None)
        if labelling is None:
            hidden = choices.predictions and task.hidden_predictions
            notes.add(ONLY_NUMBERS if hidden else NO_ANNOTATION, task.place)
            continue
        with _naming(task):
            results = parse_results(labelling.result, labelling.path, choices.ignored)
            chosen.append(LabelledTask(task, labelling, results))
    if not chosen:
        found = f"; {predicted} of them have predictions" if predicted else ""
        hint = ", which --predictions exports" if predicted and not choices.predictions else ""
        raise DatasetError(
            f"there is nothing to export: of {count} tasks none has an annotation that counts{found}{hint}"
        )
    return chosen


def read_tasks(
    tasks: Sequence[LabelledTask], reading: Reading, advance: Callable[[], None] = lambda: None
) -> Dataset | None:
    """The dataset of the tasks, in their order.

    A video is named by its task's id and its file. Its objects are ordered by the first frame that shows them, those
    that begin together by their id: so that numbers are the same in every format, and whenever it is exported.

    Args:
        tasks: what to read.
        reading: how. Its shelf is to be closed when the dataset is no longer used.
        advance: called after each task.

    Returns:
        the dataset; None where it was cancelled.

    Raises:
        PayloadError: a task contradicts itself, its video, or the labeling configuration.
        MediaError: a video or an image is not at hand.
        VideoError: one cannot be read.
        LabelConfigError: a frame rate that cannot be used.
    """
    videos: list[LabelledVideo] = []
    for item in tasks:
        if reading.cancelled():
            return None
        with _naming(item.task):
            videos.append(_reader(item, reading.choices.config)(item, reading))
        for kind, count in sorted(item.results.others.items()):
            reading.notes.add(f"left aside: {count} of the type {kind}", item.place)
        advance()
    return Dataset(order_labels(videos, reading.choices.config, reading.notes), videos)


def order_labels(videos: Iterable[LabelledVideo], config: ProjectConfig | None, notes: Notes) -> list[str]:
    """All classes: as the labeling configuration has them, then those it lacks by the alphabet."""
    used: dict[str, str] = {}
    for video in videos:
        for item in video.objects:
            if item.label is not None:
                used.setdefault(item.label, video.name)
    known = [] if config is None else list(config.labels)
    unknown = sorted(used.keys() - set(known))
    if config is not None:
        for label in unknown:
            notes.add(f"the labeling configuration has no label {label!r}; it comes after those it has", used[label])
    return known + unknown


def _reader(item: LabelledTask, config: ProjectConfig | None) -> Callable[[LabelledTask, Reading], LabelledVideo]:
    results = item.results
    if results.videos and results.pictures:
        path = results.pictures[0].path
        raise PayloadError(f"{path}: a task with regions of a video and of an image; one of them is exported", path)
    if not results.videos and not results.pictures:
        return label_pictures if likely_kind(item.task.data, config) == "image" else label_video
    return label_pictures if results.pictures else label_video


@contextmanager
def _naming(task: Task) -> Iterator[None]:
    """Say in errors which task it was."""
    try:
        yield
    except PayloadError as error:
        raise PayloadError(f"{task.place}: {error}", error.path) from error
    except KeytrackError as error:
        raise type(error)(f"{task.place}: {error}") from error
