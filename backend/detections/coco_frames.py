"""Which frame of a video each image of a COCO file is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import Field

from backend.errors import PayloadError
from backend.labelstudio.payload import Incoming, Name, parse
from backend.video.frames import Frames

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class ImageEntry(Incoming):
    """An image. ``video`` and ``frame_index`` are what this backend's export says beside what COCO has."""

    id: int | Name
    file_name: Name | None = None
    width: int | None = None
    height: int | None = None
    video: Name | None = None
    frame_index: Count | None = None

    @property
    def group(self) -> str:
        """The video it is of."""
        return self.video or str(PurePosixPath(self.file_name or "").parent)


class VideoEntry(Incoming):
    """A video. ``video`` and ``frame_indices`` are what this backend's export says beside what YouTube-VIS has."""

    id: int | Name
    file_names: list[Name]
    width: int | None = None
    height: int | None = None
    video: Name | None = None
    frame_indices: list[Count] | None = None

    @property
    def group(self) -> str:
        """Its name: the directory of its images."""
        return self.video or str(PurePosixPath(next(iter(self.file_names), "")).parent)


class CocoImages:
    """A file's images: each is a frame of a video.

    Attributes:
        key: what they are called in the file.
        names: of the videos, in the order of the file.
    """

    key = "images"

    def __init__(self, images: Sequence[Any]) -> None:
        """
        Raises:
            PayloadError: there are none, two have the same id, or one has a wrong type or a missing field.
        """
        self._entries = {index: parse(ImageEntry, raw, f"images[{index}]") for index, raw in enumerate(images)}
        if not self._entries:
            raise PayloadError("images: it is empty", "images")
        self._of: dict[str, list[int]] = {}
        for index, entry in self._entries.items():
            self._of.setdefault(entry.group, []).append(index)
        self.names = tuple(self._of)
        self._video_of = {self._entries[index].id: name for name, own in self._of.items() for index in own}
        if len(self._video_of) < len(self._entries):
            raise PayloadError("images: two images have the same id", "images")

    def check(self, image: int | str, path: str) -> None:
        """Raises PayloadError where there is no such image."""
        if image not in self._video_of:
            raise PayloadError(f"{path}: there is no image {image!r}", path)

    @property
    def entries(self) -> Sequence[ImageEntry]:
        """What the file says of each, in its order."""
        return tuple(self._entries.values())

    def of(self, name: str) -> CocoImages:
        """The images of one video alone."""
        part = copy(self)
        part._entries = {index: self._entries[index] for index in self._of[name]}
        part._of = {name: self._of[name]}
        part._video_of = {entry.id: name for entry in part._entries.values()}
        part.names = (name,)
        return part

    def name_of(self, key: Any) -> str:
        """The video that an image is of, by the image's id."""
        return self._video_of[key]

    def frames(self, name: str, video: Frames) -> dict[int | str, int]:
        """The frames of one video by the ids of its images, ascending.

        A frame is the image's ``frame_index``, where there is one. Where there are as many images as the video has
        frames, they are its frames in the order of their names; otherwise the number at the end of a name is the frame,
        from 0.

        Raises:
            PayloadError: the images are not this video's.
        """
        own = self._of[name]
        for index in own:
            _check_size(self._entries[index], video, f"images[{index}]")
        frames = _number(
            [self._entries[index].frame_index for index in own],
            [self._entries[index].file_name or "" for index in own],
            [f"images[{index}]" for index in own],
            video,
        )
        by_frame = dict(zip(frames, own, strict=True))
        return {self._entries[by_frame[frame]].id: frame for frame in sorted(frames)}


class CocoVideos:
    """The videos of a file of YouTube-VIS, each a list of images.

    Attributes:
        key: what they are called in the file.
        names: of the videos, in the order of the file.
    """

    key = "videos"

    def __init__(self, videos: Sequence[Any]) -> None:
        """
        Raises:
            PayloadError: there are none, or one has a wrong type or a missing field.
        """
        self._entries = {index: parse(VideoEntry, raw, f"videos[{index}]") for index, raw in enumerate(videos)}
        if not self._entries:
            raise PayloadError("videos: it is empty", "videos")
        for index, entry in self._entries.items():
            count, given = len(entry.file_names), entry.frame_indices
            if given is not None and len(given) != count:
                where = f"videos[{index}].frame_indices"
                raise PayloadError(f"{where}: {len(given)} for {count} images", where)
        self.names = tuple(dict.fromkeys(entry.group for entry in self._entries.values()))
        self._by_id = {entry.id: entry for entry in self._entries.values()}

    def count(self, video: int | str, path: str) -> int:
        """How many images a video has; raises PayloadError where there is no such video."""
        if video not in self._by_id:
            raise PayloadError(f"{path}: there is no video {video!r}", path)
        return len(self._by_id[video].file_names)

    @property
    def entries(self) -> Sequence[VideoEntry]:
        """What the file says of each, in its order."""
        return tuple(self._entries.values())

    def of(self, name: str) -> CocoVideos:
        """One video alone; of several of that name all."""
        part = copy(self)
        part._entries = {index: entry for index, entry in self._entries.items() if entry.group == name}
        part._by_id = {entry.id: entry for entry in part._entries.values()}
        part.names = (name,)
        return part

    def name_of(self, key: Any) -> str:
        """A video's name, by its id and the position of an image."""
        return self._by_id[key[0]].group

    def frames(self, name: str, video: Frames) -> dict[tuple[int | str, int], int]:
        """The frames of one video by its id and the positions of its images, found as those of :class:`CocoImages`; of
        several videos of that name it is the first one.

        Raises:
            PayloadError: the images are not this video's.
        """
        index, entry = next((index, entry) for index, entry in self._entries.items() if entry.group == name)
        _check_size(entry, video, f"videos[{index}]")
        count = len(entry.file_names)
        places = [f"videos[{index}].file_names[{position}]" for position in range(count)]
        frames = _number(entry.frame_indices or [None] * count, entry.file_names, places, video)
        return {(entry.id, position): frame for position, frame in enumerate(frames)}


def check_frame(frame: int, count: int, path: str) -> int:
    """``frame``, if the video has it.

    Raises:
        PayloadError: it has not.
    """
    if not 0 <= frame < count:
        raise PayloadError(f"{path}: there is no frame {frame}: the video has the frames 0 to {count - 1}", path)
    return frame


def _number(given: Sequence[int | None], names: Sequence[str], places: Sequence[str], video: Frames) -> list[int]:
    """The frames of one video's images, each of which has its place in the file."""
    if None not in given:
        frames = [frame for frame in given if frame is not None]
    elif len(names) == len(video):
        ranks = {name: rank for rank, name in enumerate(sorted(names, key=_natural))}
        frames = [ranks[name] for name in names]
    else:
        frames = [_last_number(name, place) for name, place in zip(names, places, strict=True)]
    taken: set[int] = set()
    for frame, place in zip(frames, places, strict=True):
        check_frame(frame, len(video), place)
        if frame in taken:
            raise PayloadError(f"{place}: another image is frame {frame} too", place)
        taken.add(frame)
    return frames


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts ``9.jpg`` before ``10.jpg``."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"([0-9]{1,18})", name)]


def _last_number(name: str, place: str) -> int:
    found = re.findall(r"[0-9]+", PurePosixPath(name).stem)
    if not found or len(found[-1]) > 18:
        raise PayloadError(f"{place}: {name!r} does not say which frame it is; give it a frame_index", place)
    return int(found[-1])


def _check_size(entry: ImageEntry | VideoEntry, video: Frames, path: str) -> None:
    """Boxes are in pixels of the images: they must be the video's."""
    size = entry.width, entry.height
    if None not in size and size != (video.width, video.height):
        raise PayloadError(
            f"{path}: the image is {entry.width} x {entry.height} pixels, the video {video.width} x {video.height}; "
            "give boxes in pixels of the video",
            path,
        )
