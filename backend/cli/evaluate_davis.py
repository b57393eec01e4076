"""``evaluate davis``: J and F of the tracks on sequences in DAVIS's layout."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.cli.sequences import INCOMPLETE, OVERLAYS, Evaluation, add_davis, number
from backend.errors import SettingsError
from backend.evaluation.davis import DavisSequence, find_sequences
from backend.evaluation.vos import KINDS, LEAST_FRAMES, SequenceResult, evaluate
from backend.evaluation.vos_report import as_csv, as_json, as_table
from backend.export.results import ResultsDirectory, write_text
from backend.export.tracked import TrackedObject
from backend.service.engine import Choice, Tracker, choose, tracker_factory

HELP = "Follow the objects of each sequence's first frame, and compare with the truth as the DAVIS benchmark does."
RESULTS, FRAMES = "results.json", "frames.csv"
NAMES = (RESULTS, FRAMES, OVERLAYS, INCOMPLETE)
EPILOG = f"""\
J is the masks' intersection over union, F the accuracy of their contours, with a tolerance of 0.008 of the
picture's diagonal; both in percent. The first and the last frame do not count, nor do objects that appear later.
in the directory --root, as the benchmark is distributed (2016 with one object, 2017 with several):
  JPEGImages/480p/NAME/00000.jpg    the frames, in the order of their names
  Annotations/480p/NAME/00000.png   the truth of each: a grey image with one object, in white, or an indexed image
                                    with the objects' numbers, 255 where nothing is said
in the directory --out:
  {RESULTS}    J, F and J&F of each sequence and their mean: over the objects of a sequence, and over all objects
  {FRAMES}      J and F of each object on each frame, the first and the last one too
  {OVERLAYS}        with --overlay, a video of each sequence
Ctrl-C keeps the sequences that are done; {INCOMPLETE} then says which are missing, and why.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add_davis(parser)
    parser.add_argument("--prompt", choices=KINDS, required=True, help="how the objects are marked on the first frame")
    parser.add_argument(
        "--clicks",
        type=number(1),
        metavar="N",
        help="with --prompt click, the most clicks on an object: the first in its middle, the others in the middle of "
        "the largest error of its mask on the first frame (default: 1)",
    )
    parser.add_argument(
        "--limit", type=number(LEAST_FRAMES), metavar="N", help="track the first N frames of each sequence only"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    parser.add_argument("--overlay", action="store_true", help="write videos with the tracks drawn on them")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "refine", "xmem_mode", "threads", "embedding_cache_bytes")


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
            work = _Work(args, choice, settings.refine, tracker, results, lambda: interrupts.asked)
            drawn = _drawn if args.overlay else None
            return Evaluation(args.out, results, work.cancelled, work.measure, work.report, drawn).run(sequences)


@dataclass(frozen=True, eq=False)
class _Work:
    """What was asked, and what it is done with."""

    args: argparse.Namespace
    choice: Choice
    refine: str
    tracker: Tracker
    results: ResultsDirectory
    cancelled: Callable[[], bool]

    def measure(self, sequence: DavisSequence, advance: Callable[[], None]) -> SequenceResult | None:
        """Track one sequence and compare with the truth."""
        kind, clicks = self.args.prompt, self.args.clicks or 1
        return evaluate(sequence, self.tracker, kind, clicks=clicks, cancelled=self.cancelled, advance=advance)

    def report(self, done: Sequence[tuple[DavisSequence, SequenceResult]], missing: Mapping[str, str]) -> str:
        """Write the scores; returns them as a table."""
        found = [result for _, result in done]
        settings = {
            "prompt": self.args.prompt,
            "clicks": (self.args.clicks or 1) if self.args.prompt == "click" else None,
            "limit": self.args.limit,
            **asdict(self.choice),
            "refine": self.refine,
            "version": __version__,
            "missing": missing,
        }
        write_text(self.results.path(RESULTS), as_json(found, settings))
        write_text(self.results.path(FRAMES), as_csv(done))
        return as_table(found)


def _drawn(result: SequenceResult) -> list[TrackedObject]:
    return [TrackedObject(name, None, (result.prompts[name],), track) for name, track in result.tracks.items()]
