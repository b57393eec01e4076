"""Video object segmentation as the DAVIS benchmark measures it: the objects of the first frame, followed to the last.

Source: the semi-supervised task of Perazzi et al., CVPR 2016, and Pont-Tuset et al., arXiv 1704.00675.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from backend.errors import DatasetError
from backend.evaluation.clicks import deepest_point, next_click
from backend.evaluation.davis import DavisSequence
from backend.evaluation.masks import contour_accuracy, region_similarity
from backend.export.masks import number_map
from backend.tracks import BoolArray, Direction, FrameResult, Mask, Point, Prompt, Track

if TYPE_CHECKING:
    from backend.video.frames import Frames

Kind = Literal["mask", "box", "click"]
KINDS: tuple[Kind, ...] = ("mask", "box", "click")
LEAST_FRAMES = 3
"""The first and the last frame do not count."""


class Tracker(Protocol):
    """What is measured: what is needed here of :class:`backend.tracking.tracker.VideoTracker`."""

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction = "both",
        cancelled: Callable[[], bool] = ...,
    ) -> Iterator[FrameResult]:
        """A result for each frame of the span from the prompts on, in any order."""


@dataclass(frozen=True)
class Score:
    """J and F, from 0 to 1; see :mod:`backend.evaluation.masks`."""

    j: float
    f: float

    @property
    def jf(self) -> float:
        """J&F, the mean of both."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, eq=False)
class SequenceResult:
    """What became of one sequence.

    Attributes:
        name: the sequence's.
        scores: by object, a score for each frame, the first and the last one too.
        prompts: what the objects were marked with on the first frame.
        tracks: what was found.
        seconds: that prompting and tracking took, without reading the truth and comparing with it.
    """

    name: str
    scores: Mapping[str, tuple[Score, ...]]
    prompts: Mapping[str, Prompt]
    tracks: Mapping[str, Track]
    seconds: float

    @property
    def frames(self) -> int:
        """How many the sequence has."""
        return len(next(iter(self.scores.values())))

    @property
    def objects(self) -> dict[str, Score]:
        """Each object's mean over the frames that count: all but the first and the last."""
        return {name: mean(scores[1:-1]) for name, scores in self.scores.items()}

    @property
    def score(self) -> Score:
        """The mean of the objects' means."""
        return mean(self.objects.values())


def mean(scores: Iterable[Score]) -> Score:
    """J and F each averaged; there is at least one score."""
    given = list(scores)
    return Score(fmean(score.j for score in given), fmean(score.f for score in given))


def overall(results: Iterable[SequenceResult]) -> Score:
    """The mean over all objects of all sequences, each of which counts the same: the official evaluation's of 2017.

    A sequence of three objects weighs three times as much as one of a single object. Where every sequence has one
    object, as in 2016, this is the mean over the sequences.
    """
    return mean(score for result in results for score in result.objects.values())


def evaluate(
    sequence: DavisSequence,
    tracker: Tracker,
    kind: Kind,
    *,
    clicks: int = 1,
    cancelled: Callable[[], bool] = lambda: False,
    advance: Callable[[], None] = lambda: None,
) -> SequenceResult | None:
    """Prompt the objects of the first frame, track them to the last, and compare with the truth.

    Where the tracked masks overlap, the surer one has the pixel: the benchmark reads indexed images, in which no pixel
    belongs to two objects. Objects that appear later are no part of the task.

    Args:
        sequence: with at least :data:`LEAST_FRAMES` frames.
        tracker: the product's.
        kind: of the prompts. ``mask`` is the truth itself, ``box`` its tight box.
        clicks: the most on each object, of which the first goes to its deepest point and the others, as long as there
            is an error, to that of the largest one in the mask that the tracker makes of the clicks so far.
        cancelled: asked between frames.
        advance: called after each frame.

    Returns:
        None where it was cancelled before the last frame.

    Raises:
        DatasetError: too few frames, no object on the first one, or an annotation that cannot be read or is not as
            large as its image.
        VideoError: an image cannot be read.
        PromptError: nothing can be made out where an object was marked.
    """
    if len(sequence) < LEAST_FRAMES:
        raise DatasetError(
            f"{len(sequence)} frames are too few: the first and the last do not count; give {LEAST_FRAMES} or more"
        )
    video = sequence.video()
    first = _truth(sequence, 0, video)
    if not first:
        raise DatasetError(f"{sequence.annotations[0]} shows no object, and those of the first frame are followed")
    seconds = -time.perf_counter()
    prompts = {name: _prompt(name, mask, kind, clicks, tracker, video) for name, mask in first.items()}
    results = tracker.track(video, list(prompts.values()), direction="forward", cancelled=cancelled)
    seconds += time.perf_counter()
    scores: dict[str, dict[int, Score]] = {name: {} for name in first}
    tracks = {name: Track(name) for name in first}
    while True:
        seconds -= time.perf_counter()
        result = next(results, None)
        seconds += time.perf_counter()
        if result is None:
            break
        for observation in result.observations:
            tracks[observation.object_id].add(observation)
        # What is told again of some objects says nothing of the others.
        seen = {int(name): one for name, track in tracks.items() if (one := track.observations.get(result.frame))}
        numbers = number_map(seen, (video.width, video.height))
        for name, mask in _truth(sequence, result.frame, video).items():
            found = numbers == int(name)
            scores[name][result.frame] = Score(region_similarity(mask, found), contour_accuracy(mask, found))
        advance()
    if cancelled() and any(len(each) < len(sequence) for each in scores.values()):
        return None
    ordered = {name: tuple(each[frame] for frame in range(len(sequence))) for name, each in scores.items()}
    return SequenceResult(sequence.name, ordered, prompts, tracks, seconds)


def _truth(sequence: DavisSequence, frame: int, video: Frames) -> dict[str, BoolArray]:
    truth = sequence.truth(frame)
    for mask in truth.values():
        if mask.shape != (video.height, video.width):
            height, width = mask.shape
            raise DatasetError(
                f"{sequence.annotations[frame]} is {width} x {height} pixels, the images {video.width} x {video.height}"
            )
    return truth


def _prompt(name: str, truth: BoolArray, kind: Kind, clicks: int, tracker: Tracker, video: Frames) -> Prompt:
    """What an object is marked with on the first frame, on which its truth is not empty."""
    if kind == "mask":
        return Prompt(name, 0, mask=truth)
    if kind == "box":
        return Prompt(name, 0, box=Mask.from_array(truth).box)
    deepest = deepest_point(truth)
    click = None if deepest is None else Point(deepest[0] + 0.5, deepest[1] + 0.5)
    points: tuple[Point, ...] = ()
    while click is not None:
        points = (*points, click)
        if len(points) == clicks:
            break
        click = next_click(truth, _look(tracker, video, Prompt(name, 0, points=points)))
    return Prompt(name, 0, points=points)


def _look(tracker: Tracker, video: Frames, prompt: Prompt) -> BoolArray:
    """The mask that the tracker makes of a prompt, the one that it would start from."""
    result = next(tracker.track(video, [prompt], span=(prompt.frame, prompt.frame), direction="forward"))
    mask = result.observations[0].mask
    return np.zeros((video.height, video.width), bool) if mask is None else mask.array()
