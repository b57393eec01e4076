"""What a user should know of an export, said once however often it happens."""

from __future__ import annotations

from collections.abc import Iterator

_NAMED = 3


class Notes:
    """Gathers remarks by their sentence, with the places they are about."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, sentence: str, place: str) -> None:
        """Note something about a place, such as ``task 12``."""
        self._places.setdefault(sentence, []).append(place)

    def __len__(self) -> int:
        """How many remarks there are, each place counted."""
        return sum(len(places) for places in self._places.values())

    def lines(self) -> Iterator[str]:
        """A line a sentence, in the order in which they came: ``a sentence (4 times: task 1, task 2, task 5, ...)``."""
        for sentence, places in self._places.items():
            named = list(dict.fromkeys(places))
            where = ", ".join(named[:_NAMED]) + (", ..." if len(named) > _NAMED else "")
            yield f"{sentence} ({f'{len(places)} times: ' if len(places) > 1 else ''}{where})"
