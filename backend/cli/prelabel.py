"""``prelabel``: the tasks of a Label Studio project are tracked before anybody opens them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.detections import add_score_options, rules_from
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.cli.studio import project_number, studio_client
from backend.cli.worker_bars import WorkerBars
from backend.detections.files import open_detections
from backend.errors import SettingsError
from backend.labelstudio.config import VideoConfig, parse_config
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.labelstudio.project import read_label_config
from backend.prelabel.doing import Doer
from backend.prelabel.from_file import FromFile
from backend.prelabel.jobs import Manner
from backend.prelabel.project import ProjectTasks, Wish
from backend.prelabel.run import Outcome
from backend.prelabel.run import run as run_all
from backend.prelabel.workers import InProcess
from backend.service.engine import Engine, choose, tracker_factory
from backend.service.store import DATABASE, Store

HELP = "Track the tasks of a Label Studio project without a press, and give each its prediction."
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
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--project", type=project_number, required=True, metavar="ID", help="the 3 in /projects/3/data")
    parser.add_argument("--tasks", type=_tasks, metavar="N,N-N,...", help="these alone, such as 1,2,5-9 (default: all)")
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
        help="also tasks that have a prediction of these models, in whose place it comes",
    )
    add_settings(
        parser,
        "label_studio_url",
        "label_studio_token",
        "data_dir",
        "weights_dir",
        "media_root",
        "allowed_hosts",
        "max_media_bytes",
        *CHOICE,
        "xmem_mode",
        "keyframe_iou",
        "embedding_cache_bytes",
        "threads",
    )


def run(args: argparse.Namespace) -> int:
    """Track and post; 1 where a task failed or was not tried, 130 where Ctrl-C ended it."""
    settings = settings_from(args)
    _check(args)
    choice = choose(settings)
    with ExitStack() as stack:
        client = stack.enter_context(studio_client(settings))
        config = parse_config(read_label_config(client, args.project))
        wish = _wish(args, config)
        library = MediaLibrary(settings)
        stack.callback(library.close)
        store = Store(settings.data_dir / DATABASE)
        stack.callback(store.close)
        access = LabelStudioAccess(client.url, settings.label_studio_token)
        tasks = ProjectTasks(
            client,
            args.project,
            config,
            store=store,
            manner=Manner(f"keytrack-{__version__}-{choice.name}", settings.keyframe_iou),
            wish=wish,
        )
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(logging_redirect_tqdm())
        engine = Engine(tracker_factory(settings, choice))
        workers = InProcess(Doer(engine.tracker, lambda name: library.resolve(name, access)))
        outcome = Outcome()
        with WorkerBars() as bars:
            numbers = tasks.find(cancelled=lambda: interrupts.asked, listed=bars.listed)
            if not interrupts.asked:
                _check_tasks(wish, numbers)
            bars.begin(len(numbers))
            outcome.rest = len(numbers)
            run_all(tasks, workers, bars, outcome, cancelled=lambda: interrupts.asked)
        interrupted = interrupts.asked
    print(outcome)
    for failure in outcome.failures:
        print(f"failed: {failure.name}: {failure.reason}")
    if interrupted:
        print("interrupted; what was posted stays, and the same command goes on with the others")
        return INTERRUPTED
    if outcome.away:
        print("Label Studio went away; once it is back the same command goes on with the others")
    return 1 if outcome.failures or outcome.rest else 0


def _check(args: argparse.Namespace) -> None:
    """One way of tracking, and no option of another."""
    if args.detections is not None and args.everything:
        raise SettingsError("--detections and --everything say each what to track by: give one of them")
    for name in ("detections_images", "sure", "weak"):
        if args.detections is None and getattr(args, name) is not None:
            raise SettingsError(f"--{name.replace('_', '-')} is for --detections")


def _wish(args: argparse.Namespace, config: VideoConfig) -> Wish:
    labels = ", ".join(config.labels) or "none"
    if args.label is not None and args.label not in config.labels:
        raise SettingsError(f"--label {args.label}: the project has no such label, only {labels}")
    if args.everything and args.label is None and len(config.labels) != 1:
        raise SettingsError(f"--everything: say by --label what the objects are; the project has {labels}")
    detections = None
    if args.detections is not None:
        file = open_detections(args.detections, args.detections_images)
        detections = FromFile(file, label=args.label, labels=config.labels, rules=rules_from(args))
    return Wish(
        args.tasks,
        "always" if args.everything else "without boxes",
        args.label,
        detections,
        again=args.force,
        annotated=args.annotated,
    )


def _check_tasks(wish: Wish, numbers: Collection[int]) -> None:
    missing = set(wish.tasks or ()) - set(numbers)
    if missing:
        raise SettingsError(f"--tasks: the project has no task {_some(missing)}")
    if wish.detections is not None:
        wish.detections.check(chosen=wish.tasks is not None)


def _some(numbers: Collection[int]) -> str:
    """The first few numbers, for a message."""
    first = sorted(numbers)[:_SHOWN]
    more = len(numbers) - len(first)
    return ", ".join(map(str, first)) + (f" and {more} more" if more else "")


def _tasks(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if not first <= last < first + _MOST_TASKS:
            raise argparse.ArgumentTypeError(f"{part!r} is no task and no range of tasks; write such as 1,2,5-9")
        found.update(range(first, last + 1))
    return frozenset(found)


# Tasks that a message names.
_SHOWN = 10

# In one range: enough for any project, and no way to fill the memory by a typing mistake.
_MOST_TASKS = 1_000_000
