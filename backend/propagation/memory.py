"""The memory bank: what is kept, what is read, and what is forgotten.

Keys are shared by all objects, values are kept per object. Frames that a human prompted are permanent; of the
propagated ones the last few are kept, and a sparse selection of older ones (Cheng and Schwing, ECCV 2022, call these
working memory).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

Keys = TypeVar("Keys")


@dataclass(eq=False)
class Remembered(Generic[Keys]):
    """One frame in memory. An object without values was not known on it, and is not told anything by it."""

    frame: int
    keys: Keys
    values: dict[str, Tensor]
    permanent: bool


class MemoryBank(Generic[Keys]):
    """Remembered frames of one direction of a track.

    Args:
        recent: the last so many propagated frames are kept; 1 or more.
        every: of older ones those whose index is a multiple of it are kept;
        spaced: of these in turn the last so many; 1 or more.
        nearest: so many permanent frames are read at a time, those nearest to the frame, and each object's nearest
            one in any case; the rest stay in memory.
    """

    def __init__(self, *, recent: int = 3, every: int = 5, spaced: int = 5, nearest: int = 6) -> None:
        self.recent = recent
        self._every = every
        self._spaced = spaced
        self._nearest = nearest
        self._permanent: dict[int, Remembered[Keys]] = {}
        self._working: list[Remembered[Keys]] = []

    def __len__(self) -> int:
        return len(self._permanent) + len(self._working)

    def write(self, frame: int, keys: Keys, values: Mapping[str, Tensor], *, permanent: bool = False) -> None:
        """Remember a frame.

        A permanent frame that is written again takes the new objects beside those it had, whose values stay unless
        they are given anew; it keeps its first keys, so both must be of the same tokens.
        """
        if permanent:
            known = self._permanent.setdefault(frame, Remembered(frame, keys, {}, True))
            known.values.update(values)
            return
        self._working.append(Remembered(frame, keys, dict(values), False))
        older = self._working[: -self.recent]
        kept = [memory for memory in older if memory.frame % self._every == 0][-self._spaced :]
        self._working = kept + self._working[-self.recent :]

    def read(self, frame: int) -> Iterator[Remembered[Keys]]:
        """What is to be read for a frame: permanent frames first, then the propagated ones, oldest first."""
        told: set[str] = set()
        ranked = sorted(self._permanent.values(), key=lambda memory: abs(memory.frame - frame))
        for rank, memory in enumerate(ranked):
            if rank < self._nearest or not memory.values.keys() <= told:
                told |= memory.values.keys()
                yield memory
        yield from self._working

    def forget_object(self, object_id: str) -> None:
        """Drop an object's values everywhere, and the frames that then remember no object."""
        for memory in [*self._permanent.values(), *self._working]:
            memory.values.pop(object_id, None)
        self._permanent = {frame: memory for frame, memory in self._permanent.items() if memory.values}
        self._working = [memory for memory in self._working if memory.values]

    def fork(self) -> MemoryBank[Keys]:
        """A bank with the same permanent frames and rules, and no propagated frame."""
        bank: MemoryBank[Keys] = MemoryBank(
            recent=self.recent, every=self._every, spaced=self._spaced, nearest=self._nearest
        )
        for memory in self._permanent.values():
            bank.write(memory.frame, memory.keys, memory.values, permanent=True)
        return bank

    def branch(self) -> MemoryBank[Keys]:
        """A bank with the same content, to go on by itself."""
        bank = self.fork()
        bank._working = [Remembered(one.frame, one.keys, dict(one.values), False) for one in self._working]
        return bank
