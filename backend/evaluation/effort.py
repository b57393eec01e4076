"""A simulated annotator: how many interactions a track costs until it is good.

The robot knows the truth and works as a person would. It prompts the object once, where it first shows, looks at what
Label Studio shows, corrects the worst frame, and goes on until the boxes are good. After the idea of the interactive
track of the DAVIS challenge (Caelles et al., arXiv 1803.00557), with Label Studio's keyframes in place of scribbles.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np

from backend.errors import PromptError
from backend.evaluation.clicks import next_click
from backend.evaluation.ways import Linear, Mark, Press, Way
from backend.tracking.keyframes import interpolate, thin
from backend.tracks import BoolArray, Box, Keyframe, Mask, box_iou

TARGET_IOU = 0.9
TARGET_SHARE = 0.9
MOST_CLICKS = 10
"""On one frame; after as many a person goes on to another."""

Goal = Literal["mean", "share"]
"""``mean``: the mean IoU is at least :data:`TARGET_IOU`. ``share``: the IoU is above :data:`TARGET_IOU` on at least
:data:`TARGET_SHARE` of the frames."""

GOALS: tuple[Goal, ...] = ("mean", "share")


@dataclass(frozen=True, eq=False)
class Target:
    """An object of which everything is known.

    Attributes:
        name: the object's.
        boxes: the tight box of its mask on each frame of the video, None where it does not show; it does on one.
        mask: reads its mask ``bool (H, W)`` on a frame.
    """

    name: str
    boxes: tuple[Box | None, ...]
    mask: Callable[[int], BoolArray]

    @property
    def frames(self) -> range:
        """The object's frames: from the first on which it shows to the end of the video."""
        first = next(frame for frame, box in enumerate(self.boxes) if box is not None)
        return range(first, len(self.boxes))


@dataclass(frozen=True)
class Step:
    """How good the track is after so many interactions.

    Attributes:
        interactions: since the beginning.
        iou: the mean box IoU over the object's frames.
        share: of the object's frames, those whose IoU is above :data:`TARGET_IOU`.
        propagated: frames that the tracker went through for this drawing.
        seconds: that this drawing took.
    """

    interactions: int
    iou: float
    share: float
    propagated: int
    seconds: float

    def meets(self, goal: Goal) -> bool:
        """Whether the track is good enough."""
        return self.iou >= TARGET_IOU if goal == "mean" else self.share >= TARGET_SHARE


@dataclass(frozen=True)
class Run:
    """One object annotated in one way.

    Attributes:
        steps: one a drawing.
        marks: what is marked in the end.
        frames: how many the object has.
        most: the cap on interactions.
        refused: drawings that came to nothing, because the tracker could not make out a mark.
    """

    steps: tuple[Step, ...]
    marks: tuple[Mark, ...]
    frames: int
    most: int
    refused: int = 0

    def reached(self, goal: Goal) -> int | None:
        """Interactions after which the goal was first met; None where that took more than the cap."""
        within = (step.interactions for step in self.steps if step.meets(goal) and step.interactions <= self.most)
        return next(within, None)

    def interactions(self, goal: Goal) -> int:
        """As :meth:`reached`, with the cap for a goal that was not."""
        reached = self.reached(goal)
        return self.most if reached is None else reached


class Stopped(Exception):
    """A run was cancelled."""


Correct = Callable[[int, int], tuple[Mark, int]]
"""``correct(frame, most)``: marks a frame on which the object shows; also the interactions that this took, which are
about ``most`` at most."""


def by_box(target: Target) -> Correct:
    """Corrections by drawing the true box, which is one interaction."""
    return lambda frame, most: (Mark(frame, target.boxes[frame]), 1)


class ByClick:
    """Corrections by clicks, each of which is an interaction.

    The first one goes to the object's innermost point, the others to that of the largest error, until the box of what
    is segmented is good. Where clicks make out nothing at all the box is drawn instead.
    """

    def __init__(self, press: Press, target: Target) -> None:
        self._press = press
        self._target = target

    def __call__(self, frame: int, most: int) -> tuple[Mark, int]:
        """See :data:`Correct`."""
        truth, box = self._target.mask(frame), self._target.boxes[frame]
        found = np.zeros_like(truth)
        mark = Mark(frame)
        clicks = 0
        while clicks < min(most, MOST_CLICKS) and (click := next_click(truth, found)) is not None:
            clicks += 1
            try:
                seen = self._look(replace(mark, points=(*mark.points, click)))
            except PromptError:
                break  # and the click is undone
            mark, found = replace(mark, points=(*mark.points, click)), seen.array()
            if box is not None and seen.box is not None and box_iou(seen.box, box) >= TARGET_IOU:
                break
        return (mark, clicks) if mark.points else (Mark(frame, box), clicks + 1)

    def _look(self, mark: Mark) -> Mask:
        """What is segmented on the marked frame itself."""
        found = self._press.track([mark], range(mark.frame, mark.frame + 1), "both")
        masks = [one.mask for one in found if one.mask is not None]
        if not masks:
            raise Stopped  # a tracker that is not cancelled answers with a mask
        return masks[0]


def annotate(
    target: Target,
    way: Way,
    correct: Correct,
    *,
    most: int,
    keyframe_iou: float,
    cancelled: Callable[[], bool] = lambda: False,
) -> Run:
    """Annotate an object until both goals have been met.

    The first mark is a box. Then, again and again, the worst frame that is not marked yet is corrected, the earliest of
    several. Where the object shows without being there, the correction is the one that hides it: its last frame
    before that gets a keyframe that ends the visible span, and keyframes of the model in the gap are deleted, at an
    interaction each; it stays hidden up to the next keyframe, whoever made that.

    Args:
        target: the object.
        way: makes the tracks.
        correct: marks a frame.
        most: interactions after which to give up.
        keyframe_iou: of the thinning of tracks, as in the settings.
        cancelled: asked after each drawing.

    Raises:
        Stopped: it was cancelled.
    """
    frames = target.frames
    marks = {frames.start: Mark(frames.start, target.boxes[frames.start])}
    interactions, refused = 1, 0
    steps: list[Step] = []
    unmet = set(GOALS)
    # A press that is refused leaves the region as it is: at first, a box that stays where it is.
    drawing = Linear(frames).draw(list(marks.values()))
    while True:
        started = time.perf_counter()
        try:
            drawing = way.draw(_in_order(marks))
        except PromptError:
            drawing = replace(drawing, propagated=0)
            refused += 1
        seconds = time.perf_counter() - started
        if cancelled():
            raise Stopped
        keyframes = show(drawing.boxes, _in_order(marks), len(target.boxes), keyframe_iou)
        met = box_ious(target, keyframes)
        good = sum(iou > TARGET_IOU for iou in met.values())
        step = Step(interactions, sum(met.values()) / len(met), good / len(met), drawing.propagated, seconds)
        steps.append(step)
        unmet -= {goal for goal in GOALS if step.meets(goal)}
        left = [frame for frame in frames if frame not in marks and met[frame] < 1]
        if not unmet or interactions >= most or not left:
            return Run(tuple(steps), tuple(_in_order(marks)), len(frames), most, refused)
        worst = min(left, key=met.__getitem__)  # min takes the first of several
        if target.boxes[worst] is None:
            mark, cost = _hide(target, worst, marks, keyframes)
        else:
            mark, cost = correct(worst, most - interactions)
        marks[mark.frame] = mark
        interactions += cost


def show(boxes: Mapping[int, Box | None], marks: Sequence[Mark], count: int, keyframe_iou: float) -> list[Keyframe]:
    """The keyframes that Label Studio is given of a track.

    Args:
        boxes: the track's by frame.
        marks: the annotator's, sorted: drawn boxes are fixed, and hide what they hide.
        count: frames of the video.
        keyframe_iou: how well the interpolated boxes meet the track's.
    """
    dense = [boxes.get(frame) for frame in range(count)]
    ends = [*(mark.frame for mark in marks), count]
    for mark, (start, end) in zip(marks, pairwise(ends), strict=True):
        if mark.hides_until is not None:
            hidden = range(start + 1, min(end, mark.hides_until))
            dense[hidden.start : hidden.stop] = [None] * len(hidden)
    fixed = {mark.frame: keyframe for mark in marks if (keyframe := mark.keyframe()) is not None}
    return thin(dense, iou=keyframe_iou, fixed=fixed)


def box_ious(target: Target, keyframes: Sequence[Keyframe]) -> dict[int, float]:
    """The IoU of what Label Studio shows with the truth, for each of the object's frames.

    Where the object does not show, it is 1 if nothing is shown and 0 otherwise.
    """
    found = {}
    for frame in target.frames:
        shown, truth = interpolate(keyframes, frame), target.boxes[frame]
        if shown is None or truth is None:
            found[frame] = float(shown is None and truth is None)
        else:
            found[frame] = box_iou(shown.box, truth)
    return found


def _hide(target: Target, frame: int, marks: Mapping[int, Mark], keyframes: Iterable[Keyframe]) -> tuple[Mark, int]:
    """The mark that ends the visible span before ``frame``, and the interactions that it takes."""
    last = next(before for before in range(frame, -1, -1) if target.boxes[before] is not None)
    positions = [keyframe.position for keyframe in keyframes]
    following = next((position for position in positions if position > frame), len(target.boxes))
    deleted = sum(last < position <= frame for position in positions)
    hides = last in marks and marks[last].hides_until is not None
    return Mark(last, target.boxes[last], hides_until=following), deleted + (not hides)


def _in_order(marks: Mapping[int, Mark]) -> list[Mark]:
    return [marks[frame] for frame in sorted(marks)]
