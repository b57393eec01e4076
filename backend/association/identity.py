"""Whether something is an object that was seen before, by what it looks like.

Works on embeddings alone, of any embedder; what a similarity means is a matter of the embedder, and its
:class:`Calibration` says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backend.association.similarity import cosine


@dataclass(frozen=True)
class Calibration:
    """What similarities of an embedder mean: the probability is ``1 / (1 + exp(-slope * (similarity - middle)))``.

    Attributes:
        middle: the similarity to a gallery at which the same object and another one are equally probable.
        slope: how fast that changes.
        swap: the same for the difference of two sums of two similarities, by which swaps are told; its middle is 0.
    """

    middle: float
    slope: float
    swap: float


@dataclass(frozen=True, eq=False)
class _View:
    second: float
    embedding: Tensor
    lasting: bool


class Gallery:
    """What one object looked like, at several times of its life.

    Views lie ``apart`` seconds from one another at least. Of more than ``most`` every second one is dropped, and views
    lie twice as far apart from then on: what is remembered covers the object's whole life, not its last moments.

    Args:
        most: views that are kept, beside lasting ones; 2 or more.
        apart: seconds.
        memory: seconds after which a view is forgotten; None: never.
    """

    def __init__(self, most: int = 16, apart: float = 0.2, memory: float | None = None) -> None:
        self._most = most
        self._apart = apart
        self._memory = memory
        self._views: list[_View] = []

    def __len__(self) -> int:
        return len(self._views)

    @property
    def seconds(self) -> list[float]:
        """When the views that are remembered were seen, in order."""
        return [view.second for view in self._views]

    @property
    def views(self) -> Tensor:
        """(V, D), each of length 1, in order of time.

        Raises:
            ValueError: there is none.
        """
        if not self._views:
            raise ValueError("this object was never seen")
        return torch.stack([view.embedding for view in self._views])

    def due(self, second: float) -> bool:
        """Whether a view of this time is far enough from those that are kept, so that :meth:`add` would take it in."""
        return all(abs(view.second - second) >= self._apart for view in self._views)

    def add(self, second: float, embedding: Tensor, *, lasting: bool = False) -> None:
        """Take in what the object looks like at some time, in any order.

        Args:
            second: when.
            embedding: (D,).
            lasting: this is the object for certain, as a human said: the view is kept for good. Another one is taken
                in only if it is far enough in time from all that are kept.
        """
        if not (lasting or self.due(second)):
            return
        view = _View(second, functional.normalize(embedding.float(), dim=0), lasting)
        self._views = sorted([*self._views, view], key=lambda view: view.second)
        if sum(not view.lasting for view in self._views) > self._most:
            self._thin()

    def without(self, one: float, other: float) -> Gallery:
        """Another one, which knows nothing of what was seen between two times, in any order, but for what lasts."""
        first, last = min(one, other), max(one, other)
        rest = Gallery(self._most, self._apart, self._memory)
        rest._views = [view for view in self._views if view.lasting or not first <= view.second <= last]
        return rest

    def forget(self, now: float) -> None:
        """Drop what was seen too long before or after ``now``, in seconds; what lasts stays."""
        if self._memory is not None:
            memory = self._memory
            self._views = [view for view in self._views if view.lasting or abs(view.second - now) <= memory]

    def similarity(self, embeddings: Tensor) -> Tensor:
        """(N, D) -> (N,): how much each is like the view that it is most like, for an object that turns looks like
        some of its views only; from -1 to 1.

        Raises:
            ValueError: the object was never seen.
        """
        return cosine(embeddings, self.views).amax(1)

    def _thin(self) -> None:
        passing = [view for view in self._views if not view.lasting]
        dropped = set(map(id, passing[1::2]))
        self._views = [view for view in self._views if id(view) not in dropped]
        self._apart *= 2


def same(gallery: Gallery, embeddings: Tensor, calibration: Calibration) -> Tensor:
    """(N, D) -> (N,): the probability that each candidate is the object of a gallery, where both are as likely before
    anything is seen.

    Raises:
        ValueError: the object was never seen.
    """
    return torch.sigmoid(calibration.slope * (gallery.similarity(embeddings) - calibration.middle))


def find_again(gallery: Gallery, embeddings: Tensor, calibration: Calibration, least: float = 0.5) -> int | None:
    """Which of (N, D) candidates is the object that vanished; None where no probability is above ``least``."""
    if not len(embeddings):
        return None
    probability = same(gallery, embeddings, calibration)
    best = int(probability.argmax())
    return best if probability[best] > least else None


def swapped(before: Sequence[Gallery], after: Sequence[Gallery], calibration: Calibration) -> float:
    """The probability that two objects have taken each other's place while they touched.

    Args:
        before: what each of the two looked like before; frames on which one hid the other had better be left out.
        after: what is called by each one's name looks like since.
        calibration: the embedder's.

    Raises:
        ValueError: these are not two and two, or one was never seen.
    """
    if len(before) != 2 or len(after) != 2:
        raise ValueError(f"two objects swap, not {len(before)} and {len(after)}")
    alike = [[float(cosine(one.views, other.views).mean()) for other in after] for one in before]
    gain = (alike[0][1] + alike[1][0]) - (alike[0][0] + alike[1][1])
    return 1 / (1 + math.exp(-calibration.swap * gain))
