"""The effort that the sequences of a data set cost, in every way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from backend.errors import DatasetError, PromptError
from backend.evaluation.davis import DavisSequence
from backend.evaluation.effort import ByClick, Run, Stopped, Target, annotate, by_box
from backend.evaluation.ways import Keytrack, Linear, Mark, Press, Reprompt, Way
from backend.tracks import BoolArray, Box, Mask

if TYPE_CHECKING:
    from backend.service.engine import Tracker
    from backend.video.frames import Frames

Kind = Literal["box", "click"]
KINDS: tuple[Kind, ...] = ("box", "click")
KEYTRACK, LINEAR, REPROMPT = "keytrack", "linear", "reprompt"
WAYS = (KEYTRACK, LINEAR, REPROMPT)


@dataclass(frozen=True)
class Rules:
    """How the robot works.

    Attributes:
        by: what it corrects with. Linear interpolation knows boxes only, whatever this is.
        most: interactions for each object after which it gives up; by default as many as the object has frames, since
            whoever has drawn every frame is done.
        keyframe_iou: of the thinning of tracks, as in the settings.
    """

    by: Kind = "box"
    most: int | None = None
    keyframe_iou: float = 0.95


@dataclass(frozen=True, eq=False)
class SequenceEffort:
    """What the objects of one sequence cost.

    Attributes:
        name: the sequence's.
        frames: how many it has.
        first_press: seconds of a first press for all objects together, encoding included; None where it was refused.
        objects: by name, a run for each of :data:`WAYS`.
    """

    name: str
    frames: int
    first_press: float | None
    objects: Mapping[str, Mapping[str, Run]]


def make_ways(press: Press, frames: range) -> dict[str, Way]:
    """Each of :data:`WAYS` for one object; ``frames`` are its own."""
    return {KEYTRACK: Keytrack(press, frames), LINEAR: Linear(frames), REPROMPT: Reprompt(press, frames)}


def measure(
    sequence: DavisSequence,
    tracker: Tracker,
    rules: Rules,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    advance: Callable[[], None] = lambda: None,
    finished: Callable[[str, str, Run], None] = lambda name, way, run: None,
) -> SequenceEffort | None:
    """Annotate every object of a sequence in every way.

    The objects are annotated one after the other, each tracked alone: what one costs does not depend on which others
    there are, nor on their order. Encodings serve all of them. A first press that encodes the frames comes before, so
    that the seconds of the runs are those of propagation, whichever comes first.

    Args:
        sequence: with at least one object.
        tracker: the product's, with a cache that holds the encodings of the sequence.
        rules: of the robot.
        cancelled: asked between frames.
        advance: called after each frame that the tracker goes through.
        finished: told each run of an object in a way.

    Returns:
        None where it was cancelled.

    Raises:
        DatasetError: no object on the first frame, or an annotation that cannot be read or is not as large as its
            image.
        VideoError: an image cannot be read.
    """
    video = sequence.video()
    targets = find_targets(sequence, video)
    objects: dict[str, dict[str, Run]] = {}
    try:
        first_press = _warm_up(tracker, video, targets, cancelled, advance)
        for target in targets:
            press = Press(tracker, video, target.name, cancelled, advance)
            runs = objects.setdefault(target.name, {})
            for way, drawn in make_ways(press, target.frames).items():
                clicks = rules.by == "click" and way != LINEAR
                runs[way] = annotate(
                    target,
                    drawn,
                    ByClick(press, target) if clicks else by_box(target),
                    most=rules.most or len(target.frames),
                    keyframe_iou=rules.keyframe_iou,
                    cancelled=cancelled,
                )
                finished(target.name, way, runs[way])
    except Stopped:
        return None
    return SequenceEffort(sequence.name, len(sequence), first_press, objects)


def find_targets(sequence: DavisSequence, video: Frames) -> list[Target]:
    """The objects of the first frame, with the truth of every frame. Raises DatasetError; see :func:`measure`."""
    boxes: dict[str, list[Box | None]] = {name: [] for name in sequence.objects}
    if not boxes:
        raise DatasetError(f"{sequence.annotations[0]} shows no object, and those of the first frame are annotated")
    for frame, path in enumerate(sequence.annotations):
        for name, mask in sequence.truth(frame).items():
            if mask.shape != (video.height, video.width):
                raise DatasetError(
                    f"{path} is {mask.shape[1]} x {mask.shape[0]} pixels, the images {video.width} x {video.height}"
                )
            boxes[name].append(Mask.from_array(mask).box)
    return [Target(name, tuple(found), partial(_mask, sequence, name)) for name, found in boxes.items()]


def _mask(sequence: DavisSequence, name: str, frame: int) -> BoolArray:
    return sequence.truth(frame)[name]


def _warm_up(
    tracker: Tracker,
    video: Frames,
    targets: Sequence[Target],
    cancelled: Callable[[], bool],
    advance: Callable[[], None],
) -> float | None:
    """The seconds of a first press; None where it was refused."""
    prompts = [Mark(0, target.boxes[0]).prompt(target.name) for target in targets]
    started = time.perf_counter()
    with suppress(PromptError):
        for _ in tracker.track(video, prompts, cancelled=cancelled):
            advance()
        return time.perf_counter() - started
    return None
