"""DAVIS's layout of 2017: JPEG pictures, and indexed PNGs whose pixels are the objects' numbers.

Where objects overlap, the lowest number has the pixel. Source: Pont-Tuset et al., arXiv 1704.00675.
"""

from __future__ import annotations

import numpy as np

from backend.errors import OutputError
from backend.export.masks import save_indexed
from backend.export.writing import Export, make_directory, write_rows

IMAGES, ANNOTATIONS, SETS, RESOLUTION = "JPEGImages", "Annotations", "ImageSets", "480p"
SPLIT = "2017/train.txt"
FILES = (IMAGES, ANNOTATIONS, SETS)
MOST_OBJECTS = 254  # 255 marks pixels that count for nothing


def write(export: Export) -> None:
    """Write ``JPEGImages/480p/NAME/00000.jpg`` and ``Annotations/480p/NAME/00000.png``, named by the decode index, and
    ``ImageSets/2017/train.txt``. The directories are called 480p whatever the size; nothing is scaled.

    Raises:
        OutputError: a video with more objects than there are numbers.
    """
    for clip in export.clips:
        if len(clip.video.objects) > MOST_OBJECTS:
            raise OutputError(
                f"DAVIS holds {MOST_OBJECTS} objects a video, and {clip.video.name!r} has {len(clip.video.objects)}; "
                "export them in parts, or as mots"
            )
    for clip in export.clips:
        images = export.directory / IMAGES / RESOLUTION / clip.name
        annotations = make_directory(export.directory / ANNOTATIONS / RESOLUTION / clip.name)
        for shot in export.shots(clip, images, [f"{index:05d}{export.suffix}" for index in clip.video.labelled]):
            flat = shot.numbers(clip.video.size)
            export.hidden(sum(not (flat == seen.number).any() for seen in shot.seen))
            path = annotations / f"{shot.index:05d}.png"
            try:
                save_indexed(path, flat.astype(np.uint8))
            except OSError as error:
                raise OutputError(f"cannot write {path.name} ({error})") from error
    write_rows(export.directory / SETS / SPLIT, (clip.name for clip in export.clips))
