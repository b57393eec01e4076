"""Rows of numbers, as MOTChallenge's files have them: a box a row, frames and pixels from 1.

Source: Milan et al., arXiv 1603.00831; Dendorfer et al., IJCV 2021.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from backend.errors import DatasetError
from backend.tracks import Box


class Row:
    """A line's numbers, which know where they stand.

    Attributes:
        frame: from 0.
    """

    def __init__(self, path: Path, line: int, text: str, expected: str, least: int, frames: int) -> None:
        self._place = f"{path}, line {line}"
        self._expected = expected
        cells = text.split(",")
        while cells and not cells[-1].strip():  # some writers end rows with a comma
            cells.pop()
        if len(cells) < least:
            raise self.wrong(f"{len(cells)} numbers instead of {least} or more")
        self._cells = cells
        self.frame = self.whole(0, "the frame") - 1
        if not 0 <= self.frame < frames:
            raise self.wrong(f"there is no frame {self.frame + 1}: the sequence has frames 1 to {frames}")

    def __len__(self) -> int:
        return len(self._cells)

    def number(self, column: int) -> float:
        """A finite number; raises DatasetError where the column has none."""
        try:
            value = float(self._cells[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(f"{self._cells[column].strip()!r} is no number")
        return value

    def whole(self, column: int, meaning: str) -> int:
        """A whole number, which messages call ``meaning``; raises DatasetError where the column has none."""
        value = self.number(column)
        if value != int(value):
            raise self.wrong(f"{meaning} is {value:g}, which is no whole number")
        return int(value)

    def box(self) -> Box:
        """``xyxy`` pixels from 0; raises DatasetError for a box without a size."""
        left, top, width, height = (self.number(column) for column in range(2, 6))
        if width <= 0 or height <= 0:
            raise self.wrong(f"the box has no size ({width:g} x {height:g})")
        return (left - 1, top - 1, left - 1 + width, top - 1 + height)

    def wrong(self, what: str) -> DatasetError:
        """The error that says what is wrong with this row."""
        return DatasetError(f"{self._place}: {what}; a row is {self._expected}")


def read_rows(path: Path, expected: str, *, least: int, frames: int) -> Iterator[Row]:
    """The rows of a file, one after the other; empty lines are passed over.

    Args:
        path: the file, in UTF-8.
        expected: what a row looks like, for messages.
        least: so many numbers has a row at least.
        frames: so many has the sequence.

    Raises:
        DatasetError: the file cannot be read, or a row (named by its line) is not such a row.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error})") from error
    for line, text in enumerate(lines, start=1):
        if text.strip():
            yield Row(path, line, text, expected, least, frames)
