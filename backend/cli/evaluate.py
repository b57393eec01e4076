"""``evaluate davis`` and its siblings: how good the tracks are, by the yardsticks of others and by our own."""

from __future__ import annotations

import argparse
import importlib

from backend.cli.options import add_settings

HELP = "Measure the tracks against a dataset whose truth is known."
ACTIONS = {
    "davis": "region similarity J and contour accuracy F, in DAVIS's layout",
    "mot": "HOTA, IDF1 and MOTA of several objects, in MOTChallenge's layout",
    "pieces": "long videos tracked in pieces beside the same in one",
    "effort": "keyframes that an annotator draws until the tracks are good, beside linear interpolation's",
    "compose": "scenes in which several objects cross, made of sequences in DAVIS's layout, to measure on",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the actions; each is a module ``evaluate_<name>`` made as a command's."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, summary in ACTIONS.items():
        module = importlib.import_module(f"backend.cli.evaluate_{name}")
        action = actions.add_parser(name, help=summary, description=module.HELP, conflict_handler="resolve")
        module.configure(action)
        add_settings(action, "log_level")
        action.set_defaults(action=module.run)


def run(args: argparse.Namespace) -> int:
    """Carry out the chosen action."""
    status: int = args.action(args)
    return status
