"""``evaluate compose``: scenes with several objects and a known truth, made of sequences with one."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from backend.cli.options import to_float
from backend.cli.progress import advance
from backend.cli.sequences import add_davis, number
from backend.errors import SettingsError
from backend.evaluation.compose_files import Detecting, write_scene
from backend.evaluation.davis import find_sequences
from backend.evaluation.scenes import KINDS, Casting, Scene
from backend.export.results import ResultsDirectory, write_text

HELP = "Make scenes in which objects of several sequences cross, for evaluate davis and evaluate mot."
DAVIS, MOT, SCENES = "davis", "mot", "scenes.json"
NAMES = (DAVIS, MOT, SCENES)
SETTINGS = ("frames", "forth_and_back", "seed", "every", "drop", "gap")
LEAST_FRAMES = 12
EPILOG = f"""\
A scene is one sequence's frames with its own object, and objects that were cut out of others by their annotations.
They keep moving as they did, forth and back, and are moved across the picture.
  crossing  one to three objects cross the scene's own and one another, and are apart at the beginning and at the end
  return    one object goes out of the picture and comes back, or is hidden completely by another for a while
  twins     the sequence's object once more, mirrored and at another time, crosses it
The truth is what can be seen. The same seed makes the same scenes, of the same sequences.
in the directory --root:
  JPEGImages/480p/NAME/00000.jpg, Annotations/480p/NAME/00000.png
                 sequences in DAVIS's layout; those that show one object, and all of it, on --frames frames in a row
                 are scenes (with --forth-and-back also on fewer, which go forth and back), the objects of others can
                 be cut out at least
in the directory --out:
  {DAVIS}/         DAVIS's layout, for evaluate davis --root
  {MOT}/           MOTChallenge's layout, for evaluate mot --root: boxes are those of what can be seen, det/det.txt has
                 them on every N-th frame (--every: tell evaluate mot as well), a little off, some left out
  {SCENES}    who takes part, the order from front to back, and on which frames who covers whom or cannot be seen
The pictures are under the licence of those that they were made of.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add_davis(parser)
    parser.add_argument(
        "--frames", type=number(LEAST_FRAMES), default=40, metavar="N", help="of each scene (default: %(default)s)"
    )
    for kind, count in (("crossing", 4), ("return", 2), ("twins", 2)):
        parser.add_argument(
            f"--{kind}", type=number(0), default=count, metavar="N", help="scenes of this kind (default: %(default)s)"
        )
    parser.add_argument(
        "--forth-and-back", action="store_true", help="sequences that are shorter than --frames are scenes too"
    )
    parser.add_argument("--seed", type=number(0), default=0, metavar="K", help="another one makes other scenes")
    parser.add_argument(
        "--every", type=number(1), default=5, metavar="N", help="frames with detections (default: every %(default)sth)"
    )
    parser.add_argument(
        "--drop", type=_part, default=0.2, metavar="PART", help="of the detections, left out (default: %(default)s)"
    )
    parser.add_argument(
        "--gap",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="each object is left out of the detections for so long, once (default: %(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a directory for the scenes, new")
    parser.add_argument("--force", action="store_true", help="replace earlier scenes in --out")


def run(args: argparse.Namespace) -> int:
    """Make the scenes, and print what each shows."""
    wanted = [(kind, index) for kind in KINDS for index in range(getattr(args, kind))]
    if not wanted:
        raise SettingsError("--crossing, --return and --twins are all 0; ask for a scene at least")
    sequences = find_sequences(args.root, names=args.sequences, split=args.split)
    casting = Casting(sequences, args.frames, args.seed, forth_and_back=args.forth_and_back)
    detecting = Detecting(every=args.every, drop=args.drop, gap=args.gap, seed=args.seed)
    told: dict[str, Any] = {}
    with ResultsDirectory(args.out, NAMES, force=args.force) as results, logging_redirect_tqdm():
        for turn, (kind, index) in enumerate(wanted):
            scene = casting.scene(kind, index, turn)
            told[scene.name] = _write(scene, results, detecting)
        settings = {name: getattr(args, name) for name in SETTINGS}
        write_text(results.path(SCENES), json.dumps({"settings": settings, "scenes": told}, indent=2) + "\n")
        results.publish()
    for name, summary in told.items():
        print(f"{name}: {_line(summary)}")
    print(f"scenes in {args.out / DAVIS} and {args.out / MOT}")
    return 0


def _write(scene: Scene, results: ResultsDirectory, detecting: Detecting) -> dict[str, Any]:
    with tqdm(total=len(scene.host), desc=scene.name, unit="frame", disable=None) as bar:
        davis, mot = results.path(DAVIS), results.path(MOT)
        return write_scene(scene, davis, mot, detecting, lambda: advance(bar))


def _line(summary: dict[str, Any]) -> str:
    cast = ", ".join(f"{number} {entry['sequence']}" for number, entry in summary["objects"].items())
    met = [f"{meeting['front']} covers {meeting['most']:.0%} of {meeting['behind']}" for meeting in summary["meetings"]]
    absent = [
        f"{number} is not seen for {_count(entry['absent'])} frames"
        for number, entry in summary["objects"].items()
        if entry["absent"]
    ]
    return f"{cast}; {', '.join([*met, *absent]) or 'nobody meets'}"


def _count(runs: list[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in runs)


def _seconds(text: str) -> float:
    seconds = to_float(text)
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds, from 0 on")
    return seconds


def _part(text: str) -> float:
    part = to_float(text)
    if not 0 <= part <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no part; give a number from 0 to 1")
    return part
