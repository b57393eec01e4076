"""When a detected object's track begins, is believed, and ends.

Tracks live as those of SORT do (Bewley et al., ICIP 2016): an object must be detected twice, and ends when it has not
been for some time. As in ByteTrack (Zhang et al., ECCV 2022), weak detections continue tracks and begin none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from backend.tracks import Box, Observation


@dataclass(frozen=True)
class Rules:
    """When detections begin, continue and end tracks.

    Attributes:
        confident: the least score of a detection that begins a track or sets one right.
        weak: the least score of one that continues a track.
        doubtful: below this score a propagation is set right;
        rest: in seconds, and no sooner again than that.
        near: seconds for which an object that was not found is taken to be where it was last.
        patience: seconds for which an object is followed that no detection meets.
        at_once: one detection makes an object; otherwise it must be detected twice.
        complete: what was not detected on a frame that was looked at was missed there; otherwise that says nothing.
    """

    confident: float = 0.5
    weak: float = 0.1
    doubtful: float = 0.5
    rest: float = 0.5
    near: float = 0.5
    patience: float = 2.0
    at_once: bool = False
    complete: bool = True


DEFAULT_RULES = Rules()

# Frames with detections, one after the other, on which an object must have been missed before it ends.
_MISSES = 2


@dataclass(eq=False)
class _Life:
    """``met``, ``given`` and ``found`` are the frames on which a detection met the object, its mask was given to the
    propagator, and it was there, the last ones; ``box`` is where."""

    met: int
    given: int
    found: int
    box: Box | None
    confirmed: bool = False
    misses: int = 0
    held: list[Observation] = field(default_factory=list)


class Lives:
    """The objects that are followed.

    An observation is held back until its object is known to be one, and while no detection meets it; those of an
    object that ends are never given out.

    Args:
        rules: when tracks begin and end.
        fps: frames per second.
    """

    def __init__(self, rules: Rules, fps: float) -> None:
        self._rules = rules
        self._fps = fps
        self._lives: dict[str, _Life] = {}
        self._ended: dict[str, None] = {}
        self._begun = 0

    def __len__(self) -> int:
        return len(self._lives)

    @property
    def names(self) -> list[str]:
        """Of the objects that are followed, in the order in which they began."""
        return list(self._lives)

    @property
    def ended(self) -> list[str]:
        """Names of the objects that were known to be ones, and are followed no more."""
        return [name for name in self._ended if name not in self._lives]

    @property
    def trusted(self) -> set[str]:
        """Names of those that were not missed when they were last looked for."""
        return {name for name, life in self._lives.items() if not life.misses}

    def begin(self, frame: int, box: Box, name: str | None = None) -> str:
        """A new object, or by its name one that has ended, detected and given to the propagator on this frame.

        Returns:
            its name.
        """
        if name is None:
            self._begun += 1
            name = str(self._begun)
        self._lives[name] = _Life(frame, frame, frame, box, confirmed=self._rules.at_once)
        return name

    def may_be_set_right(self, name: str, frame: int) -> bool:
        """Whether long enough has passed since the object was given to the propagator."""
        return frame - self._lives[name].given >= self._rules.rest * self._fps

    def was_given(self, name: str, frames: Collection[int]) -> bool:
        """Whether the object was given to the propagator on one of some frames, the last time."""
        return self._lives[name].given in frames

    def set_right(self, name: str, frame: int) -> None:
        """Note that the object was given to the propagator."""
        self._lives[name].given = frame

    def last_boxes(self, frame: int, absent: Iterable[str]) -> dict[str, Box | None]:
        """Where objects that are not found were, None if that is long ago."""
        reach = self._rules.near * self._fps
        lives = {name: self._lives[name] for name in absent}
        return {name: life.box if frame - life.found <= reach else None for name, life in lives.items()}

    def cut(self) -> None:
        """Note that nothing is where it was."""
        for life in self._lives.values():
            life.box = None

    def exchange(self, one: str, other: str) -> None:
        """Note that two objects go on as each other; what was seen of them until now is to be told again."""
        before = {one: self._lives[one], other: self._lives[other]}
        for name, follows in ((one, other), (other, one)):
            own = before[name]
            # By which names something was given out, and what, is known already.
            self._lives[name] = replace(before[follows], confirmed=own.confirmed, held=own.held)

    def retell(self, observations: Iterable[Observation]) -> list[Observation]:
        """Take in what is said anew of earlier frames; returns what is given out of it: what takes the place of
        something that was."""
        shown = []
        for observation in observations:
            held = self._lives[observation.object_id].held
            places = [place for place, one in enumerate(held) if one.frame == observation.frame]
            if places:
                held[places[0]] = observation
            else:
                shown.append(observation)
        return shown

    def judge(self, frame: int, met: Collection[str]) -> tuple[list[Observation], list[str]]:
        """Take in which of the objects (but those that begin on it) a frame's detections met.

        Returns:
            the observations of earlier frames that hold now, and the objects that have ended.
        """
        released: list[Observation] = []
        ended: list[str] = []
        for name, life in self._lives.items():
            if name in met:
                life.met, life.misses, life.confirmed = frame, 0, True
                self._ended.pop(name, None)
                released += life.held
                life.held = []
            elif life.met < frame and self._rules.complete:
                life.misses += 1
                overdue = frame - life.met > self._rules.patience * self._fps
                if life.misses >= _MISSES and (overdue or not life.confirmed):
                    ended.append(name)
        for name in ended:
            if self._lives.pop(name).confirmed:
                self._ended[name] = None
        return released, ended

    def tell(self, seen: Iterable[Observation]) -> list[Observation]:
        """Take in what was seen of the objects on a frame; returns what may be given out of it now."""
        shown = []
        for observation in seen:
            life = self._lives[observation.object_id]
            if observation.box is not None:
                life.found, life.box = observation.frame, observation.box
            if life.confirmed and not life.misses:
                shown.append(observation)
            else:
                life.held.append(observation)
        return shown
