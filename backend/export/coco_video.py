"""YouTube-VIS's layout: every object of a video an annotation, with a mask or null for each of the video's frames.

Masks are run-length encoded with plain counts, as the benchmark's own files have them; its readers take no others for
the ground truth. Source: Yang et al., ICCV 2019, and the files of 2021.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.errors import OutputError
from backend.export.coco import Entry, heading, xywh
from backend.export.writing import Clip, Export, make_directory
from backend.tracks import Box, Mask

TRAIN, IMAGES, ANNOTATIONS = "train", "JPEGImages", "instances.json"
FILES = (TRAIN,)


def write(export: Export) -> None:
    """Write ``train/JPEGImages/NAME/00000.jpg``, named by the decode index, and ``train/instances.json``.

    An annotation's ``id`` counts the objects of all videos, whether they ever show or not; ``track_id`` is the number
    in the video. An object that is never visible has no annotation.
    """
    directory = make_directory(export.directory / TRAIN)
    videos: list[Entry] = []
    tracks: list[_Track] = []
    before = 0
    for clip in export.clips:
        names = [f"{clip.name}/{index:05d}{export.suffix}" for index in clip.video.labelled]
        found: dict[int, dict[int, Box]] = {}
        for shot in export.shots(clip, directory / IMAGES, names):
            for seen in shot.seen:
                found.setdefault(seen.number, {})[shot.index] = seen.inside
        videos.append(_video(clip, names))
        tracks += [_Track(before, number, clip, found[number]) for number in sorted(found)]
        before += len(clip.video.objects)
    _write(directory / ANNOTATIONS, {**heading(export), "videos": videos}, (_entry(export, track) for track in tracks))


@dataclass(frozen=True, eq=False)
class _Track:
    """An object's number in its clip, how many objects the clips before have, and where it is by decode index."""

    before: int
    number: int
    clip: Clip
    boxes: dict[int, Box]


def _video(clip: Clip, names: list[str]) -> Entry:
    width, height = clip.video.size
    return {
        "id": clip.number,
        "video": clip.video.name,
        "width": width,
        "height": height,
        "length": len(names),
        "file_names": names,
        "frame_indices": list(clip.video.labelled),
    }


def _entry(export: Export, track: _Track) -> Iterator[str]:
    """An annotation's text, mask after mask: run lengths are many times what is kept of a mask."""
    video = track.clip.video
    item = video.objects[track.number - 1]
    head = {
        "id": track.before + track.number,
        "video_id": track.clip.number,
        "category_id": export.class_index(item) + 1,
        "iscrowd": 0,
        "width": video.size[0],
        "height": video.size[1],
        "length": len(video.labelled),
    }
    areas: list[int | None] = []
    yield json.dumps(head).removesuffix("}") + ', "segmentations": ['
    for index in video.labelled:
        mask = item.masks.get(index) if index in track.boxes else None
        yield (", " if areas else "") + json.dumps(None if mask is None else _run_lengths(mask))
        areas.append(None if mask is None else mask.area)
    places = [track.boxes.get(index) for index in video.labelled]
    tail = {
        "bboxes": [None if box is None else xywh(box) for box in places],
        "areas": areas,
        "track_id": track.number,
        "attributes": {"region_id": item.id},
    }
    yield "], " + json.dumps(tail, ensure_ascii=False).removeprefix("{")


def _run_lengths(mask: Mask) -> Entry:
    """COCO's uncompressed encoding: down the columns, how many pixels are outside, inside, outside and so on."""
    pixels = mask.array().ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff(changes, prepend=0, append=pixels.size).tolist()
    return {"size": list(mask.size), "counts": [0, *lengths] if pixels[0] else lengths}


def _write(path: Path, head: Entry, annotations: Iterable[Iterable[str]]) -> None:
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ', "annotations": [')
            for count, annotation in enumerate(annotations):
                file.write(",\n" if count else "\n")
                file.writelines(annotation)
            file.write("\n]}\n")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error}") from error
