"""Whatever somebody may send, chosen by bytes: the same bytes are the same choices, and a fuzzer changes bytes."""

from __future__ import annotations

import copy
import struct
from typing import Any, TypeVar

Value = TypeVar("Value")

NUMBERS = (0, 1, -1, 2, 24, 100, 255, 256, -0.0, 0.5, 1e-9, 1e6, 1e9, 1e308, -1e308, 2**31, 2**63, 10**400)
ODD = (
    float("nan"),
    float("inf"),
    -float("inf"),
    None,
    True,
    False,
    "",
    [],
    {},
    "\0",
    "\ud800",
    "1",
    "../x",
    "<",
    "[" * 50,
)
KEYS = ("id", "type", "value", "x", "frame", "sequence", "enabled", "rle", "format", "labels", "original_width")


class Choices:
    """Decisions made from bytes; when those are used up, the first possibility each time."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._used = 0

    @property
    def rest(self) -> bytes:
        """The bytes that no choice was made by."""
        return self._data[self._used :]

    def below(self, count: int) -> int:
        """A number from 0 to ``count`` - 1."""
        size = 1 if count <= 256 else 2
        taken = self._data[self._used : self._used + size]
        self._used += size
        return int.from_bytes(taken, "big") % count

    def one_of(self, values: Any) -> Any:
        """One of several."""
        return values[self.below(len(values))]

    def number(self) -> float | int:
        """A number of any kind and size."""
        kind = self.below(4)
        if kind == 0:
            return self.one_of(NUMBERS)
        if kind == 1:
            return self.below(1 << 16) - (1 << 15)
        if kind == 2:
            return self.below(1 << 16) / 100
        taken = self.rest[:8].ljust(8, b"\0")
        self._used += 8
        return float(struct.unpack(">d", taken)[0])

    def text(self) -> str:
        """A few characters."""
        size = self.below(12)
        taken = self.rest[:size]
        self._used += size
        return taken.decode("latin-1")

    def anything(self, depth: int = 2) -> Any:
        """A value of JSON, or of what Python takes for JSON."""
        kind = self.below(8)
        if kind < 3:
            return self.number()
        if kind == 3:
            return self.text()
        if kind < 6 or depth == 0:
            return self.one_of(ODD)
        if kind == 6:
            return [self.anything(depth - 1) for _ in range(self.below(4))]
        return {self.one_of(KEYS): self.anything(depth - 1) for _ in range(self.below(4))}

    def damaged(self, valid: Value, most: int = 6) -> Value:
        """A copy of a JSON value in which some values are others, or gone, or there twice."""
        whole: list[Any] = [copy.deepcopy(valid)]
        for _ in range(self.below(most + 1)):
            places = list(_places(whole))
            holder, key = places[self.below(len(places))]
            action = self.below(4)
            if action == 0 and isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = self.number()
            elif action == 1 and holder is not whole:
                del holder[key]
            elif action == 2 and isinstance(holder, list) and holder is not whole and len(holder) < 50:
                holder.insert(key, copy.deepcopy(holder[key]))
            else:
                holder[key] = self.anything()
        return whole[0]

    def damaged_text(self, valid: str, parts: tuple[str, ...]) -> str:
        """A copy of a text in which some stretches are others, or gone, or there twice."""
        text = valid
        for _ in range(self.below(7)):
            first = self.below(max(len(text), 1))
            last = first + self.below(40)
            action = self.below(3)
            put = self.one_of(parts) if action == 0 else self.text() if action == 1 else text[first:last] * 2
            text = text[:first] + put + text[last if self.below(2) else first :]
        return text

    def damaged_bytes(self, valid: bytes) -> bytes:
        """A copy of a file that is cut off, or in which some bytes are others, gone, or there twice."""
        data = bytearray(valid)
        for _ in range(self.below(9)):
            first = self.below(1 << 16) % max(len(data), 1)
            last = first + 1 + self.below(16)
            action = self.below(5)
            if action == 0:
                del data[first:]
            elif action == 1:
                del data[first:last]
            elif action == 2:
                data[first:first] = data[first:last]
            elif action == 3:
                data[first:last] = self.one_of((b"\0", b"\xff", b"\x7f", b"\x80")) * (last - first)
            else:
                taken = self.rest[: last - first]
                self._used += len(taken)
                data[first : first + len(taken)] = taken
        return bytes(data)


def _places(value: Any) -> Any:
    """Where a value is held: the holder, and the key or the position in it."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)
