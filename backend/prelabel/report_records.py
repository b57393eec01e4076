"""What became of each video of a run, a line of JSON each, so that a run that goes on tells of what was done before."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from backend.errors import OutputError
from backend.prelabel.summary import Summary

State = Literal["tracked", "left", "failed"]


@dataclass(frozen=True)
class About:
    """What a run is of.

    Attributes:
        source: what videos, in words, such as ``project 3 of http://localhost:8080``.
        model_version: of the models.
    """

    source: str
    model_version: str

    def __str__(self) -> str:
        return f"{self.source}, {self.model_version}"


@dataclass(frozen=True)
class Picture:
    """A picture of a contact sheet.

    Attributes:
        frame: Label Studio's, from 1.
        doubt: that of the most doubtful object on it, in [0, 1].
        file: where it lies, from the report's directory.
    """

    frame: int
    doubt: float
    file: str


@dataclass(frozen=True)
class Record:
    """What became of one video.

    Attributes:
        name: by which the run knows it.
        video: its file's name.
        state: what became of it.
        run: when the run began, as ``2026-11-22T02:11:05Z``.
        elapsed: seconds after that.
        reason: why it was left or failed.
        link: to the task in Label Studio; empty where there is none.
        summary: of what was tracked, without its thumbnails.
        pictures: these, by frame.
    """

    name: str
    video: str
    state: State
    run: str
    elapsed: float
    reason: str = ""
    link: str = ""
    summary: Summary | None = None
    pictures: tuple[Picture, ...] = ()


_ABOUT = TypeAdapter(About)
_RECORD = TypeAdapter(Record)


def latest(records: Iterable[Record]) -> dict[str, Record]:
    """Of each video what holds, by name: the last record, except that what was tracked stays so where a later run has
    left it, since its tracks are there."""
    found: dict[str, Record] = {}
    for record in records:
        old = found.get(record.name)
        if old is None or old.state != "tracked" or record.state != "left":
            found[record.name] = record
    return found


def plain(text: str) -> str:
    """Text that can be written: of a file's name that is no UTF-8, question marks instead of what is not."""
    return text.encode("utf-8", "replace").decode()


class RecordFile:
    """A file of records: one line says what they are about, and the others have one each.

    A line that was not written to its end, since the process was killed or the disk was full, does not count.

    Args:
        path: the file; made where there is none.
        about: what the run is of.

    Raises:
        OutputError: it is of another run, is no file of records, or cannot be written.
    """

    def __init__(self, path: Path, about: About) -> None:
        self._path = path
        self._waiting = b""
        about = About(plain(about.source), plain(about.model_version))
        header = _ABOUT.dump_json(about) + b"\n"
        try:
            self._end = self._end_of_whole_lines(about, header) if path.exists() else 0
            # Without a buffer, so that what could not be written is not tried again behind our back.
            self._file = path.open("r+b" if path.exists() else "wb", buffering=0)
            if self._end == 0:
                self._append(header)
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror})") from error

    def __enter__(self) -> RecordFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, record: Record) -> None:
        """Add a record.

        Raises:
            OutputError: it cannot be written now; the next call tries again.
        """
        if record.summary is not None:
            record = replace(record, summary=replace(record.summary, thumbnails=()))
        self._waiting += (
            plain(json.dumps(_RECORD.dump_python(record, mode="json"), ensure_ascii=False)).encode() + b"\n"
        )
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before.

        Raises:
            OutputError: it still cannot.
        """
        if self._waiting:
            try:
                self._append(self._waiting)
            except OSError as error:
                raise OutputError(f"{self._path} cannot be written ({error.strerror})") from error
            self._waiting = b""

    def read(self) -> dict[str, Record]:
        """Of each video what holds; see :func:`latest`.

        Raises:
            OutputError: a line is no record, or the file cannot be read.
        """
        try:
            with self._path.open("rb") as lines:
                next(lines, None)
                whole = (line for line in lines if line.endswith(b"\n"))
                return latest(self._parse(number, line) for number, line in enumerate(whole, start=2))
        except OSError as error:
            raise OutputError(f"{self._path} cannot be read ({error.strerror})") from error

    def _parse(self, number: int, line: bytes) -> Record:
        try:
            return _RECORD.validate_json(line)
        except ValidationError as error:
            raise self._strange(number) from error

    def _end_of_whole_lines(self, about: About, header: bytes) -> int:
        end = 0
        with self._path.open("rb") as lines:
            first = lines.readline()
            if first.endswith(b"\n"):
                self._check(first, about)
            elif not header.startswith(first):
                raise self._strange(1)
            for line in (first, *lines):
                if line.endswith(b"\n"):
                    end += len(line)
        return end

    def _check(self, line: bytes, about: About) -> None:
        try:
            found = _ABOUT.validate_json(line)
        except ValidationError as error:
            raise self._strange(1) from error
        if found != about:
            raise OutputError(f"{self._path.parent} has the report of another run ({found}); give another directory")

    def _strange(self, number: int) -> OutputError:
        return OutputError(f"{self._path}, line {number}: this is no record of a run; give another directory")

    def _append(self, data: bytes) -> None:
        self._file.seek(self._end)
        self._file.truncate()  # of what was not written to its end
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._end += len(data)
