"""``demo``: a real Label Studio with this backend and a ready-made project; ``demo --check`` proves that it works."""

from __future__ import annotations

import argparse
import importlib.metadata
import signal
import time
from types import FrameType
from typing import NoReturn

from backend import checkpoints
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.demo.check import judge, write_contact_sheet
from backend.demo.project import Clip, Project, demo_clips, make_project
from backend.demo.studio import Studio
from backend.demo.trial import Trial, opossum_trial, press_until_complete, street_trial
from backend.service.engine import choose
from backend.settings import Settings

HELP = (
    "Start Label Studio and the backend on free loopback ports, with an account, a project, two clips and a first "
    "track. Everything is kept in the directory demo under the data directory, and used again by the next start."
)
CLOSED = (signal.SIGTERM, signal.SIGHUP)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="track objects through Label Studio, compare them with the pixels, and exit",
    )
    parser.add_argument("--studio-port", type=int, help="port of Label Studio (default: a free one)")
    parser.add_argument("--port", type=int, dest="backend_port", help="port of the backend (default: a free one)")
    add_settings(parser, "data_dir", "weights_dir", *CHOICE, "threads", "budget_seconds")


def run(args: argparse.Namespace) -> int:
    """Run the demo until it is interrupted, or the check."""
    settings = settings_from(args)
    for number in CLOSED:  # as Ctrl-C: both servers are stopped, whatever ends this process
        signal.signal(number, _interrupt)
    started = time.monotonic()
    directory = settings.data_dir / "demo"
    for name in choose(settings).weights:
        checkpoints.fetch(name, settings.weights_dir)
    clips = demo_clips(directory / "clips")
    _say(f"starting Label Studio and the backend; their logs are in {directory}")
    with Studio(directory, settings, studio_port=args.studio_port, backend_port=args.backend_port) as studio:
        _say(f"both answer after {time.monotonic() - started:.0f} s; making the project")
        project = make_project(studio.client, studio.backend_url, clips)
        if args.check:
            passed = _check(project, {clip.name: clip for clip in clips}, settings)
            _say(f"{'PASS' if passed else 'FAIL'} after {time.monotonic() - started:.0f} s")
            return 0 if passed else 1
        if not project.has_prediction("street"):
            _say("tracking the car in the street clip, so that there is something to see")
            trial = _trials()[0]
            project.add_prediction(trial.clip, press_until_complete(project, trial, clips[0], _say).replies)
        _greet(studio, project)
        try:
            while True:
                studio.check()
                time.sleep(1)
        except KeyboardInterrupt:
            _say("\nstopping")
    return 0


def _trials() -> list[Trial]:
    return [street_trial("car", "Car", 20), street_trial("person", "Person", 20, "forward"), opossum_trial()]


def _check(project: Project, clips: dict[str, Clip], settings: Settings) -> bool:
    verdicts = []
    for trial in _trials():
        press = press_until_complete(project, trial, clips[trial.clip], _say)
        verdicts.append(judge(trial, clips[trial.clip], press))
    if not project.has_prediction("street"):
        project.add_prediction("street", verdicts[0].press.replies)
    sheet = settings.data_dir / "demo" / "contact-sheet.png"
    write_contact_sheet(sheet, verdicts, clips)
    _say(f"\nLabel Studio {importlib.metadata.version('label-studio')}, through its own interactive endpoint:")
    for verdict in verdicts:
        _say("  " + verdict.line())
        for problem in verdict.problems:
            _say(f"    {problem}")
    _say(f"contact sheet: {sheet}")
    return all(verdict.passed for verdict in verdicts)


def _greet(studio: Studio, project: Project) -> None:
    _say(
        f"""
Label Studio   {studio.url}
  email        {studio.account.email}
  password     {studio.account.password}
The backend    {studio.backend_url}

A track to look at:  {project.task_url("street")}
One to make:         {project.task_url("opossum")}
  Switch Auto-Annotation on (bottom bar). Choose Animal, draw a box around the opossum,
  click the box, press t. Press t again for the rest of the track.

Ctrl-C stops both."""
    )


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
