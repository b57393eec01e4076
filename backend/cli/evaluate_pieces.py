"""``evaluate pieces``: long videos tracked in pieces beside the same in one."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.detections import add_score_options, rules_from
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from, to_float
from backend.cli.sequences import INCOMPLETE, Evaluation, names, number
from backend.detections.files import read_detections
from backend.errors import SettingsError
from backend.evaluation.agreement import compare
from backend.evaluation.association import Association, AssociationMetrics, Classes
from backend.evaluation.mot import Run
from backend.evaluation.motchallenge import MotSequence, TruthBox, find_sequences, write_tracks
from backend.evaluation.pieces_report import PIECES, WAYS, WHOLE, PiecesResult, as_json, as_table
from backend.export.results import ResultsDirectory, write_text
from backend.export.tracked import TrackedObject
from backend.prelabel.finder import Finder
from backend.prelabel.given import Given, GivenDetections, GivenNothing
from backend.prelabel.joining import join
from backend.prelabel.pieces import DEFAULT_PIECES, Piece, PieceRules, PieceTracking, plan_pieces
from backend.service.engine import Choice, Tracker, choose, tracker_factory
from backend.tracking.lives import Rules
from backend.video.frames import Frames
from backend.video.reader import VideoReader

HELP = "Track videos in pieces and in one, as prelabel does with long ones, and compare the two."
RESULTS, TRACKS = "results.json", "tracks"
NAMES = (RESULTS, TRACKS, INCOMPLETE)
DETECTIONS, EVERYTHING = "detections", "everything"
EPILOG = f"""\
The table has, for each video, a line for the whole and one for the pieces, with TrackEval's scores (see evaluate mot)
where the truth is known; then the part of all boxes that agree in place (IoU of 0.5) and identity, which is IDF1 of one
beside the other, and what differs, object by object.
what is given:
  --given {DETECTIONS}  a detector's boxes on every N-th frame (--every, default: 1), of each sequence's det/det.txt
  --given {EVERYTHING}  nothing: whatever looks like an object is tracked
what is tracked:
  --root DIR     sequences in MOTChallenge's layout, see evaluate mot
  --video FILE   one video, whose truth nobody knows; its boxes are in --detections FILE (see track)
in the directory --out:
  {RESULTS}           all of it
  {TRACKS}/NAME.WAY.txt  the tracks of the whole and of the pieces, as MOTChallenge takes them
Ctrl-C keeps the videos that are done; {INCOMPLETE} then says which are missing, and why.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--root", type=Path, metavar="DIR", help="a directory in MOTChallenge's layout")
    source.add_argument("--video", type=Path, metavar="FILE", help="a video")
    parser.add_argument("--sequences", type=names, metavar="NAME,...", help="with --root, these alone (default: all)")
    parser.add_argument(
        "--given", choices=(DETECTIONS, EVERYTHING), default=DETECTIONS, help="see below (default: %(default)s)"
    )
    parser.add_argument("--every", type=number(1), metavar="N", help="see below")
    parser.add_argument("--detections", type=Path, metavar="FILE", help="with --video, what a detector found")
    add_score_options(parser)
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=DEFAULT_PIECES.seconds,
        metavar="S",
        help="how long a piece is, about (default: %(default)g)",
    )
    parser.add_argument(
        "--overlap",
        type=_seconds,
        default=DEFAULT_PIECES.overlap,
        metavar="S",
        help="what two pieces share unless a cut lies between them (default: %(default)g)",
    )
    parser.add_argument("--limit", type=number(2), metavar="N", help="the first N frames of each sequence only")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the results, new")
    parser.add_argument("--force", action="store_true", help="replace earlier results in --out")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "threads", "embedding_cache_bytes")


def run(args: argparse.Namespace) -> int:
    """Compare, write, and print a table; 130 where Ctrl-C ended it early, 2 where a video failed."""
    settings = settings_from(args)
    _check(args)
    rules = PieceRules(args.seconds, args.overlap)
    lives = rules_from(args)
    metrics = None if args.root is None else AssociationMetrics()
    cases = _sequences(args, lives) if args.video is None else [_video(args, lives)]
    with ResultsDirectory(args.out, NAMES, force=args.force) as results:
        choice = choose(settings)
        tracker = tracker_factory(settings, choice)()
        with Interrupts() as interrupts, logging_redirect_tqdm():
            work = _Work(args, rules, lives, choice, tracker, metrics, results, lambda: interrupts.asked)
            return Evaluation(args.out, results, work.cancelled, work.measure, work.report).run(cases)


@dataclass(frozen=True, eq=False)
class _Case:
    """A video, what it is tracked by, and where its objects are, if that is known."""

    name: str
    frames: Frames
    given: Given
    truth: Sequence[TruthBox] | None

    def __len__(self) -> int:
        """Each frame is tracked twice."""
        return 2 * len(self.frames)

    def video(self) -> Frames:
        return self.frames


@dataclass(frozen=True, eq=False)
class _Work:
    """What was asked, and what it is done with."""

    args: argparse.Namespace
    rules: PieceRules
    lives: Rules
    choice: Choice
    tracker: Tracker
    metrics: AssociationMetrics | None
    results: ResultsDirectory
    cancelled: Callable[[], bool]

    def measure(self, case: _Case, advance: Callable[[], None]) -> PiecesResult | None:
        """Track one video both ways, write the tracks, and compare them."""
        plan = plan_pieces(case.frames, self.rules, case.given)
        runs = {}
        for way, track in ((WHOLE, self._whole), (PIECES, self._pieces)):
            start = time.perf_counter()
            objects = track(case, plan, advance)
            if objects is None:
                return None
            tracks = {one.id: one.track for one in objects}
            runs[way] = Run(tracks, time.perf_counter() - start, _count(case.given))
        for way, run in runs.items():
            directory = self.results.path(TRACKS)
            directory.mkdir(exist_ok=True)
            write_tracks(directory / f"{case.name}.{way}.txt", run.boxes)
        agreement = compare(runs[WHOLE].tracks.values(), runs[PIECES].tracks.values(), WAYS)
        split = [(piece.frames.start, piece.frames.stop - 1, piece.cut) for piece in plan]
        return PiecesResult(case.name, len(case.frames), split, runs, agreement, self._scores(case, runs))

    def report(self, done: Sequence[tuple[_Case, PiecesResult]], missing: Mapping[str, str]) -> str:
        """Write the results; returns them as a table."""
        found = [result for _, result in done]
        combined = {}
        if self.metrics is not None:
            for way in WAYS:
                combined[way] = self.metrics.combine({result.name: result.scores[way] for result in found})
        settings = {
            "given": self.args.given,
            "every": self.args.every or 1,
            "limit": self.args.limit,
            "rules": asdict(self.rules),
            "lives": asdict(self.lives),
            **asdict(self.choice),
            "version": __version__,
            "missing": missing,
        }
        write_text(self.results.path(RESULTS), as_json(found, combined, settings))
        return as_table(found, combined)

    def _whole(self, case: _Case, plan: Sequence[Piece], advance: Callable[[], None]) -> list[TrackedObject] | None:
        finder = Finder(case.given)
        for _ in finder.run(self.tracker, case.frames, self.cancelled):
            advance()
        return None if self.cancelled() else finder.objects()

    def _pieces(self, case: _Case, plan: Sequence[Piece], advance: Callable[[], None]) -> list[TrackedObject] | None:
        results = []
        for piece in plan:
            work = PieceTracking(case.frames, case.given, piece)
            for frame in work.run(self.tracker, self.cancelled):
                if frame in piece.own:
                    advance()
            if self.cancelled():
                return None
            results.append(work.result)
        return join(results)

    def _scores(self, case: _Case, runs: Mapping[str, Run]) -> dict[str, Association]:
        if self.metrics is None or case.truth is None:
            return {}
        classes = Classes.of(case.name)
        count = len(case.frames)
        return {way: self.metrics.evaluate(case.truth, run.boxes, count, classes) for way, run in runs.items()}


def _check(args: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if args.given == EVERYTHING:
        for option in ("every", "detections", "sure", "weak"):
            if getattr(args, option) is not None:
                raise SettingsError(f"--{option} is for --given {DETECTIONS}; give that, or leave it out")
    if args.video is None and args.detections is not None:
        raise SettingsError("--detections is for --video; sequences have theirs in NAME/det/det.txt")
    if args.video is not None:
        for option in ("sequences", "every", "limit"):
            if getattr(args, option) is not None:
                raise SettingsError(f"--{option} is for --root; leave it out")
        if args.given == DETECTIONS and args.detections is None:
            raise SettingsError(f"what is --video tracked by? give --detections FILE, or --given {EVERYTHING}")


def _sequences(args: argparse.Namespace, lives: Rules) -> list[_Case]:
    found = find_sequences(args.root, args.sequences)
    if args.limit is not None:
        found = [sequence.beginning(args.limit) for sequence in found]
    return [_sequence(args, lives, sequence) for sequence in found]


def _sequence(args: argparse.Namespace, lives: Rules, sequence: MotSequence) -> _Case:
    given: Given = GivenNothing()
    if args.given == DETECTIONS:
        detections = sequence.detections()
        frames = range(0, len(sequence), args.every or 1)
        given = GivenDetections({frame: detections.get(frame, ()) for frame in frames}, lives)
    return _Case(sequence.name, sequence.video(), given, sequence.truth())


def _video(args: argparse.Namespace, lives: Rules) -> _Case:
    video = VideoReader(args.video)
    given: Given = GivenNothing()
    if args.given == DETECTIONS:
        given = GivenDetections(read_detections(args.detections, video), lives)
    return _Case(args.video.stem, video, given, None)


def _count(given: Given) -> int:
    """How many boxes were given."""
    return sum(map(len, given.detections.values())) if isinstance(given, GivenDetections) else 0


def _seconds(text: str) -> float:
    seconds = to_float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, from 0 on")
    return seconds
