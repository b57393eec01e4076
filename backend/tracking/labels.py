"""What kind of thing each object is, by what its detections say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from backend.tracks import Box, Detection

if TYPE_CHECKING:
    from backend.tracking.matching import Matcher, Sight


Votes = Mapping[str, tuple[float, int]]
"""What detections, or people, said that an object is: by label, the sum of their scores, and how many there were."""


def winner(votes: Votes) -> str | None:
    """The label with the greatest sum, then with the most detections, then the first; None without any."""
    return max(votes, key=lambda label: votes[label], default=None)


def together(*said: Votes) -> Votes:
    """What all of them say, each label in the place where it was first said."""
    total: dict[str, tuple[float, int]] = {}
    for votes in said:
        for label, (score, count) in votes.items():
            before = total.get(label, (0.0, 0))
            total[label] = before[0] + score, before[1] + count
    return total


class Labels:
    """The label of each object of one video: the one that most of its detections had, by their scores.

    It is filled while the video is tracked. Detections without a label say nothing, and may show anything.
    """

    def __init__(self) -> None:
        self._votes: dict[str, Votes] = {}

    def add(self, name: str, detection: Detection) -> None:
        """Take in a detection that shows the object of that name."""
        if detection.label is not None:
            self.vote(name, detection.label, max(detection.score, 0.0))

    def vote(self, name: str, label: str, score: float = 1.0) -> None:
        """Somebody says that the object of that name is such."""
        self._votes[name] = together(self.votes(name), {label: (score, 1)})

    def of(self, name: str) -> str | None:
        """The object's label so far; of equals the first. None where nobody said one."""
        return winner(self.votes(name))

    def votes(self, name: str) -> Votes:
        """What was said of the object so far; it does not change any more."""
        return self._votes.get(name, {})

    def may_be(self, name: str, detection: Detection) -> bool:
        """Whether a detection may show an object: not where both have a label, and not the same."""
        label = self.of(name)
        return label is None or detection.label in (None, label)

    def match(
        self, match: Matcher, objects: Mapping[str, Box | None], detections: Sequence[Detection], sight: Sight
    ) -> dict[str, int]:
        """What ``match`` matches, where objects of different labels are never taken for one another.

        It is asked label by label, and then about the detections without a label and the objects without one.
        """
        if all(one.label is None for one in detections):
            return match(objects, detections, sight)
        kinds = {name: self.of(name) for name in objects}
        met: dict[str, int] = {}

        def ask(names: Collection[str], places: Collection[int]) -> None:
            left = {name: objects[name] for name in names if name not in met}
            free = [place for place in places if place not in met.values()]
            if left and free:
                found = match(left, [detections[place] for place in free], sight)
                met.update({name: free[position] for name, position in found.items()})

        by_label: dict[str | None, list[int]] = defaultdict(list)
        for place, one in enumerate(detections):
            by_label[one.label].append(place)
        unlabelled = by_label.pop(None, [])
        for label, places in by_label.items():
            ask([name for name, kind in kinds.items() if kind == label], places)
        ask(objects.keys(), unlabelled)
        ask([name for name, kind in kinds.items() if kind is None], range(len(detections)))
        return met
