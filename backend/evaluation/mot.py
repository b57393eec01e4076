"""Multi-object tracking, from what an annotator marks or from what a detector finds, on MOTChallenge's sequences."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backend.errors import DatasetError, PromptError
from backend.evaluation.association import Classes
from backend.evaluation.motchallenge import TrackedBox, TruthBox
from backend.tracks import Box, Detection, FrameResult, Prompt, Track

if TYPE_CHECKING:
    from backend.service.engine import Tracker
    from backend.tracking.lives import Rules
    from backend.video.frames import Frames

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """What became of one sequence: the objects' tracks, in how many seconds, from how many boxes that were given."""

    tracks: Mapping[str, Track]
    seconds: float
    given: int

    @property
    def boxes(self) -> list[TrackedBox]:
        """Where the objects are said to be: the boxes of their masks."""
        return [
            TrackedBox(frame, int(name), found.box, found.score)
            for name, track in self.tracks.items()
            for frame, found in track.observations.items()
            if found.box is not None
        ]


def keyframe_prompts(
    truth: Iterable[TruthBox], classes: Classes, size: tuple[int, int], every: int | None = None
) -> list[Prompt]:
    """Boxes as an annotator would draw them: each object's on the first frame that shows it.

    Args:
        truth: the ground truth; whatever counts in it is an object.
        classes: says what counts.
        size: the picture's width and height, at whose border boxes are cut.
        every: with it, also on every so many-th of the frames that show the object.

    Raises:
        DatasetError: there is no object.
    """
    seen: dict[int, list[Prompt]] = {}
    for row in sorted(truth, key=lambda row: row.frame):
        box = _inside(row.box, size)
        if box is not None and row.visibility > 0 and classes.count(row):
            seen.setdefault(row.id, []).append(Prompt(str(row.id), row.frame, box))
    if not seen:
        raise DatasetError("the ground truth has no object that counts and can be seen: there is nothing to mark")
    return [prompt for prompts in seen.values() for prompt in (prompts[::every] if every else prompts[:1])]


def track_keyframes(
    video: Frames,
    tracker: Tracker,
    prompts: Sequence[Prompt],
    *,
    cancelled: Callable[[], bool] = lambda: False,
    advance: Callable[[], None] = lambda: None,
) -> Run | None:
    """Track marked objects from their first marks to the video's end.

    A mark at which nothing can be made out is left out with a warning, where others are left.

    Args:
        video: the frames.
        tracker: the product's.
        prompts: see :func:`keyframe_prompts`.
        cancelled: asked between frames.
        advance: called for each frame.

    Returns:
        None where it was cancelled before all was done.

    Raises:
        PromptError: nothing can be made out at any of the marks.
        VideoError: an image cannot be read.
    """
    start = time.perf_counter()
    told: set[int] = set()

    def track(marked: Sequence[Prompt]) -> dict[str, Track]:
        found = tracker.track(video, marked, direction="forward", cancelled=cancelled)
        return _collect(found, told, advance)

    try:
        tracks = track(prompts)
    except PromptError:
        # It comes before anything is propagated, so that little is done twice.
        usable = [prompt for prompt in prompts if _can_be_made_out(tracker, video, prompt)]
        if not usable:
            raise
        tracks, prompts = track(usable), usable
    first: dict[str, int] = {}
    for prompt in prompts:
        first[prompt.object_id] = min(prompt.frame, first.get(prompt.object_id, prompt.frame))
    seen = sum(len(track.observations) for track in tracks.values())
    if cancelled() and seen < sum(len(video) - frame for frame in first.values()):
        return None
    for _ in range(len(video) - len(told)):  # frames before the first mark
        advance()
    return Run(tracks, time.perf_counter() - start, len(prompts))


def track_detections(
    video: Frames,
    tracker: Tracker,
    detections: Mapping[int, Sequence[Detection]],
    rules: Rules,
    *,
    every: int = 1,
    cancelled: Callable[[], bool] = lambda: False,
    advance: Callable[[], None] = lambda: None,
) -> Run | None:
    """Track what a detector found on every so many-th frame, by which a frame without detections shows nothing.

    Args:
        video: the frames.
        tracker: the product's.
        detections: by frame; those on other frames, or beyond the video, are not used.
        rules: when tracks begin, continue and end.
        every: 1 or more.
        cancelled: asked between frames.
        advance: called for each frame.

    Returns:
        None where it was cancelled before all was done.

    Raises:
        VideoError: an image cannot be read.
    """
    start = time.perf_counter()
    looked = {frame: detections.get(frame, ()) for frame in range(0, len(video), every)}
    results = tracker.track_detections(video, looked, rules=rules, cancelled=cancelled)
    told: set[int] = set()
    tracks = _collect(results, told, advance)
    if cancelled() and len(told) < len(video):
        return None
    return Run(tracks, time.perf_counter() - start, sum(map(len, looked.values())))


def _collect(results: Iterable[FrameResult], told: set[int], advance: Callable[[], None]) -> dict[str, Track]:
    """Tracks by name; tells of each frame once."""
    tracks: dict[str, Track] = {}
    for result in results:
        for observation in result.observations:
            tracks.setdefault(observation.object_id, Track(observation.object_id)).add(observation)
        if result.frame not in told:
            told.add(result.frame)
            advance()
    return tracks


def _can_be_made_out(tracker: Tracker, video: Frames, prompt: Prompt) -> bool:
    try:
        next(iter(tracker.track(video, [prompt], span=(prompt.frame, prompt.frame), direction="forward")))
    except PromptError as error:
        log.warning("%s; the mark is left out", error)
        return False
    return True


def _inside(box: Box, size: tuple[int, int]) -> Box | None:
    """What of a box is inside the picture, if that is a pixel at least."""
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(size[0])), min(box[3], float(size[1]))
    return (x0, y0, x1, y1) if x1 - x0 >= 1 and y1 - y0 >= 1 else None
