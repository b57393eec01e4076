"""What ``track`` tracks a video by: prompts, what a detector found, or whatever looks like an object."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from backend.cli.detections import add_score_options, rules_from
from backend.cli.options import to_float
from backend.cli.prompts import parse_prompt, read_prompts
from backend.cli.sequences import number
from backend.detections.files import read_detections
from backend.errors import SettingsError
from backend.export.masks import check_count
from backend.export.tracked import TrackedObject
from backend.prelabel.finder import Finder
from backend.prelabel.given import Given, GivenDetections, GivenNothing
from backend.prelabel.prompts import PromptRequest, labels_of
from backend.service.engine import Tracker
from backend.tracking.lives import Rules
from backend.tracking.plan import by_frame, clamp_span
from backend.tracking.stretches import find_stretches
from backend.tracks import Direction, Prompt, Track
from backend.video.reader import VideoReader

SYNTAX = """\
detections:
  --detections FILE is what a detector found, in one of these formats:
    MOTChallenge's det.txt     rows frame,-1,left,top,width,height,score; frames and pixels count from 1
    COCO's results             [{"image_id": 0, "category_id": 1, "bbox": [LEFT, TOP, WIDTH, HEIGHT], "score": 0.9}]
    COCO, YouTube-VIS          a file with images (or videos) and annotations, as export writes it
  Of COCO's results image_id is the frame, from 0; or --detections-images FILE says which image is which, and what the
  categories are called. Each object becomes a track; those of different categories are never taken for one another.
"""


class Way(Protocol):
    """How a video is tracked.

    Attributes:
        span: first and last frame that are to be tracked.
        frames: on how many frames there will be results.
        labels: the labels that objects may have.
    """

    span: tuple[int, int]
    frames: int
    labels: Sequence[str]

    def run(self, tracker: Tracker, video: VideoReader, cancelled: Callable[[], bool]) -> Iterator[int]:
        """Track; gives each frame once."""

    def objects(self) -> list[TrackedObject]:
        """What was found so far."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what to track by."""
    parser.add_argument("--prompt", action="append", default=[], metavar="PROMPT", help="an object on a frame, below")
    parser.add_argument("--prompts", type=Path, metavar="FILE", help="a JSON file with more of them")
    parser.add_argument("--detections", type=Path, metavar="FILE", help="instead: what a detector found, below")
    parser.add_argument("--detections-images", type=Path, metavar="FILE", help="see below")
    parser.add_argument("--everything", action="store_true", help="instead: whatever looks like an object")
    parser.add_argument("--label", metavar="NAME", help="what all objects are that are detected")
    add_score_options(parser)
    parser.add_argument(
        "--every",
        type=_seconds,
        metavar="SECONDS",
        help="with --everything, from one search for new objects to the next (default: 1)",
    )
    parser.add_argument(
        "--most", type=number(1), metavar="N", help="with --everything, objects that show at a time (default: 12)"
    )


def request_from(args: argparse.Namespace) -> Callable[[VideoReader], Way]:
    """What was asked for; the video tells the rest.

    Raises:
        PromptError: a prompt is none.
        SettingsError: options that do not go together.
    """
    _check(args)
    if args.everything:
        everything = GivenNothing(args.every, args.most)
        return lambda video: _Detected(video, everything, [], args.label)
    if args.detections is not None:
        rules = rules_from(args)
        return lambda video: _read_detected(args, rules, video)
    requests = [parse_prompt(text) for text in args.prompt]
    requests += read_prompts(args.prompts) if args.prompts else []
    labels = labels_of(requests)
    if not args.no_masks:
        check_count(len(labels))
    return lambda video: _Prompted(video, requests, labels, args.span, args.direction)


# Which options are for which way of tracking.
_FOR: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "--prompt": ("span", "direction"),
        "--detections": ("detections_images", "label", "sure", "weak"),
        "--everything": ("label", "every", "most"),
    }
)


def _check(args: argparse.Namespace) -> None:
    """One way of tracking, and no option of another."""
    marked = "--prompt" if args.prompt else "--prompts" if args.prompts else None
    detected = "--detections" if args.detections is not None else None
    ways = [way for way in (marked, detected, "--everything" if args.everything else None) if way is not None]
    if len(ways) > 1:
        raise SettingsError(f"{' and '.join(ways)} say each what to track: give one of them")
    way = (ways or ["--prompt"])[0]
    own = _FOR["--prompt" if way == "--prompts" else way]
    for name in dict.fromkeys(name for names in _FOR.values() for name in names):
        if getattr(args, name) is not None and name not in own:
            meant = " and ".join(other for other, names in _FOR.items() if name in names)
            raise SettingsError(f"--{name.replace('_', '-')} is for {meant}")
    if way in ("--detections", "--everything") and getattr(args, "refine", "off") != "off":
        raise SettingsError(f"--refine is for --prompt: with {way} nothing is refined")


def _read_detected(args: argparse.Namespace, rules: Rules, video: VideoReader) -> Way:
    found = read_detections(args.detections, video, args.detections_images)
    best = max(one.score for detections in found.values() for one in detections)
    if best < rules.confident:
        raise SettingsError(
            f"{args.detections}: the highest score is {best:g}, and below {rules.confident:g} nothing begins a track: "
            "give --sure and --weak on this detector's scale"
        )
    labels = sorted({one.label for detections in found.values() for one in detections if one.label})
    return _Detected(video, GivenDetections(found, rules), labels, args.label)


class _Prompted:
    """By prompts; whatever can be checked before the models are loaded is."""

    def __init__(
        self,
        video: VideoReader,
        requests: Sequence[PromptRequest],
        labels: Mapping[str, str | None],
        span: tuple[int, int] | None,
        direction: Direction | None,
    ) -> None:
        self._prompts: list[Prompt] = [request.load(video.width, video.height) for request in requests]
        self._direction: Direction = direction or "both"
        self._objects = [
            TrackedObject(name, label, tuple(one for one in self._prompts if one.object_id == name), Track(name))
            for name, label in labels.items()
        ]
        marked = by_frame(self._prompts)
        self.span = clamp_span(span, self._prompts, len(video))
        stretches = find_stretches(self._prompts, self.span, self._direction)
        self.frames = len({frame for stretch in stretches for frame in stretch.frames} | marked.keys())
        self.labels: Sequence[str] = sorted({label for label in labels.values() if label is not None})

    def run(self, tracker: Tracker, video: VideoReader, cancelled: Callable[[], bool]) -> Iterator[int]:
        tracks = {item.id: item.track for item in self._objects}
        told: set[int] = set()
        for result in tracker.track(
            video, self._prompts, span=self.span, direction=self._direction, cancelled=cancelled
        ):
            for observation in result.observations:
                tracks[observation.object_id].add(observation)
            if result.frame not in told:  # what is found later replaces it
                told.add(result.frame)
                yield result.frame

    def objects(self) -> list[TrackedObject]:
        return self._objects


class _Detected:
    """By what is found, on all frames."""

    def __init__(self, video: VideoReader, given: Given, labels: Sequence[str], label: str | None) -> None:
        self._finder = Finder(given, label)
        self.span = (0, len(video) - 1)
        self.frames = len(video)
        self.labels: Sequence[str] = labels if label is None else [label]

    def run(self, tracker: Tracker, video: VideoReader, cancelled: Callable[[], bool]) -> Iterator[int]:
        return self._finder.run(tracker, video, cancelled)

    def objects(self) -> list[TrackedObject]:
        return self._finder.objects()


def _seconds(text: str) -> float:
    seconds = to_float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give seconds above 0")
    return seconds
