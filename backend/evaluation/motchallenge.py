"""The MOTChallenge benchmark's layout: boxes of several objects, in rows of numbers.

A sequence is a directory ``SEQ`` with ``img1/000001.jpg`` and so on, ``gt/gt.txt``, perhaps ``det/det.txt``, and
``seqinfo.ini``. In the files frames and pixels count from 1; what is read counts from 0 as everywhere in the backend.

Source: Milan et al., arXiv 1603.00831; Dendorfer et al., IJCV 2021.
"""

from __future__ import annotations

import configparser
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from backend.detections.mot import read_boxes
from backend.detections.mot_rows import read_rows
from backend.errors import DatasetError
from backend.export.results import write_text
from backend.tracks import Box, Detection
from backend.video.images import ImageSequence

TRUTH, DETECTIONS, INFO = "gt/gt.txt", "det/det.txt", "seqinfo.ini"
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}
_TRUTH_ROW = "frame,id,left,top,width,height,flag,class,visibility"
# Rows of the first benchmark, MOT15, end with a place in the world instead of a class and a visibility.
_WORLD = 10


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One object on one frame of the ground truth.

    Attributes:
        frame: from 0.
        id: the object's, stable over the sequence.
        box: ``xyxy`` pixels from 0; may reach beyond the picture.
        counts: False where the row's flag is 0, which asks to leave it out.
        kind: the class's number; None where the row has none.
        visibility: the part of the object that can be seen, 0 to 1; 1 where the row does not say.
    """

    frame: int
    id: int
    box: Box
    counts: bool = True
    kind: int | None = None
    visibility: float = 1.0


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """One object on one frame of a tracker's result: frame and ``xyxy`` pixels from 0, confidence 0 to 1."""

    frame: int
    id: int
    box: Box
    score: float


@dataclass(frozen=True, eq=False)
class MotSequence:
    """A sequence.

    Attributes:
        name: the directory's.
        directory: which holds ``seqinfo.ini``.
        images: the frames that are looked at, in their order.
        length: how many frames there are.
        fps: frames per second.
    """

    name: str
    directory: Path
    images: tuple[Path, ...]
    length: int
    fps: float

    def __len__(self) -> int:
        return len(self.images)

    def beginning(self, count: int) -> MotSequence:
        """The first frames, ``count`` at most."""
        return replace(self, images=self.images[:count])

    def video(self) -> ImageSequence:
        """The frames; raises VideoError where the first cannot be read."""
        return ImageSequence(self.images, fps=self.fps)

    def truth(self) -> list[TruthBox]:
        """The ground truth of these frames; raises DatasetError as :func:`read_truth` does."""
        return [row for row in read_truth(self.directory / TRUTH, self.length) if row.frame < len(self)]

    def detections(self, path: Path | None = None) -> dict[int, list[Detection]]:
        """Detections by frame, from ``det/det.txt`` or another file; raises DatasetError as :func:`read_boxes`."""
        return read_boxes(path or self.directory / DETECTIONS, self.length)


def find_sequences(root: Path, names: Sequence[str] | None = None) -> list[MotSequence]:
    """The sequences under a directory that has ``NAME/seqinfo.ini``, or ``train/NAME/seqinfo.ini`` as the benchmark.

    Args:
        root: the directory.
        names: the sequences; by default all.

    Raises:
        DatasetError: not that layout, or a sequence that is not there or not complete.
    """
    for parent in (root, root / "train"):
        there = {path.parent.name: path.parent for path in sorted(parent.glob(f"*/{INFO}"))}
        if there:
            break
    else:
        raise DatasetError(
            f"{root} is not laid out as MOTChallenge is: it has no SEQUENCE/{INFO}, nor train/SEQUENCE/{INFO}; name "
            "the directory that holds the sequences"
        )
    unknown = [name for name in names or () if name not in there]
    if unknown:
        raise DatasetError(f"{parent} has no sequence {', '.join(unknown)}; it has {', '.join(there)}")
    return [_sequence(there[name]) for name in (dict.fromkeys(names) if names is not None else there)]


def read_truth(path: Path, frames: int) -> tuple[TruthBox, ...]:
    """The rows of a ``gt.txt``: ``frame,id,left,top,width,height,flag,class,visibility``.

    Rows may end after the flag. Those of ten numbers are MOT15's, which has no classes.

    Args:
        path: the file.
        frames: how many the sequence has.

    Raises:
        DatasetError: the file cannot be read, or a row (named by its line) is not such a row.
    """
    found: dict[tuple[int, int], TruthBox] = {}
    for row in read_rows(path, _TRUTH_ROW, least=7, frames=frames):
        name = row.whole(1, "the id")
        if (row.frame, name) in found:
            raise row.wrong(f"object {name} is on frame {row.frame + 1} a second time")
        kind = row.whole(7, "the class") if 7 < len(row) < _WORLD else -1
        visibility = row.number(8) if 8 < len(row) < _WORLD else -1.0
        found[row.frame, name] = TruthBox(
            row.frame,
            name,
            row.box(),
            counts=row.number(6) != 0,
            kind=kind if kind >= 0 else None,
            visibility=visibility if visibility >= 0 else 1.0,
        )
    return tuple(found.values())


def write_tracks(path: Path, boxes: Iterable[TrackedBox]) -> None:
    """Write a tracker's result as the benchmark takes it: ``frame,id,left,top,width,height,score,-1,-1,-1``.

    Raises:
        OutputError: the file cannot be written.
    """
    lines = [
        f"{one.frame + 1},{one.id},{_pixels(one.box[0] + 1)},{_pixels(one.box[1] + 1)},"
        f"{_pixels(one.box[2] - one.box[0])},{_pixels(one.box[3] - one.box[1])},{one.score:.4f},-1,-1,-1\n"
        for one in sorted(boxes, key=lambda one: (one.frame, one.id))
    ]
    write_text(path, "".join(lines))


def _pixels(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _sequence(directory: Path) -> MotSequence:
    path = directory / INFO
    parser = configparser.ConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        info = parser["Sequence"]
        length, fps = int(info["seqLength"]), float(info["frameRate"])
        images = directory / info.get("imDir", "img1")
    except (OSError, UnicodeDecodeError, configparser.Error, KeyError, ValueError) as error:
        raise DatasetError(
            f"{path} cannot be used ({' '.join(str(error).split())}); it needs a section [Sequence] with seqLength "
            "and frameRate"
        ) from error
    if length < 1 or not 0 < fps < math.inf:
        raise DatasetError(f"{path}: seqLength is {length}, frameRate is {fps:g}; both must be above 0")
    if not images.is_dir():
        raise DatasetError(f"{images} is not there; {path} says that the images are in it")
    files = {path.stem: path for path in images.iterdir() if path.suffix.lower() in _SUFFIXES}
    numbered = {int(stem): path for stem, path in files.items() if stem.isdecimal()}
    missing = [number for number in range(1, length + 1) if number not in numbered]
    if missing:
        raise DatasetError(
            f"{images}: image {missing[0]} is not there; {path} says that there are {length}, numbered from 1"
        )
    return MotSequence(
        directory.name, directory, tuple(numbered[number] for number in range(1, length + 1)), length, fps
    )
