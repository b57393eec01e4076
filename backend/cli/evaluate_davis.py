"""``evaluate davis``: J and F of the tracks on sequences in DAVIS's layout."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.interrupts import Interrupts
from backend.cli.options import add_settings, settings_from
from backend.cli.summary import DOUBTFUL
from backend.errors import KeytrackError, SettingsError
from backend.evaluation.davis import DavisSequence, find_sequences
from backend.evaluation.vos import KINDS, LEAST_FRAMES, SequenceResult, evaluate
from backend.evaluation.vos_report import as_csv, as_json, as_table
from backend.export.overlay import write_overlay
from backend.export.results import ResultsDirectory, write_text
from backend.export.tracked import TrackedObject
from backend.service.engine import Choice, Tracker, choose, tracker_factory

HELP = "Follow the objects of each sequence's first frame, and compare with the truth as the DAVIS benchmark does."
RESULTS, FRAMES, OVERLAYS, INCOMPLETE = "results.json", "frames.csv", "overlays", "INCOMPLETE.txt"
NAMES = (RESULTS, FRAMES, OVERLAYS, INCOMPLETE)
INTERRUPTED, FAILED = 130, 2
EPILOG = f"""\
J is the masks' intersection over union, F the accuracy of their contours, with a tolerance of 0.008 of the
picture's diagonal; both in percent. The first and the last frame do not count, nor do objects that appear later.
in the directory --root, as the benchmark is distributed (2016 with one object, 2017 with several):
  JPEGImages/480p/NAME/00000.jpg    the frames, in the order of their names
  Annotations/480p/NAME/00000.png   the truth of each: a grey image with one object, in white, or an indexed image
                                    with the objects' numbers, 255 where nothing is said
in the directory --out:
  {RESULTS}    J, F and J&F of each sequence and their mean: over the objects of a sequence, and over all objects
  {FRAMES}      the same for each object on each frame, the first and the last one too
  {OVERLAYS}        with --overlay, a video of each sequence
Ctrl-C keeps the sequences that are done; {INCOMPLETE} then says which are missing, and why.
"""

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="a directory in DAVIS's layout")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--sequences", type=_names, metavar="NAME,...", help="these alone (default: all)")
    chosen.add_argument(
        "--split", type=Path, metavar="FILE", help="those that a file of the benchmark's ImageSets names"
    )
    parser.add_argument("--prompt", choices=KINDS, required=True, help="how the objects are marked on the first frame")
    parser.add_argument(
        "--clicks",
        type=_number(1),
        metavar="N",
        help="with --prompt click, the most clicks on an object: the first in its middle, the others in the middle of "
        "the largest error of its mask on the first frame (default: 1)",
    )
    parser.add_argument(
        "--limit", type=_number(LEAST_FRAMES), metavar="N", help="track the first N frames of each sequence only"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    parser.add_argument("--overlay", action="store_true", help="write videos with the tracks drawn on them")
    add_settings(parser, "data_dir", "weights_dir", "profile", "device", "threads", "embedding_cache_bytes")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, and print a table; 130 where Ctrl-C ended it early, 2 where anything failed."""
    settings = settings_from(args)
    if args.clicks is not None and args.prompt != "click":
        raise SettingsError(
            f"--clicks {args.clicks}: there are none with --prompt {args.prompt}; leave one of them out"
        )
    sequences = find_sequences(args.root, names=args.sequences, split=args.split)
    if args.limit is not None:
        sequences = [sequence.beginning(args.limit) for sequence in sequences]
    with ResultsDirectory(args.out, NAMES, force=args.force) as results:
        choice = choose(settings)
        tracker = tracker_factory(settings, choice)()
        with Interrupts() as interrupts, logging_redirect_tqdm():
            evaluation = _Evaluation(args, choice, tracker, results, lambda: interrupts.asked)
            try:
                for sequence in sequences:
                    evaluation.measure(sequence)
            except Exception as error:
                # What took an hour is not lost with what comes after it.
                evaluation.finish(sequences, f"stopped by an error ({error})")
                raise
            evaluation.finish(sequences, "interrupted")
            if interrupts.asked:
                return INTERRUPTED
            return FAILED if evaluation.failed or evaluation.undrawn else 0


@dataclass(eq=False)
class _Evaluation:
    """The sequences that are done, and what is missing.

    Attributes:
        done: sequences with their results.
        failed: sequences by name, with what was wrong.
        undrawn: videos that could not be written.
    """

    args: argparse.Namespace
    choice: Choice
    tracker: Tracker
    results: ResultsDirectory
    cancelled: Callable[[], bool]
    done: list[tuple[DavisSequence, SequenceResult]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    undrawn: list[str] = field(default_factory=list)

    def measure(self, sequence: DavisSequence) -> None:
        """Evaluate one sequence; what is wrong with it is no reason to give up the others."""
        if self.cancelled():
            return
        try:
            with tqdm(total=len(sequence), desc=sequence.name, unit="frame", disable=None) as bar:
                result = evaluate(
                    sequence,
                    self.tracker,
                    self.args.prompt,
                    clicks=self.args.clicks or 1,
                    cancelled=self.cancelled,
                    advance=lambda: _advance(bar),
                )
        except KeytrackError as error:
            log.error("the sequence %s failed: %s", sequence.name, error)
            self.failed[sequence.name] = str(error)
            return
        if result is None:
            return
        self.done.append((sequence, result))
        if self.args.overlay:
            self._draw(sequence, result)

    def finish(self, sequences: Sequence[DavisSequence], stopped: str) -> None:
        """Write what is done and print it; ``stopped`` says why some sequences were not even tried."""
        finished = {sequence.name for sequence, _ in self.done}
        absent = [sequence.name for sequence in sequences if sequence.name not in finished]
        missing = {name: self.failed.get(name, stopped) for name in absent}
        notes = [f"{name} is missing: {reason}" for name, reason in missing.items()] + self.undrawn
        if self.done:
            self._write(missing, notes)
            print(as_table([result for _, result in self.done]))
        for note in notes:
            print(f"incomplete: {note}")
        print(f"results in {self.args.out}" if self.done else "no sequence was done; nothing was written")

    def _write(self, missing: Mapping[str, str], notes: Sequence[str]) -> None:
        settings = {
            "prompt": self.args.prompt,
            "clicks": (self.args.clicks or 1) if self.args.prompt == "click" else None,
            "limit": self.args.limit,
            "profile": self.choice.profile,
            "device": self.choice.device,
            "version": __version__,
            "missing": missing,
        }
        write_text(self.results.path(RESULTS), as_json([result for _, result in self.done], settings))
        write_text(self.results.path(FRAMES), as_csv(self.done))
        if notes:
            write_text(self.results.path(INCOMPLETE), "".join(note + "\n" for note in notes))
        self.results.publish()

    def _draw(self, sequence: DavisSequence, result: SequenceResult) -> None:
        """Write the sequence's video; the measures are worth more, and stay without it."""
        directory = self.results.path(OVERLAYS)
        directory.mkdir(exist_ok=True)
        objects = [TrackedObject(name, None, (result.prompts[name],), track) for name, track in result.tracks.items()]
        path = directory / f"{sequence.name}.mp4"
        try:
            with tqdm(total=len(sequence), desc=f"drawing {sequence.name}", unit="frame", disable=None) as bar:
                drawn = write_overlay(
                    path,
                    sequence.video(),
                    objects,
                    doubtful=DOUBTFUL,
                    advance=lambda: _advance(bar),
                    cancelled=self.cancelled,
                )
            problem = "" if drawn else ": interrupted"
        except (KeytrackError, OSError) as error:
            problem = f": {error}"
        if problem:
            self.undrawn.append(f"{OVERLAYS}/{path.name} was not drawn{problem}")


def _advance(bar: tqdm[NoReturn]) -> None:
    bar.update()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of sequences; write their names, such as bear,boat")
    return names


def _number(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number from {least} on")
        return int(text)

    return parse
