"""The DAVIS benchmark's layout: 2016 with one object a sequence, 2017 with several in indexed PNGs.

Source: Perazzi et al., CVPR 2016; Pont-Tuset et al., arXiv 1704.00675.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.errors import DatasetError
from backend.tracks import BoolArray
from backend.video.images import ImageSequence

IMAGES, ANNOTATIONS, RESOLUTIONS = "JPEGImages", "Annotations", ("480p", "Full-Resolution")
_SUFFIXES = {".jpg", ".jpeg", ".png"}
_VOID = 255  # marks pixels that count for nothing, in 2017's layout only


@dataclass(frozen=True, eq=False)
class DavisSequence:
    """A sequence with its ground truth.

    Attributes:
        name: the directory's.
        images: the frames, in their order.
        annotations: the ground truth of each frame, in the same order. A grey image has one object, where it is bright;
            the numbers of an indexed one are objects, but for 0 and 255.
    """

    name: str
    images: tuple[Path, ...]
    annotations: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.images)

    def video(self) -> ImageSequence:
        """The frames; raises VideoError where the first cannot be read."""
        return ImageSequence(self.images)

    def beginning(self, count: int) -> DavisSequence:
        """The first frames, ``count`` at most."""
        return DavisSequence(self.name, self.images[:count], self.annotations[:count])

    @cached_property
    def objects(self) -> tuple[str, ...]:
        """The objects' numbers: those that the first frame shows, as the semi-supervised task has it."""
        return tuple(str(number) for number in np.unique(self._numbers(0)) if number)

    def truth(self, index: int) -> dict[str, BoolArray]:
        """Each object's mask ``bool (H, W)`` on a frame, empty where the object does not show.

        Raises:
            DatasetError: the annotation cannot be read.
        """
        numbers = self._numbers(index)
        return {name: numbers == int(name) for name in self.objects}

    def _numbers(self, index: int) -> npt.NDArray[np.uint8]:
        """``uint8 (H, W)``: 0 the background, other numbers the objects."""
        path = self.annotations[index]
        try:
            with Image.open(path) as image:
                indexed = image.mode == "P"
                numbers = np.array(image if indexed else image.convert("L"))
        # Pillow has a SyntaxError for a PNG whose chunks are damaged.
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DatasetError(f"{path} cannot be read as an annotation ({error})") from error
        if indexed:
            return np.where(numbers == _VOID, 0, numbers).astype(np.uint8)
        return (numbers > 127).astype(np.uint8)  # 2016's masks: 0 or 255


def find_sequences(root: Path, *, names: Sequence[str] | None = None, split: Path | None = None) -> list[DavisSequence]:
    """The sequences under a directory that has ``JPEGImages/480p/NAME`` and ``Annotations/480p/NAME``.

    Args:
        root: the benchmark's directory. ``Full-Resolution`` instead of ``480p``, and neither, will do too.
        names: the sequences; by default all.
        split: a file with a sequence's name in each line, as the benchmark's ``ImageSets`` has them. The lines of the
            2016 benchmark, which name an image and an annotation each, are understood as well.

    Raises:
        DatasetError: not that layout, a sequence that is not there, or frames and annotations that do not match.
    """
    images, annotations = _directories(root)
    there = {path.name: path for path in _visible(images) if path.is_dir()}
    wanted = list(names or ()) + (_read_split(split) if split is not None else [])
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise DatasetError(f"{images} has no sequence {', '.join(unknown)}; it has {', '.join(there) or 'none'}")
    chosen = list(dict.fromkeys(wanted)) if names is not None or split is not None else list(there)
    if not chosen:
        raise DatasetError(f"there is no sequence to evaluate in {images}")
    return [_sequence(name, there[name], annotations / name) for name in chosen]


def _directories(root: Path) -> tuple[Path, Path]:
    resolutions = [resolution for resolution in RESOLUTIONS if (root / IMAGES / resolution).is_dir()]
    for resolution in resolutions or [""]:
        images, annotations = root / IMAGES / resolution, root / ANNOTATIONS / resolution
        if images.is_dir() and annotations.is_dir():
            return images, annotations
    raise DatasetError(
        f"{root} is not laid out as DAVIS is: it has no {IMAGES}/480p beside {ANNOTATIONS}/480p; name the directory "
        "that holds both"
    )


def _read_split(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"--split {path}: cannot be read ({error})") from error
    found = [line.split()[0] for line in lines if line.strip()]
    return list(dict.fromkeys(Path(entry).parent.name if "/" in entry else entry for entry in found))


def _sequence(name: str, images: Path, annotations: Path) -> DavisSequence:
    frames = [path for path in _visible(images) if path.suffix.lower() in _SUFFIXES]
    if not frames:
        raise DatasetError(f"{images} has no images")
    truths = [annotations / f"{path.stem}.png" for path in frames]
    there = {path for path in _visible(annotations) if path.suffix == ".png"} if annotations.is_dir() else set()
    missing = [path for path in truths if path not in there]
    if missing:
        raise DatasetError(f"{missing[0]} is not there: {len(missing)} of {len(frames)} frames have no annotation")
    spare = sorted(there.difference(truths))
    if spare:
        raise DatasetError(f"{spare[0]} has no image in {images}: {len(spare)} of {len(there)} annotations have none")
    return DavisSequence(name, tuple(frames), tuple(truths))


def _visible(directory: Path) -> list[Path]:
    """What lies in a directory, sorted, without what some systems hide there."""
    return sorted(path for path in directory.iterdir() if not path.name.startswith("."))
