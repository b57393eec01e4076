"""Tiny datasets in DAVIS's layout, and a tracker that answers as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.tracks import BoolArray, FrameResult, ImageArray, Mask, Observation, Prompt
from backend.video.frames import Frames

Numbers = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 40, 30


def numbers(*boxes: tuple[int, int, int, int, int]) -> Numbers:
    """``uint8 (30, 40)``: each (number, x0, y0, x1, y1) fills its box, the last pixels exclusive."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, x0, y0, x1, y1 in boxes:
        drawn[y0:y1, x0:x1] = number
    return drawn


def write_sequence(
    root: Path,
    name: str,
    truths: Sequence[Numbers],
    *,
    images: Sequence[ImageArray] | None = None,
    resolution: str = "480p",
    indexed: bool = True,
) -> None:
    """Add a sequence; the truths are numbers of objects, or grey values without ``indexed``."""
    shown = images or [np.repeat(truth[..., None] * 50 + 20, 3, axis=2).astype(np.uint8) for truth in truths]
    pictures, annotations = (root / kind / resolution / name for kind in ("JPEGImages", "Annotations"))
    for directory in (pictures, annotations):
        directory.mkdir(parents=True)
    for frame, (image, truth) in enumerate(zip(shown, truths, strict=True)):
        Image.fromarray(image).save(pictures / f"{frame:05d}.jpg", quality=95)
        annotation = Image.fromarray(truth)
        if indexed:
            annotation.putpalette([channel for grey in range(256) for channel in (grey, 255 - grey, 128)])
        annotation.save(annotations / f"{frame:05d}.png")


@dataclass
class ScriptedTracker:
    """Finds what it is told.

    Attributes:
        found: the mask of an object on a frame of the directory's name, and its score; None where it is absent.
        looks: what it makes of prompts on the prompted frame alone, one after another.
        order: in which it answers, if not in the frames' own.
        asked: prompts of each call for a whole video.
        looked: prompts of each look.
    """

    found: Callable[[str, str, int], tuple[BoolArray | None, float]]
    looks: Iterable[BoolArray | None] = ()
    order: Sequence[int] = ()
    asked: list[list[Prompt]] = field(default_factory=list)
    looked: list[Prompt] = field(default_factory=list)

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: str = "both",
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        assert direction == "forward"
        for prompt in prompts:
            prompt.validate(video.width, video.height)
        if span is not None:
            assert span == (0, 0)
            return self._look(prompts)
        self.asked.append(list(prompts))
        return self._follow(video, [prompt.object_id for prompt in prompts], cancelled)

    def _look(self, prompts: Sequence[Prompt]) -> Iterator[FrameResult]:
        (prompt,) = prompts
        self.looked.append(prompt)
        self.looks = iter(self.looks)
        yield FrameResult(0, (_observed(prompt.object_id, 0, next(self.looks), 0.9),))

    def _follow(self, video: Frames, ids: list[str], cancelled: Callable[[], bool]) -> Iterator[FrameResult]:
        for frame in self.order or range(len(video)):
            if cancelled():
                return
            video.frame(frame)
            yield FrameResult(
                frame, tuple(_observed(name, frame, *self.found(video.path.name, name, frame)) for name in ids)
            )


def _observed(name: str, frame: int, mask: BoolArray | None, score: float) -> Observation:
    return Observation(name, frame, None if mask is None else Mask.from_array(mask), score, human=frame == 0)
