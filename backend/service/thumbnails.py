"""Small pictures of tasks: a frame with the outlines and boxes of the tracks on it."""

from __future__ import annotations

import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from backend.errors import NotKeptError, VideoError
from backend.export.colours import Colour, bright_colours
from backend.labelstudio.in_use import media_in_use
from backend.service.archive import Archive, Entry
from backend.tracks import Box, ImageArray, Mask
from backend.video.reader import VideoReader

WIDTH, HEIGHT = 256, 192  # pixels, at most
MOST_KEPT = 64
QUALITY = 80
VIDEO_CACHE = 8 << 20  # bytes: a frame is read once

Key = tuple[tuple[int, int], ...]


class Thumbnails:
    """Makes them when they are asked for, one at a time, and keeps the last ones.

    Args:
        archive: the tracks.
        find: the video's file by the address of its Label Studio, empty where that is not known, and the task's value;
            None where it is not on this disk.
    """

    def __init__(self, archive: Archive, find: Callable[[str, str], Path | None]) -> None:
        self._archive = archive
        self._find = find
        self._kept: OrderedDict[Key, bytes] = OrderedDict()
        self._turn = threading.Lock()

    def jpeg(self, project: str, task: str) -> bytes:
        """A task's picture, at most :data:`WIDTH` x :data:`HEIGHT` pixels: the frame that shows most of its complete
        tracks.

        Raises:
            NotKeptError: there is no complete track that shows, or the video is not at hand, or cannot be read.
        """
        with self._turn, media_in_use(), self._archive.open() as store:
            entries = pictured(store.entries(project, task))
            key = tuple((entry.id, entry.revision) for entry in entries)
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            boxes = [store.boxes(entry) for entry in entries]
            frame = _fullest(boxes)
            path = self._find(store.hostname(project), entries[0].video) if entries else None
            if frame is None or path is None:
                raise NotKeptError(f"there is no picture of task {task} of project {project}")
            shown = [
                (store.masks(entry)[frame], own[frame], colour)
                for entry, own, colour in zip(entries, boxes, bright_colours(len(entries)), strict=True)
                if frame in own
            ]
            try:
                with VideoReader(path, cache_bytes=VIDEO_CACHE) as video:
                    image = video.frame(frame)
            except VideoError as error:
                raise NotKeptError(f"there is no picture of task {task} of project {project}: {error}") from error
            self._kept[key] = picture = _encode(draw(image, shown))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return picture


def pictured(entries: Sequence[Entry]) -> list[Entry]:
    """Of a task's tracks those that its picture is of: the complete ones of the video of the last press."""
    complete = [entry for entry in entries if entry.complete]
    latest = max(complete, key=lambda entry: entry.pressed, default=None)
    return [entry for entry in complete if latest is not None and entry.video == latest.video]


def draw(image: ImageArray, shown: Sequence[tuple[Mask, Box, Colour]]) -> ImageArray:
    """A small copy of an RGB image ``uint8 (H, W, 3)`` with outlines and boxes, of masks of the image's size."""
    scale = min(WIDTH / image.shape[1], HEIGHT / image.shape[0], 1.0)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for mask, box, colour in shown:
        if mask.size != image.shape[:2]:
            continue  # the file at hand is another one than was tracked
        inside = cv2.resize(mask.array().astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
        contours, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, contours, -1, colour, 1)
        x0, y0, x1, y1 = (round(side * scale) for side in box)
        cv2.rectangle(small, (x0, y0), (x1 - 1, y1 - 1), colour, 1)
    return np.asarray(small, np.uint8)


def _fullest(boxes: Sequence[Mapping[int, Box]]) -> int | None:
    """The frame on which most objects show; of several the middle one."""
    count = Counter(frame for own in boxes for frame in own)
    if not count:
        return None
    most = max(count.values())
    best = sorted(frame for frame, number in count.items() if number == most)
    return best[len(best) // 2]


def _encode(image: ImageArray) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=QUALITY)
    return sink.getvalue()
