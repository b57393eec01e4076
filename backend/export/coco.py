"""COCO's instances: every labelled frame an image, every object on it an annotation.

A mask is run-length encoded with compressed counts, as pycocotools writes it, ``iscrowd`` 0. Where an object has only
a box its ``segmentation`` is an empty list: pycocotools draws and evaluates the box, and has no mask to decode. Boxes
end at the picture's border. Source: Lin et al., ECCV 2014, and the data format on COCO's site.
"""

from __future__ import annotations

import json

from backend import __version__
from backend.export.results import write_text
from backend.export.writing import Clip, Export, Seen, Shot
from backend.tracks import Box

IMAGES, ANNOTATIONS = "images", "annotations.json"
FILES = (IMAGES, ANNOTATIONS)

Entry = dict[str, object]


def write(export: Export) -> None:
    """Write ``images/NAME/000000.jpg``, named by the decode index, and ``annotations.json``.

    Beside what COCO has, an image says its ``video`` and its ``frame_index`` there, and an annotation its ``track_id``
    (the object's number in its video) and, in ``attributes``, the object's id.
    """
    images: list[Entry] = []
    annotations: list[Entry] = []
    for clip in export.clips:
        names = [f"{clip.name}/{index:06d}{export.suffix}" for index in clip.video.labelled]
        for shot in export.shots(clip, export.directory / IMAGES, names):
            images.append(_image(len(images) + 1, clip, shot, names[shot.position]))
            for seen in shot.seen:
                annotations.append(_annotation(len(annotations) + 1, len(images), export.class_index(seen.item), seen))
    content = {**heading(export), "images": images, "annotations": annotations}
    write_text(export.directory / ANNOTATIONS, json.dumps(content, ensure_ascii=False) + "\n")


def heading(export: Export) -> Entry:
    """What every file of COCO's kind begins with; categories count from 1."""
    return {
        "info": {"description": "Labelled videos", "version": f"keytrack {__version__}"},
        "licenses": [],
        "categories": [
            {"id": number, "name": label, "supercategory": ""} for number, label in enumerate(export.classes, start=1)
        ],
    }


def xywh(box: Box) -> list[float]:
    """COCO's box: left, top, width, height, in pixels rounded to a thousandth."""
    x0, y0, x1, y1 = box
    return [round(value, 3) for value in (x0, y0, x1 - x0, y1 - y0)]


def _image(number: int, clip: Clip, shot: Shot, name: str) -> Entry:
    width, height = clip.video.size
    return {
        "id": number,
        "file_name": name,
        "width": width,
        "height": height,
        "video": clip.video.name,
        "frame_index": shot.index,
    }


def _annotation(number: int, image: int, category: int, seen: Seen) -> Entry:
    box = xywh(seen.inside)
    mask = seen.mask
    return {
        "id": number,
        "image_id": image,
        "category_id": category + 1,
        "bbox": box,
        "area": round(box[2] * box[3], 3) if mask is None else mask.area,
        "segmentation": [] if mask is None else {"size": list(mask.size), "counts": mask.counts.decode("ascii")},
        "iscrowd": 0,
        "track_id": seen.number,
        "attributes": {"region_id": seen.item.id},
    }
