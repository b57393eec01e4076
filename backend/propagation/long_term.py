"""Long-term memory: frames that leave working memory live on as prototypes, the least used of which are forgotten
(Cheng and Schwing, ECCV 2022, sections 3.3 and 3.4).

There, objects that were added on different frames cannot be forgotten. Here a record's tokens are all known to the
same objects, so prototypes are forgotten by one rule whoever knows them: the least used of all records go, until as
many are left as the limit allows. An object loses nothing of what others alone know, keeps its permanent and working
frames in any case, and one that is added or removed changes no other's values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from backend.propagation.memory import Records, Remembered


class Tokens(Protocol):
    """Keys of which some can be taken."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Self:
        """The tokens of an index (n,)."""


AnyTokens = TypeVar("AnyTokens", bound=Tokens)

Summarise = Callable[[Records[AnyTokens], int], Records[AnyTokens]]
"""Frames that leave working memory, and a number -> records of so many prototypes in all."""


@dataclass(frozen=True)
class Consolidating(Generic[AnyTokens]):
    """Keep the last frames, and prototypes of all that went before.

    Args:
        most: so many propagated frames are consolidated
        least: down to so many, the last ones; fewer than ``most``.
        prototypes: made each time.
        limit: never more of them than this.
        summarise: makes them.
    """

    most: int
    least: int
    prototypes: int
    limit: int
    summarise: Summarise[AnyTokens]

    def settle(
        self, working: Records[AnyTokens], long_term: Records[AnyTokens]
    ) -> tuple[Records[AnyTokens], Records[AnyTokens]]:
        """What is kept."""
        if len(working) < self.most:
            return working, long_term
        room = self.limit - self.prototypes
        kept = forget_least_used(long_term, room)
        leaving, staying = working[: len(working) - self.least], working[len(working) - self.least :]
        return staying, [*kept, *self.summarise(leaving, self.prototypes)]


def usage_of(memory: Remembered[AnyTokens]) -> Tensor:
    """(N,): the attention that each token got per reading."""
    if memory.use is None:
        return torch.zeros(len(memory.keys), device=next(iter(memory.values.values())).device)
    return memory.use / memory.readings


def forget_least_used(records: Records[AnyTokens], size: int) -> Records[AnyTokens]:
    """At most ``size`` tokens of the records, the most used ones; of equally used ones all or none are kept."""
    usages = [usage_of(record) for record in records]
    surplus = sum(len(usage) for usage in usages) - size
    if surplus <= 0:
        return records
    threshold = torch.cat(usages).topk(surplus, largest=False).values.max()
    kept = [_take(record, (usage > threshold).nonzero()[:, 0]) for record, usage in zip(records, usages, strict=True)]
    return [record for record in kept if len(record.keys)]


def _take(record: Remembered[AnyTokens], index: Tensor) -> Remembered[AnyTokens]:
    if len(index) == len(record.keys):
        return record
    values = {name: value[index] for name, value in record.values.items()}
    use = None if record.use is None else record.use[index]
    return Remembered(record.frame, record.keys.take(index), values, record.permanent, use, record.readings)
