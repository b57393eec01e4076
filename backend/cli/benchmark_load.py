"""``benchmark --load``: whether the service bears a team, and what its answers are worth meanwhile."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from backend import __version__
from backend.cli.options import add_settings, to_float
from backend.errors import SettingsError
from backend.evaluation.benchmark_cases import RESOLUTIONS
from backend.settings import Settings

NAME = "load"
MOST_ANNOTATORS = 200
MOST_VIDEOS = 25
MOST_MINUTES = 24 * 60.0
FRAMES = 24
OWN = ("annotators", "videos", "minutes")
"""Its options, which nothing else heeds."""
REFUSED = ("objects", "lengths", "repeats", "against")
"""Options of other benchmarks that say nothing here."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those of other benchmarks that are heeded too are ``--frames`` and ``--resolutions``."""
    parser.add_argument(
        "--load",
        action="store_true",
        help="instead of presses one by one, time those of a team: starts the service and lets many annotators press, "
        f"correct and change their minds at once; --frames (default: {FRAMES}) and --resolutions (one) say how large "
        f"the videos are, and a directory --out gets {NAME}.json and {NAME}.md",
    )
    parser.add_argument(
        "--annotators", type=_count(MOST_ANNOTATORS), metavar="N", help="with --load, how many (default: 20)"
    )
    parser.add_argument(
        "--videos", type=_count(MOST_VIDEOS), metavar="N", help="with --load, how many they share (default: 5)"
    )
    parser.add_argument("--minutes", type=_minutes, metavar="M", help="with --load, for how long (default: 10)")
    add_settings(parser, "budget_seconds", "max_jobs")


def run(args: argparse.Namespace, settings: Settings, places: tuple[Path, Path]) -> int:
    """What ``--load`` does with the options.

    Raises:
        SettingsError: an option that does not go with it, or several resolutions.
    """
    for name in (*REFUSED, "xmem_forms", "timed_modes", "quick"):
        if getattr(args, name):
            option = "--xmem-mode" if name == "timed_modes" else "--" + name.replace("_", "-")
            raise SettingsError(f"{option}: there is none with --load; leave one of them out")
    names = args.resolutions or ("480p",)
    if len(names) > 1:
        raise SettingsError(f"--resolutions: with --load all videos have one; give one instead of {len(names)}")
    return measure(
        settings,
        places,
        annotators=args.annotators or 20,
        videos=args.videos or 5,
        frames=args.frames or FRAMES,
        size=RESOLUTIONS[names[0]],
        minutes=args.minutes or 10.0,
    )


def measure(
    settings: Settings,
    places: tuple[Path, Path],
    *,
    annotators: int,
    videos: int,
    frames: int,
    size: tuple[int, int],
    minutes: float,
) -> int:
    """Run the load, write the report, and print its Markdown.

    Args:
        settings: of the service.
        places: of the JSON and of the Markdown.
        annotators: who work at once.
        videos: that they share.
        frames: of each video.
        size: width and height of the videos.
        minutes: that they work.

    Returns:
        The exit status: 1 where there was an error other than "busy", a wrong answer, or no orderly end.

    Raises:
        StartError: the service did not start.
        OutputError: the report cannot be written.
    """
    from backend.evaluation.load import LoadPlan, run_load
    from backend.evaluation.load_report import LoadReport, to_markdown
    from backend.evaluation.machine import commit, describe, load_average
    from backend.export.results import write_text
    from backend.segmentation.build import fast_dtype
    from backend.service.engine import choose

    load = load_average()
    settings = choose(settings).applied(settings)
    plan = LoadPlan(annotators, videos, frames, *size, seconds=60 * minutes)
    with tempfile.TemporaryDirectory(prefix="keytrack-load-") as directory:
        found = run_load(plan, settings, Path(directory))
    report = LoadReport(
        version=__version__,
        commit=commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=describe(settings.device, fast_dtype(settings.device)),
        load=load,
        seed=plan.seed,
        annotators=annotators,
        videos=videos,
        video_frames=frames,
        width=size[0],
        height=size[1],
        budget_seconds=settings.budget_seconds,
        minutes=found.seconds / 60,
        opened=found.tally.opened,
        finished=found.tally.finished,
        frames=found.tally.frames,
        presses=found.presses,
        health=found.health,
        busy=found.tally.busy,
        errors=dict(found.tally.errors),
        wrong=dict(found.tally.wrong),
        examples=tuple(found.tally.examples),
        memory=found.memory,
        ended=found.ended,
    )
    text = to_markdown(report)
    write_text(places[0], report.model_dump_json(indent=1) + "\n")
    write_text(places[1], text)
    print(text)
    return 0 if report.passed else 1


def _count(most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text.strip()) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {most}")
        return int(text)

    return parse


def _minutes(text: str) -> float:
    value = to_float(text)
    if not 0 < value <= MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0 and up to {MOST_MINUTES:g}")
    return value
