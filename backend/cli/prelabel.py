"""``prelabel``: the tasks of a Label Studio project are tracked before anybody opens them."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NoReturn

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend import __version__
from backend.cli.interrupts import Interrupts
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.errors import SettingsError
from backend.labelstudio.client import LabelStudioClient
from backend.labelstudio.config import VideoConfig, parse_config
from backend.labelstudio.media import LabelStudioAccess, MediaLibrary
from backend.labelstudio.project import read_label_config
from backend.prelabel.project import Entry, Failure, ProjectTasks, Wish
from backend.prelabel.project import run as run_tasks
from backend.service.engine import Engine, choose, tracker_factory
from backend.service.store import DATABASE, Store

HELP = "Track the tasks of a Label Studio project without a press, and give each its prediction."
INTERRUPTED = 130
EPILOG = """\
which tasks:
  Those that have neither an annotation nor a prediction of these models. Each is posted before the next one begins, so
  that a run that was interrupted goes on where it was when it is started again. A task that fails is listed at the end.

what they are tracked by:
  the boxes of the newest prediction of another model, each keyframe on its own frame. With --annotated, of a task
  without such a prediction the boxes of its annotation. Of a task without boxes whatever looks like an object is
  tracked (--everything: of all tasks), under the project's only label or --label.

With the data directory that serve has, a correction by pressing t builds on these tracks.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--project", type=_number, required=True, metavar="ID", help="the 3 in /projects/3/data")
    parser.add_argument("--tasks", type=_tasks, metavar="N,N-N,...", help="these alone, such as 1,2,5-9 (default: all)")
    parser.add_argument("--everything", action="store_true", help="whatever looks like an object, in all tasks")
    parser.add_argument("--label", metavar="NAME", help="what all objects are (default: what is said of each)")
    parser.add_argument("--annotated", action="store_true", help="also tasks that have an annotation, which stays")
    parser.add_argument(
        "--force", action="store_true", help="also tasks that have a prediction of these models, in its place"
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
    """Track and post; 1 where a task failed, 130 where Ctrl-C ended it."""
    settings = settings_from(args)
    if settings.label_studio_url is None or settings.label_studio_token is None:
        raise SettingsError(
            "a project is read through Label Studio's API: give --label-studio-url and --label-studio-token, or set "
            "KEYTRACK_LABEL_STUDIO_URL and KEYTRACK_LABEL_STUDIO_TOKEN"
        )
    choice = choose(settings)
    with ExitStack() as stack:
        client = LabelStudioClient(settings.label_studio_url, settings.label_studio_token)
        stack.callback(client.close)
        config = parse_config(read_label_config(client, args.project))
        _check_label(args, config)
        library = MediaLibrary(settings)
        stack.callback(library.close)
        store = Store(settings.data_dir / DATABASE)
        stack.callback(store.close)
        access = LabelStudioAccess(settings.label_studio_url, settings.label_studio_token)
        tasks = ProjectTasks(
            client,
            args.project,
            config,
            fetch=lambda name: library.resolve(name, access),
            store=store,
            model_version=f"keytrack-{__version__}-{choice.name}",
            keyframe_iou=settings.keyframe_iou,
            wish=Wish(
                args.tasks,
                "always" if args.everything else "without boxes",
                args.label,
                again=args.force,
                annotated=args.annotated,
            ),
        )
        interrupts = stack.enter_context(Interrupts())
        stack.enter_context(logging_redirect_tqdm())
        entries = _list(tasks, args, lambda: interrupts.asked)
        engine = Engine(tracker_factory(settings, choice))
        failures = _work(tasks, entries, engine, lambda: interrupts.asked)
        interrupted = interrupts.asked
    if interrupted:
        print("interrupted; what was posted stays, and the same command goes on with the others")
        return INTERRUPTED
    for failure in failures:
        print(f"failed: task {failure.number}: {failure.reason}")
    return 1 if failures else 0


def _check_label(args: argparse.Namespace, config: VideoConfig) -> None:
    labels = ", ".join(config.labels) or "none"
    if args.label is not None and args.label not in config.labels:
        raise SettingsError(f"--label {args.label}: the project has no such label, only {labels}")
    if args.everything and args.label is None and len(config.labels) != 1:
        raise SettingsError(f"--everything: say by --label what the objects are; the project has {labels}")


def _list(tasks: ProjectTasks, args: argparse.Namespace, cancelled: Callable[[], bool]) -> list[Entry]:
    found = tasks.entries(cancelled)
    entries = list(tqdm(found, desc="listing", unit="task", disable=None))
    missing = set(args.tasks or ()) - {entry.number for entry in entries}
    if missing and not cancelled():
        raise SettingsError(f"--tasks: project {args.project} has no task {', '.join(map(str, sorted(missing)))}")
    return entries


def _work(
    tasks: ProjectTasks, entries: Sequence[Entry], engine: Engine, cancelled: Callable[[], bool]
) -> list[Failure]:
    with tqdm(total=len(entries), desc="tasks", unit="task", disable=None) as bar:
        frames = _Frames(bar)
        return run_tasks(
            tasks,
            entries,
            engine.tracker,
            say=lambda line: bar.write(line),
            cancelled=cancelled,
            done=frames.done,
            advance=frames.advance,
        )


class _Frames:
    """Shows beside the tasks how far the present one is."""

    def __init__(self, bar: tqdm[NoReturn]) -> None:
        self._bar = bar
        self._count = 0

    def advance(self, total: int) -> None:
        self._count += 1
        self._bar.set_postfix_str(f"frame {min(self._count, total)} of {total}")

    def done(self) -> None:
        self._count = 0
        self._bar.set_postfix_str("")
        self._bar.update()


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no project's number, such as the 3 in /projects/3/data")
    return int(text)


def _tasks(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part, re.ASCII)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if not first <= last < first + _MOST_TASKS:
            raise argparse.ArgumentTypeError(f"{part!r} is no task and no range of tasks; write such as 1,2,5-9")
        found.update(range(first, last + 1))
    return frozenset(found)


# In one range: enough for any project, and no way to fill the memory by a typing mistake.
_MOST_TASKS = 1_000_000
