"""YouTube-VIS's layout: every object of a video an annotation, with a mask or null for each of the video's frames.

Masks are run-length encoded with plain counts, as the benchmark's own files have them; its readers take no others for
the ground truth. Source: Yang et al., ICCV 2019, and the files of 2021.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backend.errors import OutputError
from backend.export.coco import Entry, heading, xywh
from backend.export.writing import Clip, Export, Seen, make_directory
from backend.tracks import Mask

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
        found: dict[int, dict[int, Seen]] = {}
        for shot in export.shots(clip, directory / IMAGES, names):
            for seen in shot.seen:
                found.setdefault(seen.number, {})[shot.position] = seen
        videos.append(_video(clip, names))
        tracks += [_Track(before + number, clip, found[number]) for number in sorted(found)]
        before += len(clip.video.objects)
    _write(directory / ANNOTATIONS, {**heading(export), "videos": videos}, (_entry(export, track) for track in tracks))


@dataclass(frozen=True, eq=False)
class _Track:
    """An object's number among those of all videos, its clip, and where it is by position."""

    number: int
    clip: Clip
    seen: dict[int, Seen]


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


def _entry(export: Export, track: _Track) -> Entry:
    width, height = track.clip.video.size
    one = next(iter(track.seen.values()))
    places = [track.seen.get(position) for position in range(len(track.clip.video.labelled))]
    masks = [None if seen is None else seen.mask for seen in places]
    return {
        "id": track.number,
        "video_id": track.clip.number,
        "category_id": export.class_index(one.item) + 1,
        "iscrowd": 0,
        "width": width,
        "height": height,
        "length": len(places),
        "segmentations": [None if mask is None else _run_lengths(mask) for mask in masks],
        "bboxes": [None if seen is None else xywh(seen.inside) for seen in places],
        "areas": [None if mask is None else mask.area for mask in masks],
        "track_id": one.number,
        "attributes": {"region_id": one.item.id},
    }


def _run_lengths(mask: Mask) -> Entry:
    """COCO's uncompressed encoding: down the columns, how many pixels are outside, inside, outside and so on."""
    pixels = mask.array().ravel(order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    lengths = np.diff(changes, prepend=0, append=pixels.size).tolist()
    return {"size": list(mask.size), "counts": [0, *lengths] if pixels[0] else lengths}


def _write(path: Path, head: Entry, annotations: Iterable[Entry]) -> None:
    """Piece by piece: the run lengths of a long video, all at once, are many times what is kept of its masks."""
    try:
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ', "annotations": [')
            for count, annotation in enumerate(annotations):
                file.write((",\n" if count else "\n") + json.dumps(annotation, ensure_ascii=False))
            file.write("\n]}\n")
    except OSError as error:
        raise OutputError(f"cannot write {path.name}: {error}") from error
