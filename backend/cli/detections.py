"""Options for boxes that a detector found, which commands share."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace

from backend.cli.options import to_float
from backend.errors import SettingsError
from backend.tracking.lives import DEFAULT_RULES, Rules


def add_score_options(parser: argparse.ArgumentParser) -> None:
    """Declare ``--sure`` and ``--weak``."""
    parser.add_argument(
        "--sure",
        type=_score,
        metavar="SCORE",
        help="the least score of a detection that begins a track or sets one right "
        f"(default: {DEFAULT_RULES.confident})",
    )
    parser.add_argument(
        "--weak",
        type=_score,
        metavar="SCORE",
        help=f"the least score of a detection that continues a track (default: {DEFAULT_RULES.weak})",
    )


def rules_from(args: argparse.Namespace) -> Rules:
    """The rules with the scores that were given.

    Raises:
        SettingsError: they contradict one another.
    """
    sure = DEFAULT_RULES.confident if args.sure is None else args.sure
    weak = min(DEFAULT_RULES.weak, sure) if args.weak is None else args.weak
    if weak > sure:
        raise SettingsError(f"--weak {weak:g} is above --sure {sure:g}; what begins a track must continue it as well")
    return replace(DEFAULT_RULES, confident=sure, weak=weak)


def _score(text: str) -> float:
    score = to_float(text)
    if not math.isfinite(score):
        raise argparse.ArgumentTypeError(f"{text!r} is no score; give a number, on the detector's scale")
    return score
