"""COCO's JSON: a detector's results (a list), images with annotations, or the same of videos, as YouTube-VIS has it.

Source: the data and the results format on COCO's site; Yang et al., ICCV 2019, for videos.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from backend.detections.coco_frames import CocoImages, CocoVideos, check_frame
from backend.detections.looked import ByFrame, with_empty_frames
from backend.detections.naming import choose
from backend.errors import DatasetError, PayloadError, SettingsError
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


class CocoFile:
    """A file, read once, which may be of several videos.

    Attributes:
        path: the file.
        names: of the videos; none where the file does not say of which it is.
        found_in: those of them with detections.
        labels: those that the detections have.
        best: the highest score; minus infinity without any detection.
    """

    def __init__(self, path: Path, images: Path | None = None) -> None:
        """
        Args:
            path: results ``[{"image_id", "category_id", "bbox", "score"}]``, where ``image_id`` is the frame, from 0,
                unless ``images`` says which image is which; or a file with images and annotations of its own.
            images: a file with images and, perhaps, categories.

        Raises:
            DatasetError: a file cannot be read, or something in it is not what the format asks for; the message has
                the line.
            SettingsError: ``images`` for a file that has some.
        """
        self.path = path
        self._of_images = images or path
        self._images: CocoImages | CocoVideos | None = None
        self._found: dict[Any, list[_Found]] = {}  # by an image's id, or by a video's and the position in it
        file = JsonFile.read(path)
        if isinstance(file.value, list):
            self._read_results(file, file.value, None if images is None else JsonFile.read(images))
        elif images is not None:
            raise SettingsError(f"{path} has images itself: leave {images} out")
        else:
            self._read_document(file)
        every = [one.detection for found in self._found.values() for one in found]
        self.names: Sequence[str] = () if self._images is None else self._images.names
        self.found_in: Sequence[str] = self._found_in()
        self.labels: Sequence[str] = sorted({one.label for one in every if one.label is not None})
        self.best = max((one.score for one in every), default=-math.inf)

    @property
    def fingerprint(self) -> str:
        """See :class:`backend.detections.files.DetectionFile`."""
        images = None if self._images is None else self._images.entries
        return hashlib.sha256(repr((images, self._found)).encode("utf-8", "surrogatepass")).hexdigest()

    def detections(self, video: Frames, name: str | None = None) -> ByFrame:
        """The detections of one video.

        Args:
            video: what was looked at.
            name: what it is called in the file; by default it is the file's only one, or the one that has the name of
                the video's file.

        Returns:
            by frame from 0. Labels are the categories' names, or numbers where they have none.

        Raises:
            DatasetError: what the file says does not fit the video; the message has the line.
        """
        if self._images is None:
            return self._counted(len(video))
        with _naming_lines(self._of_images):
            name = name or choose(self.names, video.path.stem, self._images.key)
            frames = self._images.frames(name, video)
        return {frame: [one.detection for one in self._found.get(key, ())] for key, frame in frames.items()}

    def of(self, name: str | None) -> CocoFile:
        """What the file has of one video and no more; see :class:`backend.detections.files.DetectionFile`."""
        images = self._images
        if images is None or name is None:
            return self
        part = copy(self)
        part._images = images.of(name)
        part._found = {key: found for key, found in self._found.items() if images.name_of(key) == name}
        part.names, part.found_in = (name,), [name] if part._found else []
        return part

    def _found_in(self) -> list[str]:
        if self._images is None:
            return []
        return list(dict.fromkeys(self._images.name_of(key) for key in self._found))

    def _counted(self, count: int) -> ByFrame:
        """Images whose numbers are their frames."""
        found: ByFrame = {}
        with _naming_lines(self.path):
            for image, boxes in self._found.items():
                place = f"[{boxes[0].index}].image_id"
                found[check_frame(image, count, place)] = [one.detection for one in boxes]
        return with_empty_frames(found)

    def _read_results(self, file: JsonFile, entries: Sequence[object], images: JsonFile | None) -> None:
        labels: dict[int, str] = {}
        if images is not None:
            with images.naming_lines():
                document = parse(Document, images.value)
                if document.images is None:
                    raise PayloadError("it says nothing of images: they tell which frame is which")
                self._images, labels = CocoImages(document.images), _labels(document)
        with file.naming_lines():
            self._gather(entries, "", labels)

    def _read_document(self, file: JsonFile) -> None:
        with file.naming_lines():
            document = parse(Document, file.value)
            labels = _labels(document)
            if document.videos is not None:
                self._images = CocoVideos(document.videos)
            elif document.images is not None:
                self._images = CocoImages(document.images)
            else:
                raise PayloadError("it says nothing of images: they tell which frame is which")
            if document.annotations is None:
                raise PayloadError("it has no annotations, and is no list of results either")
            if isinstance(self._images, CocoVideos):
                self._gather_videos(document.annotations, self._images, labels)
            else:
                self._gather(document.annotations, "annotations", labels)

    def _gather(self, entries: Sequence[object], path: str, labels: Mapping[int, str]) -> None:
        for index, raw in enumerate(entries):
            where = f"{path}[{index}]"
            entry = parse(BoxEntry, raw, where)
            if isinstance(self._images, CocoImages):
                self._images.check(entry.image_id, f"{where}.image_id")
            elif isinstance(entry.image_id, str):
                place = f"{where}.image_id"
                raise PayloadError(
                    f"{place}: {entry.image_id!r} is no frame's number; give the file that names the images", place
                )
            one = _detection(entry.bbox, entry.score, entry.category_id, labels, f"{where}.bbox")
            if not entry.iscrowd:
                self._found.setdefault(entry.image_id, []).append(_Found(index, one))

    def _gather_videos(self, entries: Sequence[object], videos: CocoVideos, labels: Mapping[int, str]) -> None:
        for index, raw in enumerate(entries):
            where = f"annotations[{index}]"
            entry = parse(VideoBoxesEntry, raw, where)
            count = videos.count(entry.video_id, f"{where}.video_id")
            if entry.iscrowd:
                continue
            if len(entry.bboxes) != count:
                place = f"{where}.bboxes"
                raise PayloadError(f"{place}: {len(entry.bboxes)} boxes for the {count} frames of the video", place)
            for position, box in enumerate(entry.bboxes):
                if box is not None:
                    one = _detection(box, entry.score, entry.category_id, labels, f"{where}.bboxes[{position}]")
                    self._found.setdefault((entry.video_id, position), []).append(_Found(index, one))


@dataclass(frozen=True, slots=True)
class _Found:
    """A detection, and which of the file's entries it was."""

    index: int
    detection: Detection


@contextmanager
def _naming_lines(path: Path) -> Iterator[None]:
    """As :meth:`JsonFile.naming_lines`, of a file that is not held in memory."""
    try:
        yield
    except PayloadError as error:
        if not path.exists():  # it was sent to another machine
            raise DatasetError(f"{path}: {error}") from error
        with JsonFile.read(path).naming_lines():
            raise error


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
