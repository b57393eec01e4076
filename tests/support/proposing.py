"""A segmenter that knows the shapes in a picture, and answers a point with those that it lies in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from backend.segmentation.segmenter import Encoding, Prompting, Segmentation, Segmenter
from backend.tracks import Box, ImageArray, Point
from support.fake_rooms import index_of

SCALE = 4  # pixels of the scaled picture, in which a cell has as many, for one of the picture: one cell for one pixel


@dataclass(frozen=True)
class Shape:
    """A rectangle in pixels of the picture, without ``holes``, and with further ``specks``, rectangles too.

    ``iou`` is what is predicted; of the rectangle the part ``soft`` of its width, on its right, is in doubt.
    """

    box: Box
    iou: float = 0.95
    soft: float = 0.0
    holes: tuple[Box, ...] = ()
    specks: tuple[Box, ...] = ()

    def holds(self, point: Point) -> bool:
        """Whether a point lies in it."""
        return _within(point, self.box) and not any(_within(point, hole) for hole in self.holes)


class ShapeSegmenter:
    """Knows ``shapes(frame)``; ``size`` is the pictures' (height, width). A point has three answers at most.

    ``padded`` encodings are squares, and logits there are high.
    """

    def __init__(
        self, shapes: Callable[[int], Sequence[Shape]], size: tuple[int, int] = (96, 128), *, padded: bool = False
    ) -> None:
        self._shapes = shapes
        self._padded = padded
        self._size = size
        self.asked: list[list[Prompting]] = []
        self.asked_on: list[tuple[int, Point]] = []
        self.encoded: list[int] = []

    def encode(self, image: ImageArray) -> Encoding:
        self.encoded.append(index_of(image))
        return self.encoding(self.encoded[-1])

    def encoding(self, frame: int = 0) -> Encoding:
        """Of a frame, without its picture."""
        scaled = SCALE * self._size[0], SCALE * self._size[1]
        tokens = (max(scaled) // 16,) * 2 if self._padded else (scaled[0] // 16, scaled[1] // 16)
        return Encoding(torch.full((1, 1, *tokens), float(frame)), None, None, self._size, scaled)

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        assert multimask
        frame = int(encoding.embedding[0, 0, 0, 0])
        self.asked.append(list(prompts))
        self.asked_on += [(frame, prompt.points[0]) for prompt in prompts]
        shapes = self._shapes(frame)
        logits = torch.full((len(prompts), 3, *encoding.grid), -5.0)
        rows, columns = encoding.size
        logits[..., rows:, :], logits[..., columns:] = 5.0, 5.0
        iou = torch.zeros(len(prompts), 3)
        for row, prompt in enumerate(prompts):
            (point,) = prompt.points
            for place, shape in enumerate([shape for shape in shapes if shape.holds(point)][:3]):
                self._draw(logits[row, place], shape)
                iou[row, place] = shape.iou
        return Segmentation(logits, iou)

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        return logits[:, : encoding.size[0], : encoding.size[1]]

    @property
    def points(self) -> list[Point]:
        """All that were asked."""
        return [point for _, point in self.asked_on]

    @property
    def frames(self) -> set[int]:
        """The frames on which points were asked."""
        return {frame for frame, _ in self.asked_on}

    @property
    def as_segmenter(self) -> Segmenter:
        return cast(Segmenter, self)

    def _draw(self, logits: Tensor, shape: Shape) -> None:
        x0, y0, x1, y1 = shape.box
        self._fill(logits, shape.box, 0.5)
        self._fill(logits, (x0, y0, x1 - shape.soft * (x1 - x0), y1), 5.0)
        for hole in shape.holes:
            self._fill(logits, hole, -5.0)
        for speck in shape.specks:
            self._fill(logits, speck, 5.0)

    def _fill(self, logits: Tensor, box: Box, value: float) -> None:
        x0, y0, x1, y1 = (round(side) for side in box)
        logits[y0:y1, x0:x1] = value


def _within(point: Point, box: Box) -> bool:
    return box[0] <= point.x < box[2] and box[1] <= point.y < box[3]
