"""Two objects that met, until it is known which of them is which."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from backend.association.identity import Gallery
from backend.tracks import Observation

Pair = tuple[str, str]


@dataclass(eq=False)
class Contact:
    """Two objects that met: where they were closest, what was found of them since, and what they look like now."""

    apart: float
    closest: float = -math.inf
    frame: int = 0
    told: dict[int, dict[str, Observation]] = field(default_factory=dict)
    after: dict[str, Gallery] = field(default_factory=dict)

    def touch(self, frame: int, closeness: float) -> None:
        """They are near one another on this frame."""
        self.after = {}
        if closeness >= self.closest:
            self.closest, self.frame, self.told = closeness, frame, {}

    def look(self, name: str, second: float, view: Tensor) -> None:
        """What one of them looks like since they parted."""
        self.after.setdefault(name, Gallery(apart=self.apart)).add(second, view)

    def due(self, name: str, second: float, views: int) -> bool:
        """Whether another look at one of them is needed."""
        return name not in self.after or (len(self.after[name]) < views and self.after[name].due(second))


def other_of(pair: Pair, name: str) -> str:
    """The other one of a pair; whoever is not of it stays."""
    return {pair[0]: pair[1], pair[1]: pair[0]}.get(name, name)


def retold(pair: Pair, contact: Contact, probability: float, *, exchange: bool) -> list[tuple[int, list[Observation]]]:
    """What is told now of two objects on the frames since they were closest, and how sure that is."""
    sure = probability if exchange else 1 - probability
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
        for frame, found in contact.told.items()
    ]
