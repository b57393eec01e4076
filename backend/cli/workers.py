"""Options of the commands whose work may be done on a Ray cluster."""

from __future__ import annotations

import argparse
import math

from backend.cli.options import to_float
from backend.errors import SettingsError


def add_worker_options(
    parser: argparse.ArgumentParser, *, count: str = "as many as there are GPUs for, one without"
) -> None:
    """Declare the options; ``count`` is how many workers there are by default."""
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on a Ray cluster: its head's host and port, or auto, which is what RAY_ADDRESS names, else one that "
        "is started on this machine (pip install -r requirements-cluster.txt)",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        help=f"with --ray, how many (default: {count})",
    )
    parser.add_argument(
        "--gpus-per-worker",
        type=_share,
        metavar="X",
        help="with --ray, of each, such as 0.5 (default: 1 where the cluster has any, else 0)",
    )


def check_worker_options(args: argparse.Namespace) -> None:
    """Refuse what has no meaning without a cluster.

    Raises:
        SettingsError: it was given without ``--ray``.
    """
    for name in ("workers", "gpus_per_worker"):
        if args.ray is None and getattr(args, name) is not None:
            raise SettingsError(f"--{name.replace('_', '-')} is for --ray; give that too, --ray auto on one machine")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers; give one from 1 to 1000")
    return int(text)


def _share(text: str) -> float:
    share = to_float(text)
    if not (0 <= share < math.inf) or (share > 1 and not share.is_integer()):  # Ray's rule
        raise argparse.ArgumentTypeError(f"{text!r} is no number of GPUs; give such as 1, 0.5 or 0")
    return share
