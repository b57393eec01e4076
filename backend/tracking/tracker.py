"""From prompts and a video to a mask of every object on every frame."""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from types import MappingProxyType

from torch import Tensor

from backend.propagation.propagator import FrameEncoder, Propagator
from backend.segmentation.cache import EncodingCache
from backend.segmentation.proposals import ProposalRules, propose
from backend.segmentation.segmenter import Segmenter
from backend.tracking.appearance import AppearanceMatcher
from backend.tracking.click import Answer, answer
from backend.tracking.detected import DetectionFollower
from backend.tracking.detector import GivenBoxes
from backend.tracking.encoders import Encoders, forget
from backend.tracking.everything import DEFAULT_EVERYTHING, Everything, EverythingRules
from backend.tracking.follow import Follower, Shown
from backend.tracking.fusion import Fusion
from backend.tracking.guard import DETECTED, Guard, GuardRules
from backend.tracking.initial import initial_masks, recall, spare, tells_place_only
from backend.tracking.labels import Labels
from backend.tracking.learned import Learned
from backend.tracking.lives import DEFAULT_RULES, Rules
from backend.tracking.looks import Looks
from backend.tracking.matching import Matcher, match_by_overlap
from backend.tracking.plan import Pass, by_frame, clamp_span, take_turns
from backend.tracking.refine import Refiner, RefineRules
from backend.tracking.standing import Rivals, Settled, Standing, Together
from backend.tracking.stretches import Before, find_stretches
from backend.tracks import BoolArray, Detection, Direction, FrameResult, ImageArray, Mask, Observation, Prompt
from backend.video.ahead import Ahead, read_ahead
from backend.video.frames import Frames, check_index

# Of a picture with little in it all points would be asked, which takes half a minute on a CPU.
_SOUGHT = ProposalRules(asked=96)


class VideoTracker:
    """Tracks prompted objects through videos, one call at a time.

    Args:
        segmenter: makes masks of prompts.
        new_propagator: a propagator without memory.
        cache: keeps encodings from one call to the next.
        encoder: encodes frames for the propagator; without one it takes the segmenter's encodings.
        ahead: hands out the frames of a pass; by default a thread decodes the next ones meanwhile.
        refining: when prompted objects' masks are refined on the way; by default never.
        looks: what tells objects apart: it guards their identities, and knows those again that were lost. Without it
            neither is done.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        new_propagator: Callable[[], Propagator],
        cache: EncodingCache,
        *,
        encoder: FrameEncoder | None = None,
        ahead: Ahead = read_ahead,
        refining: RefineRules | None = None,
        looks: Looks | None = None,
    ) -> None:
        self._segmenter = segmenter
        self._encoder = encoder
        self._new_propagator = new_propagator
        self._cache = cache
        self._ahead = ahead
        self._refining = refining
        self._looks = looks

    def track(
        self,
        video: Frames,
        prompts: Sequence[Prompt],
        *,
        span: tuple[int, int] | None = None,
        direction: Direction | Mapping[str, Direction] = "both",
        before: Mapping[str, Before] = MappingProxyType({}),
        standing: Standing | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """Track the prompted objects.

        Args:
            video: the frames.
            prompts: boxes, points or masks on any frames; several of an object are all heeded.
            span: first and last frame to track, by default the whole video. Prompts outside tell what an object looks
                like, and no more; each object needs one inside.
            direction: which way from an object's prompts, for all or by object (both for one that is not named).
                Between two prompts of an object it is always tracked.
            before: what was tracked of objects, by object, and which of their prompts have changed since. Then only
                what the change touches is tracked, outwards from there, to the next prompt or where it meets what was
                there before. The masks of prompts that did not change stay as they are.
            standing: other objects of the video, which are not tracked and stay as they are: they compete for pixels
                with those that are. So do those of ``before`` on frames on which nothing of them is done again.
            cancelled: asked between frames; True ends the results.

        Returns:
            results as they come: prompted frames first (``human``), then those nearest to them, forwards and backwards
            in turn. An object that was not tracked before has an observation on each frame of its way. A later
            observation of a frame replaces an earlier one: between two prompts an object is tracked from both, until
            they meet, and what counts there is settled at the end; see :mod:`backend.tracking.fusion`.

        Raises:
            PromptError: a prompt cannot be used, before any frame is decoded; nothing can be made out where it marks
                an object; or an object has no prompt in the span.
            FrameOutOfRange: a prompt or the span lies beyond the video.
            VideoError: a frame cannot be decoded.
        """
        marked = by_frame(prompts)
        reach = clamp_span(span, prompts, len(video))
        for prompt in prompts:
            prompt.validate(video.width, video.height)
        stretches = find_stretches(prompts, reach, direction, before)
        known: list[Standing] = [Settled(before, stretches)] if before else []
        if standing is not None:
            known.append(standing)
        return self._track(video, marked, reach, Fusion(stretches), before, Together(*known), cancelled)

    def track_detections(
        self,
        video: Frames,
        detections: Mapping[int, Sequence[Detection]],
        *,
        rules: Rules = DEFAULT_RULES,
        match: Matcher | None = None,
        labels: Labels | None = None,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """Track what a detector found, forwards from the first frame; names are given here.

        Args:
            video: the frames.
            detections: by frame. An empty sequence says that there is nothing; a frame without any was not looked at.
            rules: when tracks begin, continue and end.
            match: tells which detection shows which object; by default overlap does, and looks where there are any.
            labels: takes in what the detections say of their objects; one of its own for each call.
            learned: takes in what the objects look like; one of its own for each call.
            cancelled: asked between frames; True ends the results.

        Returns:
            a result for every frame, in order. What is settled only later (that a new object is one, that one was
            still there while it was not detected) comes in further results, of earlier frames. A later observation
            of a frame replaces an earlier one: where objects were taken for one another, their frames are told again.

        Raises:
            FrameOutOfRange: a detection lies beyond the video.
            VideoError: a frame cannot be decoded.
        """
        for frame in detections:
            check_index(frame, len(video), video.path.name)
        follower = self._detection_follower(video, rules, match, labels, learned)
        return _finish([follower.follow(GivenBoxes(detections))], cancelled)

    def track_everything(
        self,
        video: Frames,
        *,
        rules: EverythingRules = DEFAULT_EVERYTHING,
        learned: Learned | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[FrameResult]:
        """Track whatever looks like an object, forwards from the first frame; names are given here.

        Args:
            video: the frames.
            rules: what is looked for, and when.
            learned: takes in what the objects look like; one of its own for each call.
            cancelled: asked between frames; True ends the results.

        Returns:
            results as :meth:`track_detections` gives them.

        Raises:
            VideoError: a frame cannot be decoded.
        """
        follower = self._detection_follower(video, rules.lives, learned=learned)
        return _finish([follower.follow(Everything(video, self._segmenter, rules))], cancelled)

    def click(self, video: Frames, prompt: Prompt, logits: Tensor | None = None) -> Answer:
        """What is made out where a human has clicked, or drawn a box, on one frame.

        Args:
            video: the frames.
            prompt: points or a box, or both.
            logits: of the answer to the object's clicks before, to go on from; see :mod:`backend.tracking.click`.

        Raises:
            PromptError: the prompt cannot be used, or nothing can be made out there.
            FrameOutOfRange: the video has no such frame.
            VideoError: the frame cannot be decoded.
        """
        check_index(prompt.frame, len(video), video.path.name)
        prompt.validate(video.width, video.height)
        encoding = self._encoders(video).segmenting.of(prompt.frame, lambda: video.frame(prompt.frame))
        return answer(self._segmenter, encoding, prompt, logits)

    def prepare(self, video: Frames, frame: int) -> None:
        """Encode a frame for a click on it.

        Raises:
            FrameOutOfRange: the video has no such frame.
            VideoError: the frame cannot be decoded.
        """
        check_index(frame, len(video), video.path.name)
        self._encoders(video).segmenting.of(frame, lambda: video.frame(frame))

    def prepared(self, video: Frames, frame: int) -> bool:
        """Whether a click on a frame finds it encoded; may be asked by any thread."""
        return self._encoders(video).segmenting.holds(frame)

    def forget(self, identity: Hashable) -> None:
        """Let go of what is kept of a video, by its identity; may be called by any thread."""
        forget(identity, self._cache)

    def _track(
        self,
        video: Frames,
        marked: Mapping[int, Mapping[str, Prompt]],
        reach: tuple[int, int],
        fusion: Fusion,
        before: Mapping[str, Before],
        standing: Standing,
        cancelled: Callable[[], bool],
    ) -> Iterator[FrameResult]:
        encoders = self._encoders(video)
        propagator = self._new_propagator()
        shown: dict[int, Shown] = {}
        learnt: set[str] = set()
        known = {frame: _known(frame, prompts, before) for frame, prompts in marked.items()}
        guard = self._guard(video, encoders)
        # What is known helps to make out what is new.
        for frame in sorted(marked, key=lambda frame: (len(known[frame]) < len(marked[frame]), frame)):
            if cancelled():
                return
            prompts = {name: prompt for name, prompt in marked[frame].items() if name not in known[frame]}
            image = video.frame(frame)
            encoding = encoders.propagating(frame, image)
            masks: dict[str, tuple[BoolArray, float]] = {}
            if prompts:
                recalled = recall(propagator, frame, encoding, {n: one for n, one in prompts.items() if n in learnt})
                masks = initial_masks(self._segmenter, encoders.segmenting(frame, image), prompts, recalled)
                rivals = Rivals(standing)
                rivals.shown(frame, {name: mask for name, (mask, _) in masks.items()})
                masks = spare(masks, prompts, rivals.masks(frame, prompts.keys()).values())
            given = {name: mask for name, (mask, _) in masks.items()} | known[frame]
            shown[frame] = Shown(
                given,
                loose=frozenset(
                    name
                    for name, mask in given.items()
                    if name in learnt and tells_place_only(mask, marked[frame][name])
                ),
                ends=frozenset(name for name, prompt in marked[frame].items() if prompt.ends),
            )
            firm = shown[frame].firm
            learnt |= firm.keys()
            if firm:
                propagator.step(frame, encoding, firm, ())
            if guard is not None:
                guard.teach(frame, image, firm)
            if masks and reach[0] <= frame <= reach[1]:
                yield FrameResult(
                    frame,
                    tuple(
                        Observation(name, frame, Mask.from_array(mask), score, human=True)
                        for name, (mask, score) in sorted(masks.items())
                    ),
                )
        refiner = None
        if self._refining is not None:
            refiner = Refiner(self._segmenter, encoders.segmenting, self._refining)
        ways = []
        for route in fusion.passes():
            fork = propagator.fork()
            watch = None if guard is None else guard.fork()
            follower = Follower(
                video,
                encoders.propagating,
                fork,
                shown,
                self._ahead,
                refiner,
                fusion.wanted,
                watch,
                Rivals(standing),
            )
            ways.append(_seen(fusion, route, follower))
        yield from _finish(ways, cancelled)
        if not cancelled():
            yield from fusion.settle()
        if refiner is not None:
            refiner.report()

    def _guard(
        self, video: Frames, encoders: Encoders, rules: GuardRules | None = None, *, seeks: bool = True
    ) -> Guard | None:
        if self._looks is None:
            return None

        def find(frame: int, image: ImageArray) -> list[Mask]:
            found = propose(self._segmenter, encoders.segmenting(frame, image), rules=_SOUGHT)
            return [one.mask for one in found]

        return Guard(self._looks, encoders.looking, video.fps, find if seeks else None, rules)

    def _detection_follower(
        self,
        video: Frames,
        rules: Rules,
        match: Matcher | None = None,
        labels: Labels | None = None,
        learned: Learned | None = None,
    ) -> DetectionFollower:
        encoders = self._encoders(video)
        # A detector that sees all that is there sees what has come back, too.
        guard = self._guard(video, encoders, DETECTED, seeks=not rules.complete)
        if learned is not None and self._looks is not None and guard is not None:
            learned.galleries, learned.calibration = guard.galleries, self._looks.calibration
        return DetectionFollower(
            video,
            encoders,
            self._segmenter,
            self._new_propagator(),
            rules,
            match or self._matcher(guard),
            self._ahead,
            labels,
            guard,
        )

    def _matcher(self, guard: Guard | None) -> Matcher:
        if self._looks is None or guard is None:
            return match_by_overlap
        return AppearanceMatcher(self._looks, guard.galleries)

    def _encoders(self, video: Frames) -> Encoders:
        looking = None if self._looks is None else self._looks.encoder
        return Encoders.of(video, self._cache, self._segmenter, self._encoder, looking)


def _known(frame: int, prompts: Mapping[str, Prompt], before: Mapping[str, Before]) -> dict[str, BoolArray]:
    """The masks ``bool (H, W)`` that prompts of a frame had before, where they did not change."""
    found = {}
    for name in prompts:
        if name in before and frame not in before[name].changed:
            observation = before[name].observations.get(frame)
            if observation is not None and observation.human and observation.mask is not None:
                found[name] = observation.mask.array()
    return found


def _seen(fusion: Fusion, route: Pass, follower: Follower) -> Generator[FrameResult, None, None]:
    """A pass whose results the fusion sees before anybody else."""
    results = follower.follow(route)
    try:
        for result in results:
            fusion.see(route.step, result)
            yield result
    finally:
        results.close()


def _finish(ways: Sequence[Generator[FrameResult, None, None]], cancelled: Callable[[], bool]) -> Iterator[FrameResult]:
    """Results in turn; what the ways hold is let go when nobody asks for more."""
    try:
        yield from take_turns(ways, cancelled)
    finally:
        for way in ways:
            way.close()
