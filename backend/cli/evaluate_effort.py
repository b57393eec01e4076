"""``evaluate effort``: how many keyframes an annotator draws until the tracks are good."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import ByteSize
from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.cli.sequences import INCOMPLETE, Evaluation, add_davis, number
from backend.evaluation.davis import DavisSequence, find_sequences
from backend.evaluation.effort import TARGET_IOU, TARGET_SHARE, Run
from backend.evaluation.effort_page import page
from backend.evaluation.effort_plot import check_matplotlib, write_plot
from backend.evaluation.effort_report import LOOKS, table
from backend.evaluation.effort_results import Effort, as_json
from backend.evaluation.effort_sequences import KINDS, Rules, SequenceEffort, measure
from backend.export.results import ResultsDirectory, write_text
from backend.service.engine import Choice, Tracker, choose, tracker_factory

HELP = "Let a simulated annotator correct tracks until they are good, and count what he does."
RESULTS, PAGE, PLOT = "results.json", "effort.html", "effort.png"
NAMES = (RESULTS, PAGE, PLOT, INCOMPLETE)
ENCODING_BYTES = {"sam_tokens": 8 << 20, "xmem": 64 << 20, "xmem_s012": 64 << 20}
"""More than the encoding of a frame takes, by propagator, so that those of a sequence are kept from one correction to
the next."""

EPILOG = f"""\
The annotator knows the truth. He draws a box round the object on the first frame, looks at every frame as Label Studio
would show it, and corrects the worst one; again and again until the mean IoU of the boxes is at least {TARGET_IOU}, and
until {TARGET_SHARE:.0%} of the frames are above {TARGET_IOU}. He does so in three ways:
  keytrack    everything is tracked again at each correction, with all that he marked in memory
  linear      Label Studio's own interpolation between the boxes that he drew
  reprompt    without memory: each mark is tracked by itself, to the next one
What counts is the number of keyframes for each object and 100 frames. With --by click he corrects by clicks, each of
which counts as a keyframe; with linear interpolation he draws boxes all the same.
in the directory --root, as the benchmark is distributed (2016 with one object, 2017 with several):
  JPEGImages/480p/NAME/00000.jpg    the frames, in the order of their names
  Annotations/480p/NAME/00000.png   the truth of each
in the directory --out:
  {RESULTS}   the numbers, the mean over all objects and of each sequence; ratio_to_linear is linear / keytrack
  {PAGE}    the report, to be opened in a browser; it needs nothing else
  {PLOT}     its curves as a picture
Memory for the encodings of the longest sequence is taken whatever KEYTRACK_EMBEDDING_CACHE_BYTES says.
Ctrl-C keeps the sequences that are done; {INCOMPLETE} then says which are missing, and why.
"""

log = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add_davis(parser)
    parser.add_argument("--by", choices=KINDS, default="box", help="what the corrections are (default: box)")
    parser.add_argument(
        "--most",
        type=number(1),
        metavar="N",
        help="give up on an object after so many keyframes, which then are its number (default: as many as it has "
        "frames)",
    )
    parser.add_argument("--limit", type=number(2), metavar="N", help="the first N frames of each sequence only")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "threads", "keyframe_iou")


def run(args: argparse.Namespace) -> int:
    """Annotate, write, and print a table; 130 where Ctrl-C ended it early, 2 where a sequence failed."""
    settings = settings_from(args)
    check_matplotlib()
    sequences = find_sequences(args.root, names=args.sequences, split=args.split)
    if args.limit is not None:
        sequences = [sequence.beginning(args.limit) for sequence in sequences]
    with ResultsDirectory(args.out, NAMES, force=args.force) as results:
        choice = choose(settings)
        # However often a sequence is tracked, no frame is encoded twice.
        needed = ENCODING_BYTES[choice.propagator] * max(len(sequence) for sequence in sequences)
        cache = ByteSize(max(settings.embedding_cache_bytes, needed))
        settings = settings.model_copy(update={"embedding_cache_bytes": cache})
        tracker = tracker_factory(settings, choice)()
        rules = Rules(args.by, args.most, settings.keyframe_iou)
        with Interrupts() as interrupts, logging_redirect_tqdm():
            work = _Work(rules, args.limit, choice, tracker, results, lambda: interrupts.asked)
            return Evaluation(args.out, results, work.cancelled, work.measure, work.report).run(sequences)


@dataclass(frozen=True, eq=False)
class _Work:
    """What was asked, and what it is done with."""

    rules: Rules
    limit: int | None
    choice: Choice
    tracker: Tracker
    results: ResultsDirectory
    cancelled: Callable[[], bool]

    def measure(self, sequence: DavisSequence, advance: Callable[[], None]) -> SequenceEffort | None:
        """Annotate the objects of one sequence."""

        def finished(name: str, way: str, run: Run) -> None:
            last = run.steps[-1]
            log.info(
                "%s, object %s, %s: %d interactions, mean IoU %.3f, %.0f %% of the frames above %s",
                *(sequence.name, name, LOOKS[way].name, last.interactions, last.iou, 100 * last.share, TARGET_IOU),
            )

        return measure(sequence, self.tracker, self.rules, cancelled=self.cancelled, advance=advance, finished=finished)

    def report(self, done: Sequence[tuple[DavisSequence, SequenceEffort]], missing: Mapping[str, str]) -> str:
        """Write the numbers, the page and the plot; returns the numbers as a table."""
        effort = Effort(
            sequences=[found for _, found in done],
            rules=self.rules,
            limit=self.limit,
            **asdict(self.choice),
            version=__version__,
            missing=missing,
        )
        write_text(self.results.path(RESULTS), as_json(effort))
        write_text(self.results.path(PAGE), page(effort))
        write_plot(self.results.path(PLOT), effort)
        return table(effort)
