"""``python -m backend``: finds the command and runs it.

A command's module is imported only when it is the one called, so that ``--help`` does not wait for torch.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Sequence

from backend import __version__, logs
from backend.cli.options import add_settings, settings_from
from backend.errors import KeytrackError
from backend.settings import Settings, reuse_memory, share_processors, unknown_variables

COMMANDS = {
    "serve": "run the backend that Label Studio talks to",
    "demo": "start Label Studio and the backend with a ready-made project",
    "track": "track objects through a video file, without Label Studio",
    "frames": "cut videos into images for Label Studio, on which masks can be drawn",
    "prelabel": "track the tasks of a Label Studio project before anybody opens them",
    "evaluate": "measure the tracks against a dataset whose truth is known",
    "benchmark": "time the stages of a press on this machine",
    "export": "write what was labelled in the formats of other tools",
    "weights": "list, fetch and verify model weights",
}

log = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 2 for a user's mistake, 130 when interrupted."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    share_processors()
    reuse_memory()
    try:
        args = make_parser(arguments).parse_args(arguments)
        _set_up_logging(settings_from(args))
        status: int = args.run(args)
        return status
    except KeytrackError as error:
        print(f"keytrack: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The command line's parser, with the options of the command that the arguments name."""
    parser = argparse.ArgumentParser(
        prog="python -m backend", description="Keytrack: a few keyframe prompts become whole video tracks."
    )
    parser.add_argument("--version", action="version", version=f"keytrack {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, conflict_handler="resolve")
        if name == called:
            module = importlib.import_module(f"backend.cli.{name}")
            command.description = module.HELP
            command.set_defaults(run=module.run)
            module.configure(command)
            add_settings(command, "log_level", "log_format")
    return parser


def _set_up_logging(settings: Settings) -> None:
    logs.set_up(settings.log_level, settings.log_format, sys.stderr)
    for name in unknown_variables():
        log.warning("the environment variable %s is no setting of Keytrack and is ignored", name)


if __name__ == "__main__":
    sys.exit(main())
