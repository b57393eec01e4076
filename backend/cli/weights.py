"""``weights list``, ``weights fetch NAME...`` and ``weights verify``."""

from __future__ import annotations

import argparse

from backend import checkpoints
from backend.checkpoints import CATALOGUE, PROFILES
from backend.cli.options import CHOICE, add_settings, settings_from
from backend.settings import Settings

HELP = "List, fetch and verify model weights."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the three actions."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show the catalogue and what is there")
    listing.set_defaults(action=_list)
    fetching = actions.add_parser("fetch", help="fetch weights that are missing or damaged")
    fetching.add_argument("names", nargs="+", metavar="NAME", help=f"weights, or a profile: {', '.join(PROFILES)}")
    fetching.set_defaults(action=_fetch)
    verifying = actions.add_parser("verify", help="read weights again and compare them with their sha256")
    verifying.add_argument("names", nargs="*", metavar="NAME", help="weights or profiles (default: all that are there)")
    verifying.set_defaults(action=_verify)
    for action in (listing, fetching, verifying):
        add_settings(action, "weights_dir", "data_dir", "log_level")
    add_settings(listing, *CHOICE)


def run(args: argparse.Namespace) -> int:
    """Carry out the chosen action."""
    action = args.action
    status: int = action(args, settings_from(args))
    return status


def _list(args: argparse.Namespace, settings: Settings) -> int:
    from backend.service.engine import choose

    directory = settings.weights_dir
    row = "{:<12} {:>8}  {:<11} {:<5} {:<8} {}".format
    print(row("name", "size", "licence", "here", "profile", "what it is"))
    for checkpoint in CATALOGUE.values():
        here = "yes" if (directory / checkpoint.filename).is_file() else "no"
        profiles = ",".join(profile for profile, members in PROFILES.items() if checkpoint.name in members)
        size = f"{checkpoint.size / 1e6:.0f} MB"
        print(row(checkpoint.name, size, checkpoint.licence, here, profiles, checkpoint.description))
    print(f"\nweights directory: {directory}")
    choice = choose(settings)
    print(f"in use: {choice}, which takes {', '.join(choice.weights)}")
    return 0


def _fetch(args: argparse.Namespace, settings: Settings) -> int:
    for checkpoint in checkpoints.expand(args.names):
        path = checkpoints.fetch(checkpoint.name, settings.weights_dir)
        print(f"{checkpoint.name}: {path}")
    return 0


def _verify(args: argparse.Namespace, settings: Settings) -> int:
    everything_right = True
    for checkpoint in checkpoints.expand(args.names or CATALOGUE):
        status = checkpoints.verify(checkpoint.name, settings.weights_dir, rehash=True)
        if status == "missing" and not args.names:
            continue
        print(f"{checkpoint.name}: {status}")
        everything_right &= status == "ok"
    return 0 if everything_right else 1
