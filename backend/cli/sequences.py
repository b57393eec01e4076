"""What the evaluations of sequences do alike: one after the other, and what is done is kept."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tqdm import tqdm

from backend.cli.progress import advance
from backend.errors import KeytrackError
from backend.export.overlay import write_overlay
from backend.export.results import ResultsDirectory, write_text
from backend.export.tracked import TrackedObject, tracked_frames
from backend.tracking.doubt import DOUBTFUL
from backend.video.frames import Frames

OVERLAYS, INCOMPLETE = "overlays", "INCOMPLETE.txt"
INTERRUPTED, FAILED = 130, 2

log = logging.getLogger(__name__)


def add_davis(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say which sequences of a directory in DAVIS's layout are measured."""
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="a directory in DAVIS's layout")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--sequences", type=names, metavar="NAME,...", help="these alone (default: all)")
    chosen.add_argument(
        "--split", type=Path, metavar="FILE", help="those that a file of the benchmark's ImageSets names"
    )


class Measurable(Protocol):
    """A sequence of a dataset."""

    @property
    def name(self) -> str:
        """Tells it from the others, and is fit to be a file's name."""

    def __len__(self) -> int: ...

    def video(self) -> Frames:
        """The frames."""


S = TypeVar("S", bound=Measurable)
R = TypeVar("R")


@dataclass(eq=False)
class Evaluation(Generic[S, R]):
    """Measures sequences one after the other; what is wrong with one is no reason to give up the others.

    Args:
        out: where the results will lie, as the user called it.
        results: takes them.
        cancelled: asked before each sequence, and by the others.
        measure: a sequence's result, or None where it was cancelled; calls what it is given after each frame.
        report: writes the results of what is done, and returns them as a table. It is given what is missing, with the
            reasons.
        drawn: the objects to draw, where videos are to be written.
    """

    out: Path
    results: ResultsDirectory
    cancelled: Callable[[], bool]
    measure: Callable[[S, Callable[[], None]], R | None]
    report: Callable[[Sequence[tuple[S, R]], Mapping[str, str]], str]
    drawn: Callable[[R], list[TrackedObject]] | None = None
    _done: list[tuple[S, R]] = field(default_factory=list, init=False)
    _failed: dict[str, str] = field(default_factory=dict, init=False)
    _undrawn: list[str] = field(default_factory=list, init=False)

    def run(self, sequences: Sequence[S]) -> int:
        """Measure, write and print; 130 where it was cancelled, 2 where a sequence or a video failed."""
        try:
            for sequence in sequences:
                if not self.cancelled():
                    self._run(sequence)
        except Exception as error:
            # What took an hour is not lost with what comes after it.
            self._finish(sequences, f"stopped by an error ({error})")
            raise
        self._finish(sequences, "interrupted")
        if self.cancelled():
            return INTERRUPTED
        return FAILED if self._failed or self._undrawn else 0

    def _run(self, sequence: S) -> None:
        try:
            with tqdm(total=len(sequence), desc=sequence.name, unit="frame", disable=None) as bar:
                result = self.measure(sequence, lambda: advance(bar))
        except KeytrackError as error:
            log.error("the sequence %s failed: %s", sequence.name, error)
            self._failed[sequence.name] = str(error)
            return
        if result is not None:
            self._done.append((sequence, result))
            if self.drawn is not None:
                self._draw(sequence, self.drawn(result))

    def _finish(self, sequences: Sequence[S], stopped: str) -> None:
        """Write what is done and print it; ``stopped`` says why some sequences were not even tried."""
        finished = {sequence.name for sequence, _ in self._done}
        absent = [sequence.name for sequence in sequences if sequence.name not in finished]
        missing = {name: self._failed.get(name, stopped) for name in absent}
        notes = [f"{name} is missing: {reason}" for name, reason in missing.items()] + self._undrawn
        if self._done:
            table = self.report(self._done, missing)
            if notes:
                write_text(self.results.path(INCOMPLETE), "".join(note + "\n" for note in notes))
            self.results.publish()
            print(table)
        for note in notes:
            print(f"incomplete: {note}")
        print(f"results in {self.out}" if self._done else "no sequence was done; nothing was written")

    def _draw(self, sequence: S, objects: list[TrackedObject]) -> None:
        """Write the sequence's video; the measures are worth more, and stay without it."""
        directory = self.results.path(OVERLAYS)
        path = directory / f"{sequence.name}.mp4"
        if not tracked_frames(objects):
            self._undrawn.append(f"{OVERLAYS}/{path.name} was not drawn: nothing was tracked")
            return
        directory.mkdir(exist_ok=True)
        try:
            with tqdm(total=len(sequence), desc=f"drawing {sequence.name}", unit="frame", disable=None) as bar:
                drawn = write_overlay(
                    path,
                    sequence.video(),
                    objects,
                    doubtful=DOUBTFUL,
                    advance=lambda: advance(bar),
                    cancelled=self.cancelled,
                )
            problem = "" if drawn else ": interrupted"
        except (KeytrackError, OSError) as error:
            problem = f": {error}"
        if problem:
            self._undrawn.append(f"{OVERLAYS}/{path.name} was not drawn{problem}")


def names(text: str) -> list[str]:
    """An option's value: names with commas between them."""
    found = [name.strip() for name in text.split(",")]
    if not all(found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of names; write them with commas, such as bear,boat")
    return found


def number(least: int) -> Callable[[str], int]:
    """An option's value: a whole number."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {least} on")
        return int(text)

    return parse
