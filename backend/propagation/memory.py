"""The memory bank: what is kept, what is read, and what is forgotten.

Keys are shared by all objects, values are kept per object, and an object is told something only by frames on which it
was known. Frames that a human prompted are permanent. Of the propagated ones the last are kept (Cheng and Schwing,
ECCV 2022, call these working memory); what becomes of the older ones, its keeping decides: :class:`Rolling` here,
:class:`~backend.propagation.long_term.Consolidating` beside it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from torch import Tensor

Keys = TypeVar("Keys")


@dataclass(eq=False)
class Remembered(Generic[Keys]):
    """One frame in memory, or the prototypes of several. An object without values was not known on it.

    ``use`` is the attention that each token got in the readings that were counted, None before the first of them.
    """

    frame: int
    keys: Keys
    values: dict[str, Tensor]
    permanent: bool
    use: Tensor | None = None
    readings: int = 0

    def count(self, attention: Tensor) -> None:
        """Count a reading: the attention (N,) that each token got."""
        # A branch shares the tensor: it must stay as it is.
        self.use = attention if self.use is None else self.use + attention
        self.readings += 1


Records = list[Remembered[Keys]]


class Keeping(Protocol[Keys]):
    """The rule by which propagated frames are kept."""

    def settle(self, working: Records[Keys], long_term: Records[Keys]) -> tuple[Records[Keys], Records[Keys]]:
        """What is kept of both, after a frame was added to the first; oldest first."""


@dataclass(frozen=True)
class Rolling(Generic[Keys]):
    """Keep the last frames and a sparse selection of older ones.

    Args:
        recent: the last so many frames are kept; 1 or more.
        every: of older ones those whose index is a multiple of it are kept;
        spaced: of these in turn the last so many; 1 or more.
    """

    recent: int = 3
    every: int = 5
    spaced: int = 5

    def settle(self, working: Records[Keys], long_term: Records[Keys]) -> tuple[Records[Keys], Records[Keys]]:
        """What is kept."""
        older = working[: -self.recent]
        kept = [memory for memory in older if memory.frame % self.every == 0][-self.spaced :]
        return kept + working[-self.recent :], long_term


class MemoryBank(Generic[Keys]):
    """Remembered frames of one direction of a track.

    Args:
        keeping: what is kept of propagated frames.
        nearest: so many permanent frames are read at a time, those nearest to the frame, and each object's nearest
            one in any case; the rest stay in memory.
    """

    def __init__(self, keeping: Keeping[Keys], *, nearest: int = 6) -> None:
        self._keeping = keeping
        self._nearest = nearest
        self._permanent: dict[int, Remembered[Keys]] = {}
        self._working: Records[Keys] = []
        self._long_term: Records[Keys] = []

    def __len__(self) -> int:
        return len(self._permanent) + len(self._working) + len(self._long_term)

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
        self._working, self._long_term = self._keeping.settle(self._working, self._long_term)

    def rewrite(self, frame: int, keys: Keys, values: Mapping[str, Tensor]) -> None:
        """Remember a propagated frame otherwise, or at all.

        Where this frame was the last to be written, its objects get these values; those that have none keep theirs, and
        then both keys must be of the same tokens. Otherwise it is written.
        """
        last = self._working[-1] if self._working else None
        if last is None or last.frame != frame:
            self.write(frame, keys, values)
        else:
            self._working[-1] = Remembered(frame, keys, {**last.values, **values}, False)

    def read(self, frame: int) -> Iterator[Remembered[Keys]]:
        """What is to be read for a frame: permanent frames first, then long-term memory and the propagated ones,
        oldest first.
        """
        told: set[str] = set()
        ranked = sorted(self._permanent.values(), key=lambda memory: abs(memory.frame - frame))
        for rank, memory in enumerate(ranked):
            if rank < self._nearest or not memory.values.keys() <= told:
                told |= memory.values.keys()
                yield memory
        yield from self._long_term
        yield from self._working

    def forget_object(self, object_id: str) -> None:
        """Drop an object's values everywhere, and the frames that then remember no object."""
        for memory in [*self._permanent.values(), *self._long_term, *self._working]:
            memory.values.pop(object_id, None)
        self._permanent = {frame: memory for frame, memory in self._permanent.items() if memory.values}
        self._long_term = [memory for memory in self._long_term if memory.values]
        self._working = [memory for memory in self._working if memory.values]

    def forget_given(self, frame: int, object_id: str) -> None:
        """Drop what a permanent frame holds of an object, as if it had not been given there."""
        if frame in self._permanent:
            self._permanent[frame].values.pop(object_id, None)
            if not self._permanent[frame].values:
                del self._permanent[frame]

    def forget_last(self, frame: int, object_id: str) -> None:
        """Drop what a propagated frame that was written last holds of an object."""
        last = self._working[-1] if self._working else None
        if last is not None and last.frame == frame and last.values.pop(object_id, None) is not None:
            self._working = [memory for memory in self._working if memory.values]

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        """Give each of two objects what propagated frames hold of the other; what was consolidated stays."""
        names = {one: other, other: one}
        for memory in self._working:
            if memory.frame in frames:
                memory.values = {names.get(name, name): value for name, value in memory.values.items()}

    def fork(self) -> MemoryBank[Keys]:
        """A bank with the same permanent frames and rules, and no propagated frame."""
        bank = MemoryBank(self._keeping, nearest=self._nearest)
        bank._permanent = {frame: _copy(memory) for frame, memory in self._permanent.items()}
        return bank

    def branch(self) -> MemoryBank[Keys]:
        """A bank with the same content, to go on by itself."""
        bank = self.fork()
        bank._long_term = [_copy(memory) for memory in self._long_term]
        bank._working = [_copy(memory) for memory in self._working]
        return bank


def known_alike(memories: Sequence[Remembered[Keys]], names: Iterable[str]) -> list[tuple[Records[Keys], list[str]]]:
    """The objects in groups of those that the same frames know, each with these frames.

    A group is read by itself: a frame on which an object was not known must not take attention from those on which
    it was.
    """
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in names:
        groups.setdefault(tuple(i for i, one in enumerate(memories) if name in one.values), []).append(name)
    return [([memories[place] for place in places], members) for places, members in groups.items()]


def _copy(memory: Remembered[Keys]) -> Remembered[Keys]:
    return replace(memory, values=dict(memory.values))
