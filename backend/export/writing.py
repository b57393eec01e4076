"""What all formats do alike: refuse what cannot be written, name the videos, hand out their frames, write pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

from PIL import Image

from backend.errors import OutputError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.masks import NumberArray, paint
from backend.export.names import file_names
from backend.export.results import write_text
from backend.labelstudio.drawn import clip
from backend.tracks import Box, ImageArray, Mask

Pictures = Literal["jpg", "png"]

UNNAMED_CLASS = "object"
OBJECTS_FILE = "objects.json"
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Options:
    """What a user may choose.

    Attributes:
        pictures: how the labelled frames are kept: JPEG of quality 95, PNG, or not at all.
        val: which part of the videos, in [0, 1), goes to validation; for formats with ``splits``.
    """

    pictures: Pictures | None = "jpg"
    val: float = 0.0


@dataclass
class Summary:
    """What was written; ``left_out`` are the boxes and masks that show nothing: of no size, or outside the picture."""

    videos: int = 0
    frames: int = 0
    objects: int = 0
    annotations: int = 0
    left_out: int = 0


@dataclass(frozen=True, eq=False)
class Seen:
    """An object on one frame.

    Attributes:
        number: the object's in its video, from 1.
        item: the object.
        box: ``xyxy`` pixels as they were given.
        inside: what of the box is inside the picture, never empty.
        mask: None where there is only a box.
    """

    number: int
    item: LabelledObject
    box: Box
    inside: Box
    mask: Mask | None


@dataclass(frozen=True, eq=False)
class Shot:
    """A labelled frame with what it shows: ``position`` counts a video's labelled frames from 0, ``index`` is the
    decode index."""

    position: int
    index: int
    seen: tuple[Seen, ...]

    def numbers(self, size: tuple[int, int]) -> NumberArray:
        """``uint16 (H, W)``: at each pixel the number of the object there, the lowest of several; 0 where there is
        none. ``size`` is width and height."""
        layers = [(seen.number, seen.mask) for seen in self.seen if seen.mask is not None]
        return paint(reversed(layers), size)


@dataclass(frozen=True, eq=False)
class Clip:
    """A video as a format writes it: ``number`` counts from 1, ``name`` is a file's name, unique in the dataset."""

    number: int
    name: str
    video: LabelledVideo


class Cancelled(Exception):
    """Somebody asked to stop."""


@dataclass(eq=False)
class Export:
    """One run of a format.

    Attributes:
        dataset: what is written.
        directory: where to.
        options: the user's.
        advance: called after each frame.
        cancelled: asked before each frame.
        reserved: names in the directory that no video may take.
        summary: counts what was written.
    """

    dataset: Dataset
    directory: Path
    options: Options
    advance: Callable[[], None]
    cancelled: Callable[[], bool]
    reserved: tuple[str, ...] = ()
    summary: Summary = field(default_factory=Summary)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The classes in their order; what has none is an "object", the last one."""
        labels = tuple(self.dataset.labels)
        unnamed = any(item.label is None for video in self.dataset.videos for item in video.objects)
        return (*labels, UNNAMED_CLASS) if unnamed and UNNAMED_CLASS not in labels else labels

    def class_index(self, item: LabelledObject) -> int:
        """An object's class, from 0."""
        return self.classes.index(UNNAMED_CLASS if item.label is None else item.label)

    @cached_property
    def clips(self) -> tuple[Clip, ...]:
        """The videos that have labelled frames."""
        videos = [video for video in self.dataset.videos if video.labelled]
        names = file_names((video.name for video in videos), reserved=self.reserved)
        return tuple(Clip(number, names[number - 1], video) for number, video in enumerate(videos, start=1))

    @property
    def suffix(self) -> str:
        """Of the pictures' names; formats that name pictures do so even where these are left out."""
        return f".{self.options.pictures or 'jpg'}"

    def shots(self, clip: Clip, directory: Path, names: Sequence[str]) -> Iterator[Shot]:
        """Hand out a clip's labelled frames in order, after their pictures are written; one is in memory at a time.

        Args:
            clip: one of :attr:`clips`.
            directory: of the pictures.
            names: where in it each labelled frame's picture goes.

        Raises:
            Cancelled: somebody asked for it.
            OutputError: a picture cannot be written.
            VideoError: a frame cannot be read.
        """
        video = clip.video
        self.summary.videos += 1
        self.summary.objects += len(video.objects)
        for position, (index, name) in enumerate(zip(video.labelled, names, strict=True)):
            if self.cancelled():
                raise Cancelled
            if self.options.pictures is not None and video.frames is not None:
                make_directory((directory / name).parent)
                save_picture(video.frames.frame(index), directory / name, self.options.pictures)
            shot = Shot(position, index, tuple(self._seen(video, index)))
            self.summary.frames += 1
            self.summary.annotations += len(shot.seen)
            yield shot
            self.advance()

    def hidden(self, count: int) -> None:
        """Say that of the objects that were handed out some have no pixel of their own, and were left out."""
        self.summary.annotations -= count
        self.summary.left_out += count

    def write_objects(self) -> None:
        """Write ``objects.json``: for each clip the video's name, and the id and label of each object's number."""
        meaning = {
            clip.name: {
                "video": clip.video.name,
                "objects": {
                    str(number): {"id": item.id, "label": item.label}
                    for number, item in enumerate(clip.video.objects, start=1)
                },
            }
            for clip in self.clips
        }
        write_text(self.directory / OBJECTS_FILE, json.dumps(meaning, indent=2, ensure_ascii=False) + "\n")

    def _seen(self, video: LabelledVideo, index: int) -> Iterator[Seen]:
        for number, item in enumerate(video.objects, start=1):
            box, mask = item.boxes.get(index), item.masks.get(index)
            if box is None:
                continue
            inside = clip(box, video.size)
            if inside is None or (mask is not None and mask.area == 0):
                self.summary.left_out += 1
            else:
                yield Seen(number, item, box, inside, mask)


def make_directory(path: Path) -> Path:
    """Make a directory with its parents, unless it is there, and return it.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the directory {path.name} ({error.strerror})") from error
    return path


def write_rows(path: Path, rows: Iterable[str]) -> None:
    """Write lines of text, with their directory.

    Raises:
        OutputError: they cannot be written.
    """
    make_directory(path.parent)
    write_text(path, "".join(f"{row}\n" for row in rows))


def save_picture(image: ImageArray, path: Path, kind: Pictures, quality: int = JPEG_QUALITY) -> None:
    """Write an RGB image ``uint8 (H, W, 3)``; ``quality`` is a JPEG's, up to 100.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        if kind == "jpg":
            Image.fromarray(image).save(path, "JPEG", quality=quality)
        else:
            Image.fromarray(image).save(path, "PNG")
    except OSError as error:
        raise OutputError(f"cannot write {path.name} ({error})") from error
