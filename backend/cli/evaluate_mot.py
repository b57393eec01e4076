"""``evaluate mot``: HOTA, IDF1 and MOTA of the tracks on sequences in MOTChallenge's layout."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.detections import add_score_options, rules_from
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.cli.sequences import INCOMPLETE, OVERLAYS, Evaluation, names, number
from backend.errors import SettingsError
from backend.evaluation.association import AssociationMetrics, Classes
from backend.evaluation.mot import Run, keyframe_prompts, track_detections, track_keyframes
from backend.evaluation.mot_report import SequenceResult, as_json, as_table
from backend.evaluation.motchallenge import MotSequence, find_sequences, write_tracks
from backend.export.results import ResultsDirectory, write_text
from backend.export.tracked import TrackedObject
from backend.service.engine import Choice, Tracker, choose, tracker_factory
from backend.tracking.lives import DEFAULT_RULES, Rules

HELP = "Track several objects, marked by hand or found by a detector, and compare with the truth as MOTChallenge does."
RESULTS, TRACKS = "results.json", "tracks"
NAMES = (RESULTS, TRACKS, OVERLAYS, INCOMPLETE)
KEYFRAMES, DETECTIONS = "keyframes", "detections"
EPILOG = f"""\
HOTA, DetA, AssA, LocA, IDF1 and MOTA are TrackEval's, in percent; IDSW counts changes of identity. The boxes that are
compared are those of the masks. Frames with marks count like the others.
what is given:
  --given {KEYFRAMES}   the true box of each object on the first frame that shows it; with --every N also on every N-th
                      of the frames that show it
  --given {DETECTIONS}  a detector's boxes on every N-th frame (--every, default: 1); an object begins where a sure one
                      meets none that is followed, is believed when it is detected again, and ends when it has not been
                      for {DEFAULT_RULES.patience:g} seconds
what counts, unless --classes says so: in MOT16, MOT17 and MOT20, which are known by the names of their sequences,
pedestrians, with the benchmark's own rule for what may be taken for one; elsewhere every row whose flag is not 0.
in the directory --root, or in train/ there:
  NAME/seqinfo.ini      with seqLength and frameRate
  NAME/img1/000001.jpg  the frames
  NAME/gt/gt.txt        frame,id,left,top,width,height,flag,class,visibility; frames and pixels count from 1
  NAME/det/det.txt      frame,-1,left,top,width,height,score
in the directory --out:
  {RESULTS}  the scores of each sequence, and of all combined as TrackEval does it
  {TRACKS}/NAME.txt the tracks as the benchmark takes them, to be evaluated by other tools
  {OVERLAYS}      with --overlay, a video of each sequence
Ctrl-C keeps the sequences that are done; {INCOMPLETE} then says which are missing, and why.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="a directory in MOTChallenge's layout")
    parser.add_argument("--sequences", type=names, metavar="NAME,...", help="these alone (default: all)")
    parser.add_argument(
        "--given", choices=(KEYFRAMES, DETECTIONS), default=KEYFRAMES, help=f"see below (default: {KEYFRAMES})"
    )
    parser.add_argument("--every", type=number(1), metavar="N", help="see below")
    parser.add_argument(
        "--detections",
        type=Path,
        metavar="PATH",
        help="a file of detections, or a directory with NAME.txt for each sequence (default: NAME/det/det.txt)",
    )
    add_score_options(parser)
    parser.add_argument("--classes", type=_classes, metavar="N,...", help="the classes that count, by their numbers")
    parser.add_argument("--limit", type=number(2), metavar="N", help="track the first N frames of each sequence only")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    parser.add_argument("--overlay", action="store_true", help="write videos with the tracks drawn on them")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "threads", "embedding_cache_bytes")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write, and print a table; 130 where Ctrl-C ended it early, 2 where a sequence failed."""
    settings = settings_from(args)
    rules = _rules(args)
    metrics = AssociationMetrics()
    sequences = find_sequences(args.root, args.sequences)
    if args.limit is not None:
        sequences = [sequence.beginning(args.limit) for sequence in sequences]
    _check(args, sequences)
    with ResultsDirectory(args.out, NAMES, force=args.force) as results:
        choice = choose(settings)
        tracker = tracker_factory(settings, choice)()
        with Interrupts() as interrupts, logging_redirect_tqdm():
            work = _Work(args, rules, choice, tracker, metrics, results, lambda: interrupts.asked)
            drawn = _drawn if args.overlay else None
            evaluation = Evaluation(args.out, results, work.cancelled, work.measure, work.report, drawn)
            return evaluation.run(sequences)


@dataclass(frozen=True, eq=False)
class _Work:
    """What was asked, and what it is done with."""

    args: argparse.Namespace
    rules: Rules
    choice: Choice
    tracker: Tracker
    metrics: AssociationMetrics
    results: ResultsDirectory
    cancelled: Callable[[], bool]

    def measure(self, sequence: MotSequence, advance: Callable[[], None]) -> SequenceResult | None:
        """Track one sequence, write its tracks, and compare them with the truth."""
        classes = Classes.of(sequence.name, self.args.classes)
        truth = sequence.truth()
        video = sequence.video()
        if self.args.given == KEYFRAMES:
            prompts = keyframe_prompts(truth, classes, (video.width, video.height), self.args.every)
            run = track_keyframes(video, self.tracker, prompts, cancelled=self.cancelled, advance=advance)
        else:
            run = track_detections(
                video,
                self.tracker,
                sequence.detections(_detections(self.args, sequence)),
                self.rules,
                every=self.args.every or 1,
                cancelled=self.cancelled,
                advance=advance,
            )
        if run is None:
            return None
        association = self.metrics.evaluate(truth, run.boxes, len(sequence), classes)
        self._write_tracks(sequence, run)
        return SequenceResult(sequence.name, len(sequence), run, association)

    def report(self, done: Sequence[tuple[MotSequence, SequenceResult]], missing: Mapping[str, str]) -> str:
        """Write the scores; returns them as a table."""
        found = [result for _, result in done]
        combined = self.metrics.combine({result.name: result.association for result in found})
        detections = self.args.given == DETECTIONS
        settings = {
            "given": self.args.given,
            "every": self.args.every or (1 if detections else None),
            "rules": asdict(self.rules) if detections else None,
            "classes": self.args.classes,
            "limit": self.args.limit,
            **asdict(self.choice),
            "version": __version__,
            "missing": missing,
        }
        write_text(self.results.path(RESULTS), as_json(found, combined, settings))
        return as_table(found, combined)

    def _write_tracks(self, sequence: MotSequence, run: Run) -> None:
        directory = self.results.path(TRACKS)
        directory.mkdir(exist_ok=True)
        write_tracks(directory / f"{sequence.name}.txt", run.boxes)


def _check(args: argparse.Namespace, sequences: Sequence[MotSequence]) -> None:
    """Refuse before the models are loaded what would be refused after."""
    for sequence in sequences:
        sequence.truth()
        if args.given == DETECTIONS:
            sequence.detections(_detections(args, sequence))
    if args.detections is not None and not args.detections.is_dir() and len(sequences) > 1:
        raise SettingsError(
            f"--detections {args.detections}: one file for {len(sequences)} sequences; give a directory with a file "
            "for each, or name one sequence with --sequences"
        )


def _detections(args: argparse.Namespace, sequence: MotSequence) -> Path | None:
    path: Path | None = args.detections
    return path / f"{sequence.name}.txt" if path is not None and path.is_dir() else path


def _rules(args: argparse.Namespace) -> Rules:
    """What was chosen, checked against what it is for."""
    if args.given != DETECTIONS:
        for option in ("detections", "sure", "weak"):
            if getattr(args, option) is not None:
                raise SettingsError(f"--{option} is for --given {DETECTIONS}; give that, or leave it out")
        return DEFAULT_RULES
    return rules_from(args)


def _drawn(result: SequenceResult) -> list[TrackedObject]:
    return [TrackedObject(name, None, (), track) for name, track in result.run.tracks.items()]


def _classes(text: str) -> list[int]:
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of classes; write their numbers, such as 1,3")
    return sorted({int(part) for part in text.split(",")})
