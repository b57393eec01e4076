"""``benchmark``: where the time of a press goes on this machine."""

from __future__ import annotations

import argparse
import logging
import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from backend import __version__
from backend.cli import benchmark_load, benchmark_xmem
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.errors import OutputError, SettingsError
from backend.evaluation.benchmark_cases import MOST_OBJECTS, RESOLUTIONS, make_cases
from backend.settings import Settings

if TYPE_CHECKING:
    from backend.evaluation.benchmark_report import Case, Machine, Measured
    from backend.tracking.build import Models

HELP = (
    "Time the stages of a press and of clicks, on clips drawn for it. Objects, resolution and length are varied one "
    "at a time; meanwhile the first of the others holds."
)
NAME = "benchmark"
WARM_UP = 8
"""Frames that are tracked before anything is timed."""

log = logging.getLogger(__name__)


class _Plan(NamedTuple):
    """What is varied, one at a time: meanwhile the first of the others holds."""

    objects: tuple[int, ...]
    resolutions: tuple[str, ...]
    lengths: tuple[int, ...]
    frames: int
    repeats: int


USUAL = _Plan((1, 3, 10, 30), ("480p", "720p", "1080p"), (60, 240, 720), 60, 3)
QUICK = _Plan((1, 3), ("480p",), (), 12, 2)
_LONGEST = 100_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    _add(parser, "objects", _numbers(1, MOST_OBJECTS), "N,...", f"numbers of objects, up to {MOST_OBJECTS}")
    _add(parser, "resolutions", _resolutions, "NAME,...", f"of {', '.join(RESOLUTIONS)}")
    _add(parser, "lengths", _numbers(2, _LONGEST), "N,...", "lengths in frames")
    _add(parser, "frames", _number(2, _LONGEST), "N", "length where objects and resolutions are varied")
    _add(parser, "repeats", _number(1, 100), "K", "presses that are timed")
    parser.add_argument("--quick", action="store_true", help=f"a first look: {_named(QUICK)}, where not given")
    parser.add_argument(
        "--against", type=Path, metavar="OLD.json", help="an earlier benchmark's file, to print ratios to"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE.json|DIR",
        help=f"a new file, beside which the Markdown goes; or a directory, for {NAME}.json and {NAME}.md",
    )
    parser.add_argument(
        "--xmem-forms",
        action="store_true",
        help="instead of presses, time XMem's network as its paper writes it and as it runs here, with --objects and "
        f"--repeats; a directory --out gets {benchmark_xmem.NAME}.json and {benchmark_xmem.NAME}.md",
    )
    parser.add_argument(
        "--xmem-mode",
        dest="timed_modes",  # the setting of this name takes one
        action="append",
        choices=benchmark_xmem.MODES,
        help="with --xmem-forms, time this as well (repeatable): compile for torch.compile, graphs for CUDA graphs",
    )
    benchmark_load.configure(parser)
    parser.add_argument("--force", action="store_true", help="replace an earlier benchmark's files")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "threads", "keyframe_iou", "embedding_cache_bytes")


def run(args: argparse.Namespace) -> int:
    """Measure every case, save what was measured after each, and print the Markdown."""
    from backend.evaluation.benchmark_ratio import check_comparable, compare
    from backend.evaluation.benchmark_report import Report, read_report, write_report
    from backend.evaluation.benchmark_text import to_markdown
    from backend.evaluation.child import in_child
    from backend.evaluation.machine import commit, load_average
    from backend.export.results import write_text

    settings = settings_from(args)
    plan = _plan(args)
    if args.load:
        return benchmark_load.run(args, settings, _places(args.out, benchmark_load.NAME, force=args.force))
    for name in benchmark_load.OWN:
        if getattr(args, name) is not None:
            raise SettingsError(f"--{name}: there is none without --load; add that, or leave it out")
    if args.xmem_forms:
        return _xmem_forms(args, settings, plan)
    if args.timed_modes:
        raise SettingsError("--xmem-mode: there is none without --xmem-forms; add that, or leave it out")
    cases = make_cases(plan.objects, plan.resolutions, plan.lengths, plan.frames)
    path, text_path = _places(args.out, NAME, force=args.force)
    old = read_report(args.against) if args.against else None
    if old is not None:
        check_comparable(args.against, old, cases)
    load = load_average()
    settings, machine = in_child(_prepare, settings)
    report = Report(
        version=__version__,
        commit=commit(),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        profile=settings.profile,
        segmenter=settings.segmenter,
        propagator=settings.propagator,
        machine=machine,
        load=load,
        repeats=plan.repeats,
        warm_up=WARM_UP,
        cases=(),
    )
    text = ""
    for number, case in enumerate(cases, start=1):
        log.info("case %d of %d: %s", number, len(cases), case)
        clicks = (case.objects, case.frames) == (cases[0].objects, cases[0].frames)
        measured = _measure_case(settings, case, plan.repeats, clicks)
        report = report.model_copy(update={"cases": (*report.cases, measured)})
        text = to_markdown(report, compare(report, old) if old is not None else None)
        write_report(path, report)
        write_text(text_path, text)
    print(text)
    return 0


def _xmem_forms(args: argparse.Namespace, settings: Settings, plan: _Plan) -> int:
    for name in ("resolutions", "lengths", "frames", "against"):
        if getattr(args, name) is not None:
            raise SettingsError(f"--{name}: there is none with --xmem-forms; leave one of them out")
    places = _places(args.out, benchmark_xmem.NAME, force=args.force)
    modes = tuple(dict.fromkeys(args.timed_modes or ()))
    benchmark_xmem.measure(settings, plan.objects, plan.repeats, modes, places)
    return 0


def _plan(args: argparse.Namespace) -> _Plan:
    given = {name: getattr(args, name) for name in _Plan._fields if getattr(args, name) is not None}
    return (QUICK if args.quick else USUAL)._replace(**given)


def _measure_case(settings: Settings, case: Case, repeats: int, clicks: bool) -> Measured:
    from backend.evaluation.child import in_child
    from backend.evaluation.moving_scene import scene_of

    # The clip is drawn here, so that the measuring process has done nothing but measure.
    with tempfile.TemporaryDirectory(prefix="keytrack-benchmark-") as directory:
        clip = Path(directory) / "clip.mp4"
        scene_of(case).write(clip)
        return in_child(_measure, settings, case, clip, repeats, clicks)


def _prepare(settings: Settings) -> tuple[Settings, Machine]:
    """The settings with device and models resolved, and the machine; fetches the weights."""
    from backend.evaluation.machine import describe
    from backend.service.engine import choose

    settings = choose(settings).applied(settings)
    return settings, describe(settings.device, _load(settings).segmenter.dtype)


def _measure(settings: Settings, case: Case, clip: Path, repeats: int, clicks: bool) -> Measured:
    from backend.evaluation.benchmark import Bench

    bench = Bench(_load(settings), settings.profile, clip, case, settings.keyframe_iou, settings.embedding_cache_bytes)
    return bench.measure(warm_up=WARM_UP, repeats=repeats, clicks=clicks)


def _load(settings: Settings) -> Models:
    import torch

    from backend.tracking.build import load_models

    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    return load_models(settings)


def _places(out: Path, name: str, *, force: bool) -> tuple[Path, Path]:
    """The JSON file and the Markdown file, in a directory that is there.

    Raises:
        OutputError: one of them is there already, or there can be no such directory.
    """
    path = out if out.suffix == ".json" and not out.is_dir() else out / f"{name}.json"
    places = path, path.with_suffix(".md")
    for place in places:
        if place.exists() and not force:
            raise OutputError(f"--out {place} is there already; give another, or --force to replace it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {path.parent}: cannot be made ({error.strerror}); give another") from error
    return places


def _add(
    parser: argparse.ArgumentParser, name: str, kind: Callable[[str], object], metavar: str, description: str
) -> None:
    default = _shown(getattr(USUAL, name))
    parser.add_argument(f"--{name}", type=kind, metavar=metavar, help=f"{description} (default: {default})")


def _named(plan: _Plan) -> str:
    return ", ".join(f"--{name} {_shown(value)}" for name, value in plan._asdict().items() if value != ())


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"\d{1,9}", text.strip()) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return parse


def _numbers(least: int, most: int) -> Callable[[str], tuple[int, ...]]:
    parse = _number(least, most)
    return lambda text: tuple(parse(part) for part in text.split(","))


def _resolutions(text: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in text.split(","))
    unknown = [name for name in names if name not in RESOLUTIONS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is no resolution; choose of {', '.join(RESOLUTIONS)}")
    return names
