"""A video, a segmenter and a propagator without files or models, which note what they are asked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from backend.propagation.propagator import Encoded, Propagation
from backend.propagation.quality import Quality
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation, Segmenter
from backend.tracks import BoolArray, FloatArray, ImageArray
from backend.video.frames import file_state
from backend.video.reader import VideoReader

WIDTH, HEIGHT = 64, 48


class FakeVideo:
    """Still shots that end at ``cuts``; the first pixels of each frame spell its index."""

    def __init__(self, count: int, cuts: Iterable[int] = (), path: Path = Path(__file__)) -> None:
        self.count = count
        self.cuts = sorted(cuts)
        self.width, self.height = WIDTH, HEIGHT
        self.path = path
        self.fps = 10.0
        self.asked: list[int] = []
        self.fails_at: dict[int, Exception] = {}

    def __len__(self) -> int:
        return self.count

    def frame(self, index: int) -> ImageArray:
        self.asked.append(index)
        if index in self.fails_at:
            raise self.fails_at[index]
        shot = sum(cut <= index for cut in self.cuts)
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        # Shots differ in colours, in their places and in structure.
        image[:] = [(200, 60, 40), (30, 90, 220), (60, 210, 80)][shot % 3]
        image[:: 3 + shot, :: 5 - shot % 3] = 255 - 70 * (shot % 3)
        image[HEIGHT // 2 :] //= 1 + shot % 2 * 2
        image[0, 0] = (index // 256, index % 256, 0)
        return image

    def identity(self) -> tuple[str, int, int]:
        return file_state(self.path)

    @property
    def as_reader(self) -> VideoReader:
        return cast(VideoReader, self)


def index_of(image: ImageArray) -> int:
    """The frame that an image of :class:`FakeVideo` is."""
    return int(image[0, 0, 0]) * 256 + int(image[0, 0, 1])


def encoding_of(image: ImageArray) -> Encoding:
    """A tiny encoding that holds the frame's index."""
    embedding = torch.full((1, 4, 3, 4), float(index_of(image)))
    return Encoding(embedding, None, None, (image.shape[0], image.shape[1]), (48, 64))


class FakeSegmenter:
    """Fills boxes; points get a square around the first; ``blind`` ones get nothing."""

    def __init__(self, *, blind: bool = False) -> None:
        self.encoded: list[int] = []
        self.asked: list[Prompting] = []
        self.blind = blind

    def encode(self, image: ImageArray) -> Encoding:
        self.encoded.append(index_of(image))
        return encoding_of(image)

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        count = 3 if multimask else 1
        self.asked += prompts
        logits = torch.full((len(prompts), count, *encoding.size), -5.0)
        for row, prompt in enumerate(prompts):
            if self.blind:
                continue
            if prompt.box is not None:
                x0, y0, x1, y1 = (round(value) for value in prompt.box)
            else:
                x, y = round(prompt.points[0].x), round(prompt.points[0].y)
                x0, y0, x1, y1 = x - 4, y - 4, x + 4, y + 4
            logits[row, :, max(y0, 0) : y1, max(x0, 0) : x1] = 5.0
        return Segmentation(logits, torch.full((len(prompts), count), 0.9))

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        return logits

    @property
    def as_segmenter(self) -> Segmenter:
        return cast(Segmenter, self)


GOOD = Quality(certainty=0.9, stability=0.9, continuity=0.9, contested=0.0, peak=1.0)
POOR = Quality(certainty=0.4, stability=0.4, continuity=0.9, contested=0.0, peak=0.9)


class FakePropagator:
    """Finds every object's given mask on every frame but the ``absent`` ones.

    Holds its caller to the contract: an object that is wanted was given to this very propagator, and the encoding is
    the frame's. ``log`` has the steps of one propagator and its branches, ``family`` all propagators that were forked
    from one. On ``doubtful`` frames, quality says that the masks are worth little, on the others much.
    """

    def __init__(self, absent: Mapping[str, Collection[int]] | None = None, doubtful: Collection[int] = ()) -> None:
        self.absent = absent or {}
        self.doubtful = doubtful
        self.log: list[tuple[Any, ...]] = []
        self.family = [self]
        self._masks: dict[str, BoolArray] = {}

    def step(
        self,
        frame: int,
        encoding: Encoded,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        assert float(encoding.embedding[0, 0, 0, 0]) == frame
        self._masks.update(given)
        self.log.append(("step", frame, tuple(sorted(given)), tuple(sorted(wanted))))
        found = {}
        for name in wanted:
            mask = self._masks[name] if claims is None else self._masks[name] & (claims < 0.5)
            there = frame not in self.absent.get(name, ())
            found[name] = Propagation(
                mask if there and mask.any() else None, 0.8, POOR if frame in self.doubtful else GOOD
            )
        return found

    @property
    def probabilities(self) -> dict[str, Tensor]:
        return {name: torch.from_numpy(mask).float() for name, mask in self._masks.items()}

    def amend(self, frame: int, encoding: Encoded, masks: Mapping[str, BoolArray]) -> None:
        assert float(encoding.embedding[0, 0, 0, 0]) == frame
        assert masks.keys() <= self._masks.keys()
        self._masks.update(masks)
        self.log.append(("amend", frame, tuple(sorted(masks))))

    def expect(self, encoding: Encoded, regions: Mapping[str, BoolArray]) -> None:
        self._masks = {**regions, **self._masks}
        self.log.append(("expect", tuple(sorted(regions))))

    def lose(self) -> None:
        self.log.append(("lose",))

    def deny(self, names: Collection[str]) -> None:
        assert set(names) <= self._masks.keys()
        self.log.append(("deny", *sorted(names)))

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        self._masks[one], self._masks[other] = self._masks[other], self._masks[one]
        self.log.append(("exchange", one, other))

    def forget(self, names: Collection[str]) -> None:
        for name in names:
            del self._masks[name]

    def fork(self) -> FakePropagator:
        other = FakePropagator(self.absent, self.doubtful)
        other.family = self.family
        self.family.append(other)
        return other

    def branch(self) -> FakePropagator:
        other = FakePropagator(self.absent, self.doubtful)
        other.log, other.family, other._masks = self.log, self.family, dict(self._masks)
        return other

    @property
    def steps(self) -> list[int]:
        """The frames on which something was wanted, in the order they were asked for."""
        return [entry[1] for entry in self.log if entry[0] == "step" and entry[3]]
