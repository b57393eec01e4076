"""MOTChallenge's layout: a directory a video, with a row of ``gt/gt.txt`` for each box.

Frames, objects and pixels count from 1 there, so that ``left`` and ``top`` are one more than the backend's; width and
height are the same. Boxes reach beyond the picture where they were drawn so, as the benchmark's do. A sequence has no
gaps: its frames are the labelled ones, numbered anew, and ``frames.csv`` says which they were.

Source: Milan et al., arXiv 1603.00831.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from backend.export.writing import Clip, Export, Seen, write_rows

LABELS, SEQUENCES = "labels.txt", "seqmap.txt"
FILES = (LABELS, SEQUENCES)
TRUTH, INFO, FRAMES, IMAGES = "gt/gt.txt", "seqinfo.ini", "frames.csv", "img1"
# Evaluation is of class 1 alone.
BENCHMARK = {"pedestrian": 1, "person": 1}


def write(export: Export) -> None:
    """Write ``NAME/gt/gt.txt``, ``NAME/seqinfo.ini``, ``NAME/frames.csv``, ``NAME/img1/000001.jpg``, ``labels.txt``
    with the class of number n in line n, and ``seqmap.txt`` with the sequences, as TrackEval reads them.

    The confidence is 1, and so is the visibility, of which nothing is known.
    """
    numbers = class_numbers(export.classes, BENCHMARK)
    for clip in export.clips:
        rows = []
        for shot in export.shots(clip, export.directory / clip.name / IMAGES, picture_names(export, clip)):
            rows += [_row(shot.position + 1, seen, numbers[export.class_index(seen.item)]) for seen in shot.seen]
        write_rows(export.directory / clip.name / TRUTH, rows)
        write_sequence(export, clip)
    write_lists(export, numbers)


def picture_names(export: Export, clip: Clip) -> list[str]:
    """``000001.jpg`` and so on."""
    return [f"{number:06d}{export.suffix}" for number in range(1, len(clip.video.labelled) + 1)]


def write_sequence(export: Export, clip: Clip) -> None:
    """Write ``seqinfo.ini``, and ``frames.csv`` with the decode index, from 0, of each of the sequence's frames.

    The frame rate is the mean one of the labelled frames, in whole numbers as some readers take no others.
    """
    video = clip.video
    frames = list(video.labelled)
    rate = video.fps * (len(frames) - 1) / (frames[-1] - frames[0]) if len(frames) > 1 else video.fps
    info = (
        "[Sequence]",
        f"name={clip.name}",
        f"imDir={IMAGES}",
        f"frameRate={max(round(rate), 1)}",
        f"seqLength={len(frames)}",
        f"imWidth={video.size[0]}",
        f"imHeight={video.size[1]}",
        f"imExt={export.suffix}",
    )
    directory = export.directory / clip.name
    write_rows(directory / INFO, info)
    write_rows(directory / FRAMES, ["frame,index", *(f"{n},{index}" for n, index in enumerate(frames, start=1))])


def class_numbers(
    classes: Sequence[str], benchmark: Mapping[str, int], reserved: Collection[int] = ()
) -> tuple[int, ...]:
    """Each class's number: the benchmark's where the name is one of its own, whatever its capitals; the others get
    what is free from 1, in their order, but for ``reserved`` numbers."""
    taken: dict[int, int] = {}
    for index, name in enumerate(classes):
        number = benchmark.get(name.casefold())
        if number is not None:
            taken.setdefault(number, index)
    found = {index: number for number, index in taken.items()}
    number = 0
    for index in range(len(classes)):
        if index in found:
            continue
        number += 1
        while number in taken or number in reserved:
            number += 1
        found[index] = number
    return tuple(found[index] for index in range(len(classes)))


def write_lists(export: Export, numbers: Sequence[int], others: Mapping[int, str] | None = None) -> None:
    """Write ``labels.txt``, where line n has the name of class n, and ``seqmap.txt``.

    Args:
        export: one run.
        numbers: the classes', in their order.
        others: the names of lower numbers that no class has.
    """
    names = {**(others or {}), **dict(zip(numbers, export.classes, strict=True))}
    lines = (" ".join(names[number].split()) for number in range(1, max(numbers) + 1))
    write_rows(export.directory / LABELS, lines)
    write_rows(export.directory / SEQUENCES, ["name", *(clip.name for clip in export.clips)])


def _row(frame: int, seen: Seen, kind: int) -> str:
    x0, y0, x1, y1 = seen.box
    place = ",".join(_decimal(value) for value in (x0 + 1, y0 + 1, x1 - x0, y1 - y0))
    return f"{frame},{seen.number},{place},1,{kind},1"


def _decimal(value: float) -> str:
    """To a thousandth, without zeros that say nothing."""
    return f"{round(value, 3) + 0.0:.3f}".rstrip("0").rstrip(".")
