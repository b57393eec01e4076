"""Where ``prelabel`` takes videos from: a project of Label Studio, a directory, or a manifest."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from backend.cli.detections import rules_from
from backend.cli.label_config import read_config
from backend.cli.studio import studio_client
from backend.detections.files import open_detections
from backend.errors import SettingsError
from backend.labelstudio.config import VideoConfig, parse_config
from backend.labelstudio.project import read_label_config
from backend.prelabel.from_file import FromFile
from backend.prelabel.jobs import Manner
from backend.prelabel.listed import ListedVideos
from backend.prelabel.project import ProjectTasks, Wish
from backend.prelabel.rows import Defaults, of_directory, of_manifest
from backend.prelabel.run import Source
from backend.service.store import DATABASE, Store
from backend.settings import Settings

# Which options are for which source alone.
_PROJECT = ("tasks", "annotated", "everything")
_LISTED = ("out", "label_config")
_DETECTIONS = ("detections", "detections_images")


@dataclass(frozen=True, eq=False)
class Videos:
    """A source of videos.

    Attributes:
        what: one of them is called.
        where: they are from, in words.
        find: finds out which there are, and how many; is told to call for each, and whom to ask whether it was
            cancelled.
        source: gives them, once they were found.
    """

    what: str
    where: str
    find: Callable[[Callable[[], None], Callable[[], bool]], int]
    source: Source


def check(args: argparse.Namespace) -> None:
    """One way of tracking, and no option of another.

    Raises:
        SettingsError: options that do not go together.
    """
    if args.detections is not None and args.everything:
        raise SettingsError("--detections and --everything say each what to track by: give one of them")
    for name in ("detections_images", "sure", "weak"):
        if args.detections is None and args.manifest is None and getattr(args, name) is not None:
            raise SettingsError(f"--{name.replace('_', '-')} is for --detections")
    if args.project is not None:
        _refuse(args, _LISTED, "--videos and --manifest")
        return
    _refuse(args, _PROJECT, "--project")
    if args.manifest is not None:
        _refuse(args, _DETECTIONS, "--project and --videos: in a manifest each row names its own")
    if args.out is None:
        raise SettingsError("--videos and --manifest need --out DIR, where the results go")
    if args.out.exists() and not args.out.is_dir():
        raise SettingsError(f"--out {args.out} is a file; give a directory")


def _refuse(args: argparse.Namespace, names: Collection[str], whose: str) -> None:
    for name in names:
        if getattr(args, name) not in (None, False):
            raise SettingsError(f"--{name.replace('_', '-')} is for {whose}")


@contextmanager
def open_videos(args: argparse.Namespace, settings: Settings, manner: Manner) -> Iterator[Videos]:
    """The source that was asked for.

    Args:
        args: checked by :func:`check`.
        settings: of the run.
        manner: how videos are tracked.

    Raises:
        KeytrackError: it cannot be read, or does not go together with the options.
    """
    if args.project is not None:
        with _project(args, settings, manner) as videos:
            yield videos
        return
    config = read_config(args.label_config)
    rules = rules_from(args)
    defaults = Defaults(config, None, rules)
    defaults = Defaults(config, defaults.check(args.label, "--label"), rules)
    path = args.videos or args.manifest
    listed = of_manifest(path, defaults) if args.manifest else of_directory(path, defaults, _detections(args, config))
    source = ListedVideos(listed, config, args.out, manner=manner, again=args.force)
    yield Videos("video", str(path), lambda each, cancelled: len(source), source)


@contextmanager
def _project(args: argparse.Namespace, settings: Settings, manner: Manner) -> Iterator[Videos]:
    with studio_client(settings) as client:
        config = parse_config(read_label_config(client, args.project))
        wish = _wish(args, config)
        store = Store(settings.data_dir / DATABASE)
        try:
            source = ProjectTasks(client, args.project, config, store=store, manner=manner, wish=wish)

            def find(each: Callable[[], None], cancelled: Callable[[], bool]) -> int:
                numbers = source.find(cancelled=cancelled, listed=each)
                if not cancelled():
                    _check_tasks(wish, numbers)
                return len(numbers)

            yield Videos("task", f"project {args.project} of {client.url}", find, source)
        finally:
            store.close()


def _wish(args: argparse.Namespace, config: VideoConfig) -> Wish:
    labels = ", ".join(config.labels) or "none"
    if args.label is not None and args.label not in config.labels:
        raise SettingsError(f"--label {args.label}: the project has no such label, only {labels}")
    if args.everything and args.label is None and len(config.labels) != 1:
        raise SettingsError(f"--everything: say by --label what the objects are; the project has {labels}")
    return Wish(
        args.tasks,
        "always" if args.everything else "without boxes",
        args.label,
        _detections(args, config),
        again=args.force,
        annotated=args.annotated,
    )


def _detections(args: argparse.Namespace, config: VideoConfig) -> FromFile | None:
    if args.detections is None:
        return None
    file = open_detections(args.detections, args.detections_images)
    return FromFile(file, label=args.label, labels=config.labels, rules=rules_from(args))


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


def task_numbers(text: str) -> frozenset[int]:
    """An option's numbers of tasks; to be given as its ``type``."""
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
