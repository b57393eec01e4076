"""Which objects of one pass have met, and whose looks are wanted to say who is who."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from torch import Tensor

from backend.tracking.contacts import Contact, ContactRules, Pair, are_whole, near
from backend.tracking.swaps import generalised_iou
from backend.tracks import Box, Observation


class Meetings:
    """The contacts that are not settled yet.

    Args:
        rules: when objects touch, and when looks count.
        fps: frames per second.
    """

    def __init__(self, rules: ContactRules, fps: float) -> None:
        self._rules = rules
        self._fps = fps
        self._contacts: dict[Pair, Contact] = {}
        self._touching: set[str] = set()

    def __contains__(self, name: str) -> bool:
        """Whether something is to be settled about an object."""
        return any(name in pair for pair in self._contacts)

    def __iter__(self) -> Iterator[tuple[Pair, Contact]]:
        """Those that are there when it begins, without those that are dropped meanwhile."""
        for pair, contact in list(self._contacts.items()):
            if self._contacts.get(pair) is contact:
                yield pair, contact

    @property
    def touching(self) -> Collection[str]:
        """The objects that touch another one on this frame."""
        return self._touching

    def end(self, pair: Pair) -> None:
        """It is known which of the two is which."""
        del self._contacts[pair]

    def drop(self, names: Collection[str]) -> None:
        """Whatever was to be settled about objects is so no more."""
        self._contacts = {pair: one for pair, one in self._contacts.items() if not set(pair) & set(names)}

    def clear(self) -> None:
        """Nothing is where it was."""
        self._contacts.clear()

    def see(
        self, frame: int, seen: Mapping[str, Observation], boxes: Mapping[str, Box], known: Collection[str]
    ) -> None:
        """Take in what was found on a frame: the boxes of those that are there, and of whom looks are known."""
        self._touching = set()
        for pair in combinations(sorted(boxes), 2):
            one, other = boxes[pair[0]], boxes[pair[1]]
            if near(one, other, self._rules):
                self._touching.update(pair)
                if all(name in known for name in pair):
                    self._contacts.setdefault(pair, Contact(self._rules)).touch(frame, generalised_iou(one, other))
        for pair, contact in list(self._contacts.items()):
            if all(name in seen and name in known for name in pair):
                contact.tell(frame, {name: seen[name] for name in pair})
                if abs(frame - contact.crossing()) <= self._rules.patience * self._fps:
                    continue
            del self._contacts[pair]

    def wanted(self, frame: int, areas: Mapping[str, int], usual: Mapping[str, int]) -> set[str]:
        """Of whom looks are wanted.

        Args:
            frame: the one that was taken in last.
            areas: pixels of the masks that can be relied on, by object.
            usual: pixels of an object when it was seen alone last.
        """
        alone = areas.keys() - self._touching
        second = frame / self._fps
        found = {
            name for pair, contact in self._contacts.items() for name in alone & {*pair} if contact.due(name, second)
        }
        return found.union(*(pair for pair in self._contacts if self._is_close(pair, second, areas, usual)))

    def look(self, frame: int, views: Mapping[str, Tensor], areas: Mapping[str, int], usual: Mapping[str, int]) -> None:
        """What objects look like on the frame that was taken in last, of which looks are wanted."""
        second = frame / self._fps
        for pair, contact in self._contacts.items():
            if self._is_close(pair, second, areas, usual):
                contact.look_close(frame, second, {name: views[name] for name in pair})
            for name in views.keys() & {*pair} - self._touching:
                contact.look(name, second, views[name])

    def _is_close(self, pair: Pair, second: float, areas: Mapping[str, int], usual: Mapping[str, int]) -> bool:
        """Whether both are to be looked at though one of them touches somebody."""
        return (
            not self._touching.isdisjoint(pair)
            and all(name in areas and name in usual for name in pair)
            and self._contacts[pair].due_close(second)
            and are_whole([areas[name] for name in pair], [usual[name] for name in pair], self._rules)
        )
