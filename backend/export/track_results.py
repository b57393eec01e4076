"""What ``track`` leaves in its directory, and a dataset from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import Field

from backend.errors import DatasetError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.json_file import JsonFile
from backend.export.media import WAYS, Media
from backend.export.reading import Reading
from backend.export.results import write_text
from backend.export.studio_tasks import choose_labellings, order_labels, read_tasks
from backend.labelstudio.exported import parse_tasks
from backend.labelstudio.payload import Incoming, Name, Text, parse
from backend.tracks import Box, Mask
from backend.video.frames import Frames
from backend.video.source import MAX_SIDE

MASKS, NUMBERS, TASKS, VIDEO, OVERLAY, INCOMPLETE = (
    "masks",
    "objects.json",
    "label_studio.json",
    "video.json",
    "overlay.mp4",
    "INCOMPLETE.txt",
)
NAMES = (MASKS, NUMBERS, TASKS, VIDEO, OVERLAY, INCOMPLETE)

Count = Annotated[int, Field(ge=1, le=100_000_000)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Span = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


class VideoItem(Incoming):
    """Which video was tracked: ``tracked`` are the first and last decode index of each stretch."""

    path: Name
    width: Side
    height: Side
    frames: Count
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    tracked: list[Span]

    def indices(self) -> list[int]:
        """The frames that were tracked."""
        return sorted({index for first, last in self.tracked for index in range(first, min(last + 1, self.frames))})


class ObjectItem(Incoming):
    """What one number means."""

    id: Name
    label: Text | None = None


def write_video_file(path: Path, video: Frames, tracked: Sequence[int]) -> None:
    """Write down which video was tracked, so that ``export`` finds it again.

    Args:
        path: the JSON file.
        video: the video, a file.
        tracked: the frames that were tracked, ascending.

    Raises:
        OutputError: it cannot be written.
    """
    breaks = np.flatnonzero(np.diff(tracked) != 1) + 1
    item = {
        "path": str(video.path.resolve()),
        "width": video.width,
        "height": video.height,
        "frames": len(video),
        "fps": video.fps,
        "tracked": [[int(part[0]), int(part[-1])] for part in np.split(np.asarray(tracked, int), breaks) if len(part)],
    }
    write_text(path, json.dumps(item, indent=2, ensure_ascii=False) + "\n")


def is_track_directory(directory: Path) -> bool:
    """Whether ``track`` wrote it."""
    return (directory / TASKS).is_file()


def read_track(directory: Path, reading: Reading, advance: Callable[[], None] = lambda: None) -> Dataset | None:
    """The video that was tracked: by its masks where there are any, else by the boxes of the task.

    Objects are in the order of their numbers, which masks have; boxes alone are ordered as in any task. The frames
    that were tracked are the labelled ones.

    Args:
        directory: what was given as ``--out``.
        reading: how.
        advance: called after each mask.

    Returns:
        the dataset; None where it was cancelled.

    Raises:
        DatasetError: a file is missing, or is not what ``track`` writes; or the video is another one.
        MediaError: the video is not at hand, and is needed.
        VideoError: it cannot be read.
    """
    item = _read_video_file(directory / VIDEO)
    if (directory / INCOMPLETE).exists():
        reading.notes.add(f"the track is not complete, see {INCOMPLETE}", directory.name)
    masked = (directory / MASKS).is_dir()
    frames = _find_video(item, reading) if reading.choices.pictures or not masked else None
    if not masked:
        return _read_boxes(directory, item, reading)
    objects = _read_numbers(directory / NUMBERS)
    files = _mask_files(directory / MASKS, item)
    masks: list[dict[int, Mask]] = [{} for _ in objects]
    for index, path in files.items():
        if reading.cancelled():
            return None
        numbers = _read_mask(path, item)
        for number in np.unique(numbers[numbers > 0]).tolist():
            if number > len(objects):
                raise DatasetError(f"{path} has a number {number}, and {NUMBERS} has none above {len(objects)}")
            masks[number - 1][index] = Mask.from_array(numbers == number)
        advance()
    video = LabelledVideo(
        name=Path(item.path).stem,
        size=(item.width, item.height),
        length=item.frames,
        fps=item.fps,
        labelled=list(files),
        objects=[
            LabelledObject(one.id, one.label, _boxes(found), found) for one, found in zip(objects, masks, strict=True)
        ],
        frames=frames,
    )
    return Dataset(order_labels([video], reading.choices.config, reading.notes), [video])


def _boxes(masks: Mapping[int, Mask]) -> dict[int, Box]:
    """Without specks, as Label Studio gets them from ``track``."""
    return {index: mask.solid_box for index, mask in masks.items() if mask.solid_box is not None}


def _read_video_file(path: Path) -> VideoItem:
    if not path.exists():
        raise DatasetError(
            f"{path} is not there: it says which video was tracked. Is {path.parent} a directory of track's results? "
            "One of an older version has none; track again"
        )
    file = JsonFile.read(path)
    with file.naming_lines():
        return parse(VideoItem, file.value)


def _read_numbers(path: Path) -> list[ObjectItem]:
    """The objects in the order of their numbers, 1, 2, ..."""
    file = JsonFile.read(path)
    if not isinstance(file.value, dict) or list(file.value) != [str(n + 1) for n in range(len(file.value))]:
        raise DatasetError(f"{path}: expected the objects under their numbers, 1, 2, ... in this order")
    with file.naming_lines():
        return [parse(ObjectItem, value, number) for number, value in file.value.items()]


def _mask_files(directory: Path, item: VideoItem) -> dict[int, Path]:
    """The masks by their frames: all that were tracked."""
    files = {}
    for path in sorted(directory.glob("*.png"), key=lambda path: (len(path.stem), path.stem)):
        if not (path.stem.isascii() and path.stem.isdecimal()) or int(path.stem) >= item.frames:
            raise DatasetError(f"{path} is no mask of this video: names are frame numbers from 0 to {item.frames - 1}")
        files[int(path.stem)] = path
    if not files:
        raise DatasetError(f"{directory} has no masks")
    missing = [index for index in item.indices() if index not in files]
    if missing:
        raise DatasetError(
            f"{directory} has no mask of frame {missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}, "
            f"which {VIDEO} says were tracked; track again"
        )
    return files


def _read_mask(path: Path, item: VideoItem) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            if image.mode not in ("P", "L") or image.size != (item.width, item.height):
                raise DatasetError(
                    f"{path} is no mask of this video: an indexed PNG of {item.width} x {item.height} pixels"
                )
            return np.array(image)
    # Pillow has a SyntaxError for a PNG whose chunks are damaged.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read as a mask ({error})") from error


def _find_video(item: VideoItem, reading: Reading) -> Frames:
    path = Path(item.path)
    video = reading.shelf.add(path if path.is_file() else reading.media.find(path.name))
    if (len(video), video.width, video.height) != (item.frames, item.width, item.height):
        raise DatasetError(
            f"{video.path} has {len(video)} frames of {video.width} x {video.height} pixels, but the video that was "
            f"tracked had {item.frames} of {item.width} x {item.height}; {WAYS}"
        )
    return video


class _OneVideo(Media):
    """Whatever the task calls its video, it is this one."""

    def __init__(self, path: Path) -> None:
        super().__init__(None, None)
        self._path = path

    def find(self, value: str) -> Path:
        """The video's file."""
        return self._path


def _read_boxes(directory: Path, item: VideoItem, reading: Reading) -> Dataset | None:
    file = JsonFile.read(directory / TASKS)
    video = _find_video(item, reading)
    choices = replace(reading.choices, predictions=True)
    with file.naming_lines():
        tasks = choose_labellings(parse_tasks(file.value), choices, reading.notes)
        dataset = read_tasks(tasks, replace(reading, choices=choices, media=_OneVideo(video.path)))
    if dataset is None:
        return None
    named = [replace(labelled, name=Path(item.path).stem, labelled=item.indices()) for labelled in dataset.videos]
    return Dataset(dataset.labels, named)
