"""Which frame of a video each image of a COCO file is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class CocoFrames:
    """The frames of one video.

    Attributes:
        looked: those that the file has, from 0.
    """

    looked: Sequence[int]
    _images: Mapping[int | str, int | None]  # None: of another video
    _videos: Mapping[int | str, bool]

    def of(self, image: int | str, path: str) -> int | None:
        """The frame that an image is; None where it is one of another video.

        Raises:
            PayloadError: there is no such image.
        """
        if image not in self._images:
            raise PayloadError(f"{path}: there is no image {image!r}", path)
        return self._images[image]

    def is_this_video(self, video: int | str, path: str) -> bool:
        """Whether a number is this video's; raises PayloadError where there is no such video."""
        if video not in self._videos:
            raise PayloadError(f"{path}: there is no video {video!r}", path)
        return self._videos[video]


def check_frame(frame: int, count: int, path: str) -> int:
    """``frame``, if the video has it.

    Raises:
        PayloadError: it has not.
    """
    if not 0 <= frame < count:
        raise PayloadError(f"{path}: there is no frame {frame}: the video has the frames 0 to {count - 1}", path)
    return frame


def read_frames(images: Sequence[Any] | None, videos: Sequence[Any] | None, video: Frames) -> CocoFrames:
    """Find a video's frames among a file's images, or among its videos.

    A frame is the image's ``frame_index``, where there is one. Where there are as many images as the video has frames,
    they are its frames in the order of their names; otherwise the number at the end of a name is the frame, from 0.

    Args:
        images: of COCO; None where there are none.
        videos: of YouTube-VIS, which go before.
        video: one of them: the only one, or the one whose name is that of the file.

    Raises:
        PayloadError: a wrong type, a missing field, or images that are not this video's.
    """
    if videos is not None:
        return _of_videos(videos, video)
    if images is None:
        raise PayloadError("it says nothing of images: they tell which frame is which")
    entries = [parse(ImageEntry, raw, f"images[{index}]") for index, raw in enumerate(images)]
    chosen = _choose([entry.group for entry in entries], video, "images")
    own = [index for index, entry in enumerate(entries) if entry.group == chosen]
    for index in own:
        _check_size(entries[index], video, f"images[{index}]")
    frames = _number(
        [entries[index].frame_index for index in own],
        [entries[index].file_name or "" for index in own],
        [f"images[{index}]" for index in own],
        video,
    )
    known: dict[int | str, int | None] = {entry.id: None for entry in entries}
    known.update({entries[index].id: frame for index, frame in zip(own, frames, strict=True)})
    if len(known) < len(entries):
        raise PayloadError("images: two images have the same id", "images")
    return CocoFrames(sorted(frames), known, {})


def _of_videos(videos: Sequence[Any], video: Frames) -> CocoFrames:
    entries = [parse(VideoEntry, raw, f"videos[{index}]") for index, raw in enumerate(videos)]
    chosen = _choose([entry.group for entry in entries], video, "videos")
    index = next(index for index, entry in enumerate(entries) if entry.group == chosen)
    entry, where = entries[index], f"videos[{index}]"
    _check_size(entry, video, where)
    count = len(entry.file_names)
    given = entry.frame_indices
    if given is not None and len(given) != count:
        raise PayloadError(f"{where}.frame_indices: {len(given)} for {count} images", f"{where}.frame_indices")
    places = [f"{where}.file_names[{position}]" for position in range(count)]
    frames = _number(given or [None] * count, entry.file_names, places, video)
    return CocoFrames(frames, {}, {one.id: one is entry for one in entries})


def _choose(groups: Sequence[str], video: Frames, path: str) -> str:
    """Which of the videos that a file is about is this one."""
    names = list(dict.fromkeys(groups))
    if not names:
        raise PayloadError(f"{path}: it is empty", path)
    if len(names) == 1:
        return names[0]
    stem = video.path.stem
    fitting = [name for name in names if stem in (name, PurePosixPath(name).name)]
    if len(fitting) != 1:
        shown = ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise PayloadError(f"{path}: of its videos ({shown}) {len(fitting) or 'none'} has the name {stem!r}", path)
    return fitting[0]


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
