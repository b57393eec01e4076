"""Follow objects through one pass over a video: shots, absence, and what comes of each frame."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from dataclasses import dataclass

from backend.propagation.propagator import FrameEncoding, Propagation, Propagator
from backend.tracking.guard import Guard
from backend.tracking.plan import Pass
from backend.tracking.refine import Refiner
from backend.tracking.standing import Rivals
from backend.tracks import BoolArray, FrameResult, ImageArray, Mask, Observation
from backend.video.ahead import Ahead, read_ahead
from backend.video.frames import Frames
from backend.video.shots import Shots

# While nothing is there to follow, only every so many frames are looked at.
SEARCH_EVERY = 4

Encode = Callable[[int, ImageArray], FrameEncoding]
Wanted = Callable[[Pass, int], frozenset[str]]


def _as_planned(route: Pass, frame: int) -> frozenset[str]:
    return route.wanted[frame]


@dataclass(frozen=True, eq=False)
class Shown:
    """What was prompted on a frame.

    Attributes:
        masks: ``bool (H, W)`` by object.
        loose: the objects whose masks tell no more than where they are.
        ends: the objects that are gone on the next frame: they are looked for from there.
    """

    masks: Mapping[str, BoolArray]
    loose: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()

    @property
    def firm(self) -> dict[str, BoolArray]:
        """The masks that hold."""
        return {name: mask for name, mask in self.masks.items() if name not in self.loose}

    def of(self, names: Collection[str]) -> Shown:
        """What was prompted of some objects alone."""
        masks = {name: mask for name, mask in self.masks.items() if name in names}
        return Shown(masks, self.loose & masks.keys(), self.ends & masks.keys())


class Follower:
    """One pass of a propagator over a video.

    Args:
        video: the frames.
        encode: encodes a frame for the propagator, or recalls its encoding.
        propagator: a fork of the one that was given the prompted masks.
        shown: what was prompted, by frame.
        ahead: hands out the frames of a pass.
        refiner: refines what is propagated; by default it stays as it is.
        guard: watches over the objects' identities; by default nobody does.
        rivals: what objects that are not followed hold against those that are; by default nobody holds anything.
        wanted: which objects are still to be propagated on a frame, asked when its turn comes and shortly before; an
            object that is not is not asked about again before the next frame on which it was prompted.
    """

    def __init__(
        self,
        video: Frames,
        encode: Encode,
        propagator: Propagator,
        shown: Mapping[int, Shown],
        ahead: Ahead = read_ahead,
        refiner: Refiner | None = None,
        wanted: Wanted = _as_planned,
        guard: Guard | None = None,
        rivals: Rivals | None = None,
    ) -> None:
        self._video = video
        self._encode = encode
        self._propagator = propagator
        self._shown = shown
        self._ahead = ahead
        self._refiner = refiner
        self._wanted = wanted
        self._guard = guard
        self._rivals = rivals
        self._shots = Shots(video)
        self._missing: set[str] = set()
        self._skipped: list[tuple[int, ImageArray, frozenset[str]]] = []

    def follow(self, route: Pass) -> Generator[FrameResult, None, None]:
        """Results in the order of the pass; frames on which nothing was found may come late, but all come.

        Where identities were put right, earlier frames are told again.
        """
        previous: int | None = None
        frames = self._ahead(self._video, (frame for frame in route.frames if self._wanted(route, frame)))
        try:
            for frame, image in frames:
                wanted = self._wanted(route, frame)
                if not wanted:
                    continue  # it was decoded before that was known
                before = frame - route.step
                if previous != before:
                    # The pass goes on elsewhere, and nothing found there says anything of the frames behind.
                    yield from self._catch_up(search=False)
                opened = self._open(before, wanted, route.step)
                self._shots.see(frame, image)
                cut = (previous == before or opened) and self._shots.between(before, frame)
                if cut:
                    self._propagator.lose()
                    self._missing |= wanted
                    if self._guard is not None:
                        self._guard.cut()
                previous = frame
                if (
                    not (cut or opened or frame == route.frames[-1])
                    and wanted <= self._missing
                    and len(self._skipped) < SEARCH_EVERY - 1
                ):
                    self._skipped.append((frame, image, wanted))
                    continue
                found = self._step(frame, image, wanted)
                yield from self._catch_up(search=not wanted <= self._missing and not cut)
                yield from found
        finally:
            frames.close()
        yield from self._catch_up(search=False)

    def _open(self, before: int, wanted: frozenset[str], step: int) -> bool:
        """Start the objects that were prompted on the frame before."""
        shown = self._shown[before].of(wanted) if before in self._shown else Shown({})
        if not shown.masks:
            return False
        encoding = self._encode(before, self._video.frame(before))
        if shown.firm:
            self._propagator.step(before, encoding, shown.firm, ())
        if shown.loose:
            self._propagator.expect(encoding, {name: shown.masks[name] for name in shown.loose})
        self._missing -= shown.masks.keys()
        if self._rivals is not None:
            self._rivals.shown(before, shown.masks)
        if self._guard is not None:
            self._guard.given(shown.masks.keys())
        if shown.ends and step > 0:
            self._propagator.deny(shown.ends)
            self._missing |= shown.ends
            if self._guard is not None:
                self._guard.gone(shown.ends)
        return True

    def _step(self, frame: int, image: ImageArray, wanted: frozenset[str]) -> list[FrameResult]:
        """Results of frames that are told otherwise now, and at last that of this frame."""
        found = [self._propagate(self._propagator, frame, image, wanted)]
        if self._guard is not None:
            others = {} if self._rivals is None else self._rivals.masks(frame, wanted)
            encoding = self._encode(frame, image)
            found = self._guard.watch(self._propagator, frame, image, encoding, found[0], others=others)
        if self._rivals is not None:
            self._rivals.found(found[-1])
        self._missing = (self._missing - wanted) | _absent(found[-1])
        return found

    def _propagate(self, propagator: Propagator, frame: int, image: ImageArray, wanted: frozenset[str]) -> FrameResult:
        encoding = self._encode(frame, image)
        claims = None if self._rivals is None else self._rivals.claims(frame, wanted)
        found = propagator.step(frame, encoding, {}, sorted(wanted), claims)
        if self._refiner is not None:
            found = self._refiner.refine(propagator, frame, image, encoding, found)
        return FrameResult(frame, tuple(_observe(name, frame, one) for name, one in sorted(found.items())))

    def _catch_up(self, *, search: bool) -> Iterator[FrameResult]:
        """Results of the skipped frames, nearest to the present first where an object has just come back."""
        skipped, self._skipped = self._skipped, []
        # Who is absent further back may well be here: the way back leaves no trace.
        back = self._propagator.branch() if search and skipped else None
        for frame, image, wanted in reversed(skipped):
            if back is None:
                yield FrameResult(frame, tuple(Observation(name, frame, None, _UNSEEN) for name in sorted(wanted)))
                continue
            result = self._propagate(back, frame, image, wanted)
            if wanted <= _absent(result):
                back = None  # where it is not there yet, it was not there before either
            yield result


# Confidence in the absence on a frame that was not looked at.
_UNSEEN = 0.5


def _absent(result: FrameResult) -> set[str]:
    return {observation.object_id for observation in result.observations if not observation.present}


def _observe(name: str, frame: int, found: Propagation) -> Observation:
    mask = None if found.mask is None else Mask.from_array(found.mask)
    return Observation(name, frame, mask, found.score)
