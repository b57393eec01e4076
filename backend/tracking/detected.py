"""From detections, frame by frame, to tracks.

Objects are propagated as prompted ones are, and detections watch over it: one that meets an object confirms it, and
sets it right where its propagation is doubtful; one that meets none begins another.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from backend.errors import PromptError
from backend.propagation.propagator import Propagator
from backend.segmentation.segmenter import Segmenter
from backend.tracking.detector import Detector, MaskedDetection
from backend.tracking.encoders import Encoders
from backend.tracking.guard import Guard
from backend.tracking.initial import initial_masks
from backend.tracking.labels import Labels
from backend.tracking.lives import Lives, Rules
from backend.tracking.matching import Matcher, Sight
from backend.tracks import (
    BoolArray,
    Box,
    Detection,
    FrameResult,
    ImageArray,
    Mask,
    Observation,
    Prompt,
    box_iou,
    mask_iou,
)
from backend.video.ahead import Ahead
from backend.video.frames import Frames
from backend.video.shots import Shots

# Boxes that overlap this much (IoU) may be taken for one another: nothing is set right there.
_CROWDED = 0.2
# What overlaps an object this much is that object.
_SAME = 0.5
# The part of a detection's mask that no other object may have.
_OWN = 0.5


class DetectionFollower:
    """Follows what is detected in a video, forwards.

    Args:
        video: the frames.
        encoders: encode a frame, or recall its encoding.
        segmenter: makes masks of detections.
        propagator: one without memory.
        rules: when tracks begin and end.
        match: tells which detection shows which object.
        ahead: hands out the frames.
        labels: takes in what the detections say of their objects; one of its own for each video.
        guard: watches over the objects' identities; by default nobody does.
    """

    def __init__(
        self,
        video: Frames,
        encoders: Encoders,
        segmenter: Segmenter,
        propagator: Propagator,
        rules: Rules,
        match: Matcher,
        ahead: Ahead,
        labels: Labels | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._video = video
        self._encoders = encoders
        self._segmenter = segmenter
        self._propagator = propagator
        self._rules = rules
        self._match = match
        self._ahead = ahead
        self._labels = labels or Labels()
        self._shots = Shots(video)
        self._lives = Lives(rules, video.fps)
        self._guard = guard

    def follow(self, detector: Detector) -> Generator[FrameResult, None, None]:
        """Track what is detected.

        Args:
            detector: says on which frames it looks, and what it sees there.

        Returns:
            a result for every frame, in order. What is settled only later (that a new object is one, that one was
            still there while it was not detected) comes in further results, of earlier frames. Where identities were
            put right, earlier frames are told again.

        Raises:
            VideoError: a frame cannot be decoded.
        """
        frames = self._ahead(self._video, range(len(self._video)))
        try:
            for frame, image in frames:
                self._shots.see(frame, image)
                starts = self._shots.starts(frame)
                if self._lives and starts:
                    self._propagator.lose()
                    self._lives.cut()
                    if self._guard is not None:
                        self._guard.cut()
                yield from self._step(frame, image, starts, detector)
        finally:
            frames.close()

    def _usable(self, detections: Sequence[Detection]) -> list[Detection]:
        """Those that are not too weak, the surest first, cut at the picture's border."""
        found = []
        for one in sorted(detections, key=lambda one: -one.score):
            x0, y0 = max(one.box[0], 0.0), max(one.box[1], 0.0)
            x1, y1 = min(one.box[2], float(self._video.width)), min(one.box[3], float(self._video.height))
            if one.score >= self._rules.weak and x1 - x0 >= 1 and y1 - y0 >= 1:
                found.append(replace(one, box=(x0, y0, x1, y1)))
        return found

    def _step(self, frame: int, image: ImageArray, starts: bool, detector: Detector) -> Iterator[FrameResult]:
        seen = self._propagate(frame, image)
        yield from self._watch(frame, image, seen)
        sight = self._sight(frame, image, seen)
        looked = self._usable(detector.detect(frame, starts, sight)) if detector.looks_at(frame, starts) else None
        if looked is not None and (self._lives or looked):
            met = self._meet(frame, seen, looked, sight)
            for name, place in met.items():
                self._labels.add(name, looked[place])
            given = self._set_right(frame, image, seen, {name: looked[place] for name, place in met.items()})
            others = [one for place, one in enumerate(looked) if place not in met.values()]
            given |= self._begin(frame, image, seen, others, sight)
            released, ended = self._lives.judge(frame, met)
            self._propagator.forget(ended)
            if given:
                if self._guard is not None:
                    self._guard.found(given)
                self._propagator.step(frame, self._encoders.propagating(frame, image), given, ())
            yield from _by_frame(released)
            seen = {name: one for name, one in seen.items() if name not in ended}
        yield FrameResult(frame, tuple(self._lives.tell(seen.values())))

    def _propagate(self, frame: int, image: ImageArray) -> dict[str, Observation]:
        if not self._lives:
            return {}
        found = self._propagator.step(frame, self._encoders.propagating(frame, image), {}, self._lives.names)
        return {name: _observe(name, frame, one.mask, one.score) for name, one in found.items()}

    def _watch(self, frame: int, image: ImageArray, seen: dict[str, Observation]) -> Iterator[FrameResult]:
        """Have the guard put right what was found, in ``seen`` too; gives earlier frames that are told again."""
        if self._guard is None or not seen:
            return
        encoding = self._encoders.propagating(frame, image)
        told = FrameResult(frame, tuple(one for _, one in sorted(seen.items())))
        steered = _Steered(self._propagator, self._lives)
        *earlier, result = self._guard.watch(steered, frame, image, encoding, told, self._lives.trusted)
        seen.update({one.object_id: one for one in result.observations})
        anew = {name: mask.array() for name in steered.mistaken if (mask := seen[name].mask) is not None}
        if anew:
            self._propagator.forget(anew)
            self._propagator.step(frame, encoding, anew, ())
        for one in earlier:
            yield FrameResult(one.frame, tuple(self._lives.retell(one.observations)))

    def _sight(self, frame: int, image: ImageArray, seen: Mapping[str, Observation]) -> Sight:
        return Sight(
            frame / self._video.fps,
            dict(seen),
            lambda: self._encoders.segmenting(frame, image),
            lambda: self._encoders.looking(frame, image),
            lambda detection: self._segment(frame, image, detection, seen)[0],
        )

    def _meet(
        self, frame: int, seen: Mapping[str, Observation], looked: Sequence[Detection], sight: Sight
    ) -> dict[str, int]:
        """Which detection, by its place, shows which object: first those that were found, then those that were not."""
        met = self._labels.match(self._match, _boxes(seen), looked, sight)
        absent = [name for name, one in seen.items() if not one.present]
        places = [
            place
            for place, one in enumerate(looked)
            if place not in met.values() and one.score >= self._rules.confident
        ]
        lost = self._lives.last_boxes(frame, absent)
        back = self._labels.match(self._match, lost, [looked[place] for place in places], sight)
        return met | {name: places[place] for name, place in back.items()}

    def _set_right(
        self, frame: int, image: ImageArray, seen: dict[str, Observation], met: Mapping[str, Detection]
    ) -> dict[str, BoolArray]:
        """Masks, made of their detections, of objects whose propagation is doubtful; puts them into ``seen``."""
        given: dict[str, BoolArray] = {}
        for name, detection in met.items():
            doubtful = not seen[name].present or seen[name].score < self._rules.doubtful
            if not doubtful or detection.score < self._rules.confident:
                continue
            others = {other: one for other, one in seen.items() if other != name}
            # Of an object behind another one, the box that is seen is less than the one that is detected.
            whole = {other: one.box for other, one in met.items() if other != name}
            crowded = max(_overlap(detection.box, _boxes(others)), _overlap(detection.box, whole)) >= _CROWDED
            if isinstance(detection, MaskedDetection):
                crowded = False  # a mask says what is whose
            if crowded or not self._lives.may_be_set_right(name, frame):
                continue
            mask, score = self._segment(frame, image, detection, others)
            one = _observe(name, frame, mask, score)
            if _overlap(detection.box, _boxes({name: one})) >= _SAME:
                given[name], seen[name] = mask, one
                self._lives.set_right(name, frame)
        # What led to the doubt is not to be remembered.
        self._propagator.forget(given)
        return given

    def _begin(
        self,
        frame: int,
        image: ImageArray,
        seen: dict[str, Observation],
        detections: Iterable[Detection],
        sight: Sight,
    ) -> dict[str, BoolArray]:
        """Masks of objects that begin, or come back after they had ended; puts them into ``seen``."""
        sure = [one for one in detections if one.score >= self._rules.confident]
        ended = dict.fromkeys(self._lives.ended)
        known = self._labels.match(self._match, ended, sure, sight) if ended and sure else {}
        back = {place: name for name, place in known.items()}
        given: dict[str, BoolArray] = {}
        for place, detection in enumerate(sure):
            if _is_there(detection, {name: one for name, one in seen.items() if self._labels.may_be(name, detection)}):
                continue
            mask, score = self._segment(frame, image, detection, seen)
            if mask.any():
                name = self._lives.begin(frame, detection.box, back.get(place))
                self._labels.add(name, detection)
                given[name], seen[name] = mask, _observe(name, frame, mask, score)
        return given

    def _segment(
        self, frame: int, image: ImageArray, detection: Detection, others: Mapping[str, Observation]
    ) -> tuple[BoolArray, float]:
        """The mask of a detection, without what other objects have, and its score; empty where there is none."""
        nothing = np.zeros(image.shape[:2], bool)
        if isinstance(detection, MaskedDetection):
            mask, score = detection.mask.array(), detection.score
        else:
            prompts = {_DETECTED: Prompt(_DETECTED, frame, detection.box)}
            try:
                encoding = self._encoders.segmenting(frame, image)
                mask, score = initial_masks(self._segmenter, encoding, prompts)[_DETECTED]
            except PromptError:  # a person must hear of it; here a detection is worth nothing
                return nothing, 0.0
        own = mask.copy()
        for one in others.values():
            if one.mask is not None:
                own &= ~one.mask.array()
        return (own, score) if own.sum() >= _OWN * mask.sum() else (nothing, 0.0)


class _Steered:
    """A propagator and the lives of what it follows, as the guard steers both.

    Attributes:
        mistaken: objects as which others were given to the propagator, which remembers that for good.
    """

    def __init__(self, propagator: Propagator, lives: Lives) -> None:
        self.mistaken: set[str] = set()
        self.step = propagator.step
        self.deny = propagator.deny
        self._propagator = propagator
        self._lives = lives

    def exchange(self, one: str, other: str, frames: Collection[int]) -> None:
        """They have taken each other's place; what they are called by their detections is the same, or none."""
        self.mistaken |= {name for name in (one, other) if self._lives.was_given(name, frames)}
        self._propagator.exchange(one, other, frames)
        self._lives.exchange(one, other)


# What a detection is called while it is no object.
_DETECTED = "detected"


def _boxes(seen: Mapping[str, Observation]) -> dict[str, Box]:
    return {name: one.box for name, one in seen.items() if one.box is not None}


def _is_there(detection: Detection, seen: Mapping[str, Observation]) -> bool:
    """Whether a detection shows what is followed already, by its mask where it has one."""
    if isinstance(detection, MaskedDetection):
        own = detection.mask
        return any(mask_iou(own, one.mask) >= _SAME for one in seen.values() if one.mask is not None)
    return _overlap(detection.box, _boxes(seen)) >= _SAME


def _overlap(box: Box, others: Mapping[str, Box]) -> float:
    """The greatest IoU of a box with others; 0 without any."""
    return max((box_iou(box, other) for other in others.values()), default=0.0)


def _observe(name: str, frame: int, mask: BoolArray | None, score: float) -> Observation:
    return Observation(name, frame, None if mask is None else Mask.from_array(mask), score)


def _by_frame(observations: Iterable[Observation]) -> Iterator[FrameResult]:
    by_frame: dict[int, list[Observation]] = {}
    for one in observations:
        by_frame.setdefault(one.frame, []).append(one)
    for frame, found in sorted(by_frame.items()):
        yield FrameResult(frame, tuple(found))
