"""A JSON file that knows where in it each value stands, so that an error can name the line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from backend.errors import DatasetError, PayloadError

_STEP = re.compile(r"\[(\d+)\]|\.?([^.\[\]]+)")
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, eq=False)
class JsonFile:
    """A file's path, its text and its value."""

    path: Path
    text: str = field(repr=False)
    value: object = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> JsonFile:
        """Read a file in UTF-8, with or without a byte order mark.

        Raises:
            DatasetError: it cannot be read, or is no JSON; the message has the line and the column.
        """
        try:
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path} is no text in UTF-8 ({error.reason} at byte {error.start})") from error
        try:
            return cls(path, text, json.loads(text))
        except json.JSONDecodeError as error:
            line, column = error.lineno, error.colno
            raise DatasetError(f"{path}, line {line}, column {column}: this is no JSON: {error.msg}") from error
        except RecursionError:
            raise DatasetError(f"{path}: it is nested too deeply") from None
        except ValueError as error:  # a number of thousands of digits
            raise DatasetError(f"{path}: it holds a number that is out of all proportion") from error

    @contextmanager
    def naming_lines(self) -> Iterator[None]:
        """Turn errors about the value into errors that name the file and the line.

        Raises:
            DatasetError: for a PayloadError inside; line and column are those of the value at fault, or of what
                should hold it where it is missing.
        """
        try:
            yield
        except PayloadError as error:
            line, column = self.locate(error.path)
            raise DatasetError(f"{self.path}, line {line}, column {column}: {error}") from error

    def locate(self, path: str) -> tuple[int, int]:
        """Line and column, from 1, at which a value begins; of a path that leads nowhere, the last value on its way.

        Args:
            path: such as ``[3].annotations[0].result``; empty for the whole.
        """
        position = _skip(self.text, 0)
        for index, key in _STEP.findall(path):
            inner = _find_item(self.text, position, int(index)) if index else _find_member(self.text, position, key)
            if inner is None:
                break
            position = inner
        return self.text.count("\n", 0, position) + 1, position - self.text.rfind("\n", 0, position)


def _find_item(text: str, start: int, index: int) -> int | None:
    """Where the array at ``start`` has its item."""
    return next((at for number, (_, at) in enumerate(_parts(text, start, "[")) if number == index), None)


def _find_member(text: str, start: int, key: str) -> int | None:
    """Where the object at ``start`` has the value of a key; of several the last, which is the one that is read."""
    return max((at for name, at in _parts(text, start, "{") if name == key), default=None)


def _parts(text: str, start: int, bracket: str) -> Iterator[tuple[object, int]]:
    """Key (None in an array) and position of each value in the array or object at ``start``; nothing if it is none."""
    if text[start] != bracket:
        return
    position = _skip(text, start + 1)
    while text[position] not in "]}":
        key = None
        if bracket == "{":
            key, position = _DECODER.raw_decode(text, position)
            position = _skip(text, _skip(text, position) + 1)  # past the colon
        yield key, position
        _, position = _DECODER.raw_decode(text, position)
        position = _skip(text, position)
        if text[position] == ",":
            position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    """The position of what follows white space."""
    found = _SPACE.match(text, position)
    return found.end() if found else position
