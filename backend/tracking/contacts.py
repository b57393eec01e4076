"""Two objects that met, until it is known which of them is which."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from backend.association.identity import Gallery
from backend.tracks import Box, Observation

Pair = tuple[str, str]

Swapped = Callable[[Mapping[str, Gallery]], float]
"""What objects look like now, by the names they are told under -> the probability that they are each other's."""


@dataclass(frozen=True)
class ContactRules:
    """When two objects touch, and what is enough to say who is who.

    Attributes:
        near: objects touch where the gap between their boxes is less than this part of the smaller one's side.
        sure: the least score of a mask whose looks count: one that goes on as somebody else is less sure of itself.
        swap: the probability from which two objects that have parted are taken to have been exchanged, and below one
            minus which they are taken not to have been.
        views: so many looks of either are taken at most before that is settled,
        apart: so many seconds apart.
        close: the same as ``swap``, of two that still touch: what hides a part of an object changes its looks. A single
            one is enough to say that they have not been exchanged,
        looks: and so many together that they have,
        every: so many seconds apart.
        whole: they count where the masks cover at least this part of what the objects covered when they were seen alone
            last, and these no less of the masks.
        patience: seconds after which nothing is settled any more.
    """

    near: float = 0.1
    sure: float = 0.4
    swap: float = 0.9
    views: int = 3
    apart: float = 0.12
    close: float = 0.98
    looks: int = 3
    every: float = 0.2
    whole: float = 0.3
    patience: float = 10.0


@dataclass(frozen=True)
class Verdict:
    """What looks say of two objects that met.

    Attributes:
        probability: that they have taken each other's place,
        since: on this frame.
    """

    probability: float
    since: int


@dataclass(frozen=True, eq=False)
class _Look:
    frame: int
    second: float
    views: Mapping[str, Tensor]


class Contact:
    """Two objects that met: how close they were, what was found of them since, and what they look like now.

    Args:
        rules: when that is enough to say who is who.
    """

    def __init__(self, rules: ContactRules) -> None:
        self._rules = rules
        self._closeness: dict[int, float] = {}
        self._told: dict[int, Mapping[str, Observation]] = {}
        self._after: dict[str, Gallery] = {}
        self._during: deque[_Look] = deque(maxlen=rules.looks)
        self._looked: float | None = None

    @property
    def after(self) -> Mapping[str, Gallery]:
        """What they look like since they parted, by name, as far as that was seen."""
        return self._after

    def touch(self, frame: int, closeness: float) -> None:
        """They are near one another on this frame; the closer, the greater the number."""
        self._after = {}
        self._closeness[frame] = closeness

    def tell(self, frame: int, found: Mapping[str, Observation]) -> None:
        """What was found of them on this frame, the next one in the order of the pass."""
        self._told[frame] = found

    def told(self, since: int) -> list[tuple[int, Mapping[str, Observation]]]:
        """What was found of them from a frame on, frame by frame."""
        frames = list(self._told)
        return [(frame, self._told[frame]) for frame in frames[frames.index(since) :]]

    def crossing(self, by: int | None = None) -> int:
        """The frame on which they were closest, by default of all: there they would have taken each other's place."""
        frames = list(self._told)
        seen = frames if by is None else frames[: frames.index(by) + 1]
        touched = [frame for frame in seen if frame in self._closeness]
        return max(reversed(touched), key=self._closeness.__getitem__) if touched else seen[0]

    def due(self, name: str, second: float) -> bool:
        """Whether another look at one of them is needed that is apart from all others."""
        seen = self._after.get(name)
        return seen is None or (len(seen) < self._rules.views and seen.due(second))

    def look(self, name: str, second: float, view: Tensor) -> None:
        """What one of them looks like since they parted."""
        self._after.setdefault(name, Gallery(apart=self._rules.apart)).add(second, view)

    def due_close(self, second: float) -> bool:
        """Whether it is time for a look at both while they touch."""
        # Rounding must not make it a frame later.
        return self._looked is None or abs(second - self._looked) >= self._rules.every - 1e-6

    def look_close(self, frame: int, second: float, views: Mapping[str, Tensor]) -> None:
        """What both look like while they touch, by name."""
        self._during.append(_Look(frame, second, views))
        self._looked = second

    def judge(self, frame: int, swapped: Swapped) -> Verdict | None:
        """What can be said on a frame of which it was told; None where more looks are needed."""
        rules = self._rules
        present = [name for name, one in self._told[frame].items() if one.present]
        if present and all(name in self._after for name in present):
            probability = swapped({name: self._after[name] for name in present})
            undecided = 1 - rules.swap < probability < rules.swap
            if undecided and any(len(self._after[name]) < rules.views for name in present):
                return None
            return Verdict(probability, self.crossing())
        return self._judge_close(swapped) if self._during and self._during[-1].frame == frame else None

    def _judge_close(self, swapped: Swapped) -> Verdict | None:
        if swapped(_galleries([self._during[-1]])) <= 1 - self._rules.close:
            # Up to here they are themselves: they have not taken each other's place before.
            self._told.clear()
            self._during.clear()
        if len(self._during) < self._rules.looks:
            return None
        probability = swapped(_galleries(self._during))
        if probability < self._rules.close:
            return None
        return Verdict(probability, self.crossing(self._during[0].frame))


def _galleries(looks: Collection[_Look]) -> dict[str, Gallery]:
    """What looks at both say of each of them, by name."""
    galleries: dict[str, Gallery] = {}
    for look in looks:
        for name, view in look.views.items():
            galleries.setdefault(name, Gallery(apart=0.0)).add(look.second, view)
    return galleries


def near(one: Box, other: Box, rules: ContactRules) -> bool:
    """Whether two objects touch, by their boxes."""
    gap = max(max(one[0], other[0]) - min(one[2], other[2]), max(one[1], other[1]) - min(one[3], other[3]))
    side = min(one[2] - one[0], one[3] - one[1], other[2] - other[0], other[3] - other[1])
    return gap < rules.near * side


def are_whole(areas: Sequence[int], usual: Sequence[int], rules: ContactRules) -> bool:
    """Whether two masks show two objects, whichever is which, by what they cover and what the objects covered alone."""
    return all(
        rules.whole * known <= area and rules.whole * area <= known
        for area, known in zip(sorted(areas), sorted(usual), strict=True)
    )


def other_of(pair: Pair, name: str) -> str:
    """The other one of a pair; whoever is not of it stays."""
    return {pair[0]: pair[1], pair[1]: pair[0]}.get(name, name)


def retold(pair: Pair, contact: Contact, verdict: Verdict, *, exchange: bool) -> list[tuple[int, list[Observation]]]:
    """What is told now of two objects on the frames since they were closest, and how sure that is."""
    sure = verdict.probability if exchange else 1 - verdict.probability
    return [
        (
            frame,
            [
                replace(
                    one, object_id=other_of(pair, one.object_id) if exchange else one.object_id, score=one.score * sure
                )
                for one in found.values()
            ],
        )
        for frame, found in contact.told(verdict.since)
    ]
