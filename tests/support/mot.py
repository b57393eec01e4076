"""Small datasets in MOTChallenge's layout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from backend.tracks import Box, ImageArray


def write_sequence(
    root: Path, name: str, images: Sequence[ImageArray], truth: str, detections: str | None = None, *, fps: float = 10
) -> Path:
    """Add a sequence with lossless images; returns its directory."""
    directory = root / name
    for part in ("img1", "gt"):
        (directory / part).mkdir(parents=True)
    for number, image in enumerate(images, start=1):
        Image.fromarray(image).save(directory / "img1" / f"{number:06d}.png")
    height, width = images[0].shape[:2]
    info = f"imDir=img1\nframeRate={fps}\nseqLength={len(images)}\nimWidth={width}\nimHeight={height}\nimExt=.png\n"
    (directory / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\n{info}")
    (directory / "gt" / "gt.txt").write_text(truth)
    if detections is not None:
        (directory / "det").mkdir()
        (directory / "det" / "det.txt").write_text(detections)
    return directory


def truth_rows(name: int, boxes: Iterable[tuple[int, Box]], rest: str = "1,1,1") -> str:
    """Lines of a ``gt.txt``: one object's boxes, in pixels from 0, by frame from 0; ``rest`` ends each."""
    return "".join(f"{frame + 1},{name},{_place(box)},{rest}\n" for frame, box in boxes)


def detection_rows(boxes: Iterable[tuple[int, Box]], score: float = 0.9) -> str:
    """Lines of a ``det.txt``."""
    return "".join(f"{frame + 1},-1,{_place(box)},{score}\n" for frame, box in boxes)


def _place(box: Box) -> str:
    return f"{box[0] + 1:g},{box[1] + 1:g},{box[2] - box[0]:g},{box[3] - box[1]:g}"
