"""COCO's JSON: a detector's results (a list), images with annotations, or the same of videos, as YouTube-VIS has it.

Source: the data and the results format on COCO's site; Yang et al., ICCV 2019, for videos.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from backend.detections.coco_frames import CocoFrames, check_frame, read_frames
from backend.detections.looked import ByFrame, with_empty_frames
from backend.errors import PayloadError, SettingsError
from backend.export.json_file import JsonFile
from backend.labelstudio.payload import Incoming, Name, Number, parse
from backend.tracks import Detection
from backend.video.frames import Frames

Numbers = Annotated[list[Number], Field(min_length=4, max_length=4)]


class CategoryEntry(Incoming):
    """What a category is called."""

    id: int
    name: Name


class BoxEntry(Incoming):
    """A detection or an annotation: left, top, width and height in pixels from 0."""

    image_id: int | Name
    category_id: int | None = None
    bbox: Numbers
    score: Number = 1.0
    iscrowd: int | None = 0


class VideoBoxesEntry(Incoming):
    """An object's boxes over a video, null where it is absent."""

    video_id: int | Name
    category_id: int | None = None
    bboxes: list[Numbers | None]
    score: Number = 1.0
    iscrowd: int | None = 0


class Document(Incoming):
    """The parts of a file that has more than results."""

    images: list[Any] | None = None
    videos: list[Any] | None = None
    categories: list[Any] | None = None
    annotations: list[Any] | None = None


def read_coco(path: Path, video: Frames, images: Path | None = None) -> ByFrame:
    """The detections of one video.

    Args:
        path: results ``[{"image_id", "category_id", "bbox", "score"}]``, where ``image_id`` is the frame, from 0,
            unless ``images`` says which image is which; or a file with images and annotations of its own.
        video: what was looked at; of several in the file it is the one of that name.
        images: a file with images and, perhaps, categories.

    Returns:
        by frame from 0. Labels are the categories' names, or numbers where they have none.

    Raises:
        DatasetError: a file cannot be read, or something in it is not what the format asks for, or does not fit the
            video; the message has the line.
        SettingsError: ``images`` for a file that has some.
    """
    file = JsonFile.read(path)
    if isinstance(file.value, list):
        return _read_results(file, video, None if images is None else JsonFile.read(images))
    if images is not None:
        raise SettingsError(f"{path} has images itself: leave {images} out")
    with file.naming_lines():
        document = parse(Document, file.value)
        frames, labels = read_frames(document.images, document.videos, video), _labels(document)
        if document.annotations is None:
            raise PayloadError("it has no annotations, and is no list of results either")
        if document.videos is not None:
            return _gather_videos(document.annotations, frames, labels)
        return _gather(document.annotations, "annotations", frames, labels)


def _read_results(file: JsonFile, video: Frames, images: JsonFile | None) -> ByFrame:
    assert isinstance(file.value, list)
    if images is None:
        with file.naming_lines():
            return with_empty_frames(_gather(file.value, "", _Counted(len(video)), {}))
    with images.naming_lines():
        document = parse(Document, images.value)
        frames, labels = read_frames(document.images, None, video), _labels(document)
    with file.naming_lines():
        return _gather(file.value, "", frames, labels)


class _Counted:
    """Images whose numbers are their frames."""

    looked: Sequence[int] = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def of(self, image: int | str, path: str) -> int:
        """The frame of an image."""
        if isinstance(image, str):
            raise PayloadError(f"{path}: {image!r} is no frame's number; give the file that names the images", path)
        return check_frame(image, self._count, path)


def _gather(entries: Sequence[object], path: str, frames: CocoFrames | _Counted, labels: Mapping[int, str]) -> ByFrame:
    found: ByFrame = {frame: [] for frame in frames.looked}
    for index, raw in enumerate(entries):
        where = f"{path}[{index}]"
        entry = parse(BoxEntry, raw, where)
        frame = frames.of(entry.image_id, f"{where}.image_id")
        one = _detection(entry.bbox, entry.score, entry.category_id, labels, f"{where}.bbox")
        if frame is not None and not entry.iscrowd:
            found.setdefault(frame, []).append(one)
    return found


def _gather_videos(entries: Sequence[object], frames: CocoFrames, labels: Mapping[int, str]) -> ByFrame:
    found: ByFrame = {frame: [] for frame in frames.looked}
    for index, raw in enumerate(entries):
        where = f"annotations[{index}]"
        entry = parse(VideoBoxesEntry, raw, where)
        if not frames.is_this_video(entry.video_id, f"{where}.video_id") or entry.iscrowd:
            continue
        if len(entry.bboxes) != len(frames.looked):
            raise PayloadError(
                f"{where}.bboxes: {len(entry.bboxes)} boxes for the {len(frames.looked)} frames of the video",
                f"{where}.bboxes",
            )
        for position, (frame, box) in enumerate(zip(frames.looked, entry.bboxes, strict=True)):
            if box is not None:
                place = f"{where}.bboxes[{position}]"
                found[frame].append(_detection(box, entry.score, entry.category_id, labels, place))
    return found


def _detection(
    box: Sequence[float], score: float, category: int | None, labels: Mapping[int, str], path: str
) -> Detection:
    x, y, width, height = box
    if width <= 0 or height <= 0:
        raise PayloadError(f"{path}: the box has no size ({width:g} x {height:g})", path)
    label = None if category is None else labels.get(category, str(category))
    return Detection((x, y, x + width, y + height), score, label)


def _labels(document: Document) -> dict[int, str]:
    entries = [parse(CategoryEntry, raw, f"categories[{index}]") for index, raw in enumerate(document.categories or ())]
    return {entry.id: entry.name for entry in entries}
