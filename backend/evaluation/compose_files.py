"""Made-up scenes as files: in DAVIS's layout with masks, and in MOTChallenge's with boxes and detections."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from backend.errors import OutputError
from backend.evaluation.compose import Record, Shot, shots
from backend.evaluation.davis import ANNOTATIONS, IMAGES, RESOLUTIONS
from backend.evaluation.motchallenge import DETECTIONS, INFO, TRUTH
from backend.evaluation.scenes import Scene
from backend.export.masks import save_indexed
from backend.export.results import write_text
from backend.tracks import Box, Mask

FPS = 24  # DAVIS's
_QUALITY = 95
_SCORE = 0.9
# A gap begins in this part of the time in which it can.
_GAPS = (0.2, 0.8)


@dataclass(frozen=True)
class Detecting:
    """How the made-up detector looks.

    Attributes:
        every: it looks at every so many-th frame.
        drop: the part of the objects there that it misses.
        jitter: how far a side of its box is off, as a part of the box's width or height: a normal deviation.
        least: the part of an object that must show.
        gap: for so many seconds it misses each object altogether, once.
        seed: another one misses others.
    """

    every: int = 5
    drop: float = 0.2
    jitter: float = 0.03
    least: float = 0.3
    gap: float = 0.0
    seed: int = 0

    def gaps(self, scene: Scene) -> dict[int, range]:
        """The frames on which each object is missed, by number; neither at a scene's beginning nor at its end."""
        frames = len(scene.host)
        long = min(round(self.gap * FPS), frames)
        random = np.random.default_rng([self.seed, frames, *scene.name.encode()])
        starts = {number: round(random.uniform(*_GAPS) * (frames - long)) for number in sorted(scene.front_to_back)}
        return {number: range(start, start + long) for number, start in starts.items()}


@dataclass(eq=False)
class _Boxes:
    """Rows of the two files of boxes."""

    detecting: Detecting
    gaps: dict[int, range]
    random: np.random.Generator
    truth: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    def add(self, frame: int, shot: Shot) -> None:
        height, width = shot.numbers.shape
        looks = frame % self.detecting.every == 0
        for number in sorted(shot.whole):
            box = Mask.from_array(shot.visible(number)).solid_box
            visibility = shot.visibility(number)
            if box is None:
                continue
            self.truth.append(f"{frame + 1},{number},{_place(box)},1,1,{visibility:.3f}\n")
            seen = looks and visibility >= self.detecting.least and frame not in self.gaps[number]
            if seen and self.random.random() >= self.detecting.drop:
                self.found.append(f"{frame + 1},-1,{_place(self._off(box, width, height))},{_SCORE}\n")

    def _off(self, box: Box, width: int, height: int) -> Box:
        """A box as a detector has it, within the picture and never without size."""
        sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
        # Off by half its size at most, so that the sides keep their order.
        off = np.clip(self.random.normal(0, self.detecting.jitter, 4), -0.4, 0.4) * sides
        x0, y0, x1, y1 = np.clip(np.array(box) + off, 0, (width, height) * 2).tolist()
        return (x0, y0, x1, y1)


def write_scene(
    scene: Scene, davis: Path, mot: Path, detecting: Detecting, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Write a scene in both layouts.

    Args:
        scene: what to write.
        davis: gets ``JPEGImages/480p/NAME`` and ``Annotations/480p/NAME``, whatever the size.
        mot: gets ``NAME``.
        detecting: how ``det/det.txt`` comes about.
        advance: called for each frame.

    Returns:
        what happens in it, see :meth:`backend.evaluation.compose.Record.summary`.

    Raises:
        OutputError: a file cannot be written.
        DatasetError: an annotation cannot be read.
        VideoError: an image cannot be read.
    """
    images, annotations = (davis / kind / RESOLUTIONS[0] / scene.name for kind in (IMAGES, ANNOTATIONS))
    directory = mot / scene.name
    pictures = directory / "img1"
    record = Record(scene)
    boxes = _Boxes(detecting, detecting.gaps(scene), np.random.default_rng([detecting.seed, *scene.name.encode()]))
    try:
        for made in (images, annotations, pictures, (directory / TRUTH).parent, (directory / DETECTIONS).parent):
            made.mkdir(parents=True, exist_ok=True)
        for frame, shot in enumerate(shots(scene)):
            image = images / f"{frame:05d}.jpg"
            Image.fromarray(shot.image).save(image, quality=_QUALITY)
            shutil.copyfile(image, pictures / f"{frame + 1:06d}.jpg")
            save_indexed(annotations / f"{frame:05d}.png", shot.numbers)
            boxes.add(frame, shot)
            record.add(shot)
            advance()
    except OSError as error:
        raise OutputError(f"cannot write the scene {scene.name}: {error}") from error
    width, height = scene.host.picture
    write_text(
        directory / INFO,
        f"[Sequence]\nname={scene.name}\nimDir=img1\nframeRate={FPS}\nseqLength={len(scene.host)}\n"
        f"imWidth={width}\nimHeight={height}\nimExt=.jpg\n",
    )
    write_text(directory / TRUTH, "".join(boxes.truth))
    write_text(directory / DETECTIONS, "".join(boxes.found))
    return record.summary()


def _place(box: Box) -> str:
    return f"{box[0] + 1:.2f},{box[1] + 1:.2f},{box[2] - box[0]:.2f},{box[3] - box[1]:.2f}"
