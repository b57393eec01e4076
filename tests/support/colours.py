"""Squares of three colours on grey, and an embedder to which they look like their colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from backend.tracks import BoolArray, ImageArray

SIZE = (40, 120)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = {"a": RED, "b": GREEN, "c": BLUE}
Places = Mapping[str, int | None]  # where squares begin, from the left; None: not to be seen


class Colours:
    """An embedder."""

    dimensions = 3

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, encoding: ImageArray, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        assert masks is not None
        self.asked += len(masks)
        found = [encoding[mask].mean(0) + 1 for mask in masks if mask is not None]
        return torch.tensor(np.array(found), dtype=torch.float32)


def square(left: int) -> BoolArray:
    mask = np.zeros(SIZE, bool)
    mask[10:20, left : left + 10] = True
    return mask


def picture(places: Places, colours: Mapping[str, tuple[int, int, int]] = COLOURS) -> ImageArray:
    image = np.full((*SIZE, 3), 90, np.uint8)
    for name, left in places.items():
        if left is not None:
            image[square(left)] = colours[name]
    return image
