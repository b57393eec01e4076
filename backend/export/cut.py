"""A video cut into images: a directory from which Label Studio can have them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from backend.errors import DatasetError, OutputError, PayloadError
from backend.export.json_file import JsonFile
from backend.export.names import file_names
from backend.export.results import ResultsDirectory, write_text
from backend.export.writing import Pictures, make_directory, save_picture
from backend.labelstudio.cut_video import CutVideo
from backend.labelstudio.payload import parse
from backend.tracks import ImageArray
from backend.video.pick import pick
from backend.video.reader import VideoReader

IMAGES, MANIFEST, TASK = "frames", "cut.json", "task.json"
NAMES = (IMAGES, MANIFEST, TASK)

_DIGITS = 12  # of the digest: more cuts than anybody will ever import, none of them the same


@dataclass(frozen=True)
class CutOptions:
    """Which frames are taken, and how they are written.

    Attributes:
        every, rate, start, end: see :func:`backend.video.pick.pick`.
        kind: of the images.
        quality: of JPEG images, 1 to 95.
        max_side: pixels to which the longer side is scaled down where it is longer; None leaves the size.
    """

    every: int = 1
    rate: float | None = None
    start: float = 0.0
    end: float = math.inf
    kind: Pictures = "jpg"
    quality: int = 90
    max_side: int | None = None


@dataclass(frozen=True, eq=False)
class Cut:
    """What a video was cut into.

    Attributes:
        directory: of the results.
        video: what a task says of it.
        files: the images, in the order of the frames.
        found: it was there already, from an earlier run with the same options.
    """

    directory: Path
    video: CutVideo
    files: tuple[Path, ...]
    found: bool


def plain_stem(path: Path) -> str:
    """What a video's directory and images are called: its file's name without extension, fit for a file's name."""
    return file_names([path.stem])[0]


def cut(
    video: VideoReader,
    target: Path,
    options: CutOptions,
    *,
    force: bool = False,
    begin: Callable[[int], None] = lambda frames: None,
    advance: Callable[[], None] = lambda: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Cut | None:
    """Write frames of a video as images, upright, one in memory at a time.

    ``target`` gets ``frames/NAME-000012.jpg``, by decode index, and ``cut.json``, which says how they were made. It
    appears when it is complete, and is left as it is where it holds the same already.

    Args:
        video: what is cut.
        target: a directory, new; made with its parents.
        options: which frames, and how.
        force: make it anew, and replace an earlier cut in ``target`` whatever it is of.
        begin: called with the number of frames before the first is written.
        advance: called after each frame.
        cancelled: asked before each frame.

    Returns:
        the cut; None where it was cancelled, and then nothing is left of it.

    Raises:
        VideoError: the video cannot be read, or no frame lies between start and end.
        OutputError: ``target`` has other contents, or cannot be written to.
    """
    indices = pick(video.timestamps, every=options.every, rate=options.rate, start=options.start, end=options.end)
    stem = plain_stem(video.path)
    files = [f"{stem}-{index:06d}.{options.kind}" for index in indices]
    asked = _asked(video, indices, options)
    if not force:
        made = _made(target, asked, files)
        if made is not None:
            return made
    with ResultsDirectory(target, NAMES, force=force) as results:
        begin(len(indices))
        directory = make_directory(results.path(IMAGES))
        digest = hashlib.sha256(json.dumps(asked).encode())
        for index, name in zip(indices, files, strict=True):
            if cancelled():
                return None
            path = directory / name
            save_picture(_scaled(video.frame(index), options.max_side), path, options.kind, options.quality)
            digest.update(_bytes(path))
            advance()
        said = CutVideo(
            video=video.path.name,
            fps=video.fps,
            times=asked["times"],
            indices=indices,
            cut=digest.hexdigest()[:_DIGITS],
        )
        write_text(results.path(MANIFEST), json.dumps({"asked": asked, "cut": said.cut}, indent=1) + "\n")
        results.publish()
    return Cut(target, said, tuple(target / IMAGES / name for name in files), found=False)


def _asked(video: VideoReader, indices: list[int], options: CutOptions) -> dict[str, Any]:
    """What tells a cut from another one before it is made."""
    return {
        "video": video.path.name,
        "bytes": video.path.stat().st_size,
        "width": video.width,
        "height": video.height,
        "fps": video.fps,
        "format": options.kind,
        "quality": options.quality if options.kind == "jpg" else None,
        "max_side": options.max_side,
        "indices": indices,
        "times": np.round(video.timestamps[indices], 6).tolist(),
    }


def _made(target: Path, asked: Mapping[str, Any], files: list[str]) -> Cut | None:
    """The cut that is there already; None where there is none, or another."""
    with suppress(DatasetError, PayloadError):
        value = JsonFile.read(target / MANIFEST).value
        if not isinstance(value, dict) or value.get("asked") != asked:
            return None
        names = ("video", "fps", "times", "indices")
        said = parse(CutVideo, {name: asked[name] for name in names} | {"cut": value.get("cut")})
        paths = tuple(target / IMAGES / name for name in files)
        return Cut(target, said, paths, found=True) if all(path.is_file() for path in paths) else None
    return None


def _scaled(image: ImageArray, max_side: int | None) -> ImageArray:
    height, width = image.shape[:2]
    scale = 1.0 if max_side is None else max_side / max(height, width)
    if scale >= 1:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OutputError(f"cannot read {path.name} again ({error})") from error
