"""``prelabel``: whole projects are tracked before anybody opens their tasks, by as many machines as there are."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.detections import add_score_options
from backend.cli.interrupts import Interrupts
from backend.cli.label_config import add_label_config
from backend.cli.options import CHOICE, add_settings, settings_from, to_float
from backend.cli.prelabel_sources import check, open_videos, task_numbers
from backend.cli.prelabel_workers import find_workers
from backend.cli.studio import project_number
from backend.cli.worker_bars import WorkerBars
from backend.cli.workers import add_worker_options, check_worker_options
from backend.prelabel.jobs import Manner
from backend.prelabel.pieces import DEFAULT_PIECES, PieceRules
from backend.prelabel.report import PAGE, Report
from backend.prelabel.report_records import About
from backend.prelabel.run import Outcome
from backend.prelabel.run import run as run_all
from backend.settings import Settings

HELP = "Track the tasks of a Label Studio project, or other videos, without a press."
INTERRUPTED = 130
EPILOG = """\
which tasks:
  Those that have neither an annotation nor a prediction of these models, and at which nobody is at work. Each is looked
  at when its turn comes, and posted before the next one begins, so that a run that was interrupted or killed goes on
  where it was when it is started again. What failed is listed at the end, and then the exit status is 1.

what they are tracked by:
  the boxes of the newest prediction of another model, each keyframe on its own frame. With --annotated, of a task
  without such a prediction the boxes of its annotation. Of a task without boxes whatever looks like an object is
  tracked (--everything: of all tasks), under the project's only label or --label.

  With --detections of what a detector found: a file of COCO's that names its images, for all tasks of whose videos it
  has detections, or a det.txt of MOTChallenge for one task (--tasks 7). See track --help for the formats. A video is
  known by its file's name: the directory of the images, or their "video", is called as the task's file is, without
  extension. What the file has of no task is refused. Categories are labels of the project, unless --label is given.

With the data directory that serve has, a correction by pressing t builds on these tracks. --force takes those away that
it replaces, but for what somebody has drawn in or an annotation has: not while others begin with them.

videos of no project:
  --videos DIR are those under a directory, --manifest FILE those that a file names, a line of JSON each:
    {"video": "street.mp4", "label": "Car"}
    {"video": "clips/dog.mp4", "prompts": [{"name": "dog", "label": "Animal", "frame": 12, "box": [40, 30, 120, 90]}]}
    {"video": "https://media.example.org/a.mp4", "name": "a", "detections": "a.txt", "label": "Person"}
  with "prompts" (a list, or a file of them; see track --help), "detections" (and "detections_images") or neither: then
  whatever looks like an object is tracked. Files lie beside the manifest. "name" is what the results are called by,
  "url" the video's address in Label Studio, "frame_rate" the one that it takes. Hosts are those of --allowed-hosts.

  Each comes to DIR/NAME.json in --out, a task with its prediction to import into Label Studio, written when it is
  complete: a run that was interrupted goes on where it was, and what was asked for differently is tracked again, as is
  a file of another size or time of change. What lies behind an address is taken to be the same; --force does it again.

on several machines:
  --ray ADDRESS has the work done on a Ray cluster, each worker with the models and so many processors as --threads says
  (1); videos, weights and the data directory have the same paths on all machines, or are fetched by each. See
  docs/cluster.md.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    sources = parser.add_mutually_exclusive_group(required=True)
    sources.add_argument("--project", type=project_number, metavar="ID", help="the 3 in /projects/3/data")
    sources.add_argument("--videos", type=Path, metavar="DIR", help="instead: the videos of a directory, below")
    sources.add_argument("--manifest", type=Path, metavar="FILE", help="instead: the videos that it names, below")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where results go that are not a project's")
    add_label_config(parser)
    parser.add_argument("--report", type=Path, metavar="DIR", help="a page to skim: what was found in which video")
    parser.add_argument(
        "--tasks", type=task_numbers, metavar="N,N-N,...", help="these alone, such as 1,2,5-9 (default: all)"
    )
    parser.add_argument("--everything", action="store_true", help="whatever looks like an object, in all tasks")
    parser.add_argument("--detections", type=Path, metavar="FILE", help="what a detector found in their videos")
    parser.add_argument(
        "--detections-images", type=Path, metavar="FILE", help="for COCO's results, which image is which"
    )
    add_score_options(parser)
    parser.add_argument("--label", metavar="NAME", help="what all objects are (default: what is said of each)")
    parser.add_argument(
        "--annotated", action="store_true", help="also tasks at which somebody has worked; annotations stay"
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also tasks that have a prediction of these models, and videos that have results: in whose place it comes",
    )
    parser.add_argument(
        "--piece-seconds",
        type=_seconds,
        metavar="SECONDS",
        help="videos of more than one and a half pieces are tracked in pieces of about this length, which several "
        f"workers share; 0: none is (default: {DEFAULT_PIECES.seconds:g})",
    )
    add_worker_options(parser, count="as many as fit")
    add_settings(
        parser,
        "label_studio_url",
        "label_studio_token",
        "data_dir",
        "weights_dir",
        "media_root",
        "allowed_hosts",
        "max_media_bytes",
        "media_cache_bytes",
        *CHOICE,
        "xmem_mode",
        "keyframe_iou",
        "embedding_cache_bytes",
        "threads",
    )


def run(args: argparse.Namespace) -> int:
    """Track and keep what is found; 1 where a video failed or was not tried, 130 where Ctrl-C ended it."""
    settings = settings_from(args)
    check(args)
    check_worker_options(args)
    with Interrupts() as interrupts:
        outcome = _work(args, settings, lambda: interrupts.asked)
        interrupted = interrupts.asked
    print(outcome)
    for failure in outcome.failures:
        print(f"failed: {failure.name}: {failure.reason}")
    if args.report is not None:
        print(f"report: {args.report / PAGE}")
    if interrupted:
        kept = "posted" if args.project is not None else "written"
        print(f"interrupted; what was {kept} stays, and the same command goes on with the others")
        return INTERRUPTED
    if outcome.away:
        print("Label Studio went away; once it is back the same command goes on with the others")
    return 1 if outcome.failures or outcome.rest else 0


def _work(args: argparse.Namespace, settings: Settings, cancelled: Callable[[], bool]) -> Outcome:
    with ExitStack() as stack:
        choice, begin = stack.enter_context(find_workers(args, settings, cancelled))
        version = f"keytrack-{__version__}-{choice.name}"
        manner = Manner(version, settings.keyframe_iou, _pieces(args.piece_seconds), thumbnails=args.report is not None)
        videos = stack.enter_context(open_videos(args, settings, manner))
        report = None
        if args.report is not None:
            report = stack.enter_context(Report(args.report, About(videos.where, version)))
        stack.enter_context(logging_redirect_tqdm())
        bars = stack.enter_context(WorkerBars(videos.what))
        count = videos.find(bars.listed, cancelled)
        bars.begin(count)
        if report is not None:
            report.expect(count)
        outcome = Outcome(videos.what, rest=count)
        with begin(bars.rest) as workers:
            run_all(videos.source, workers, bars, outcome, reporter=report, cancelled=cancelled)
        return outcome


def _pieces(seconds: float | None) -> PieceRules:
    """Pieces of a length; short ones share less."""
    if seconds is None:
        return DEFAULT_PIECES
    return PieceRules(seconds, min(DEFAULT_PIECES.overlap, seconds / 4))


def _seconds(text: str) -> float:
    seconds = to_float(text)
    if not seconds >= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, or 0")
    return seconds
