"""The objects of a video that was tracked in pieces, each under one name from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from backend.association.joining import JoinRules, Seen, meet
from backend.export.tracked import TrackedObject
from backend.prelabel.pieces import Piece, PieceObject, PieceResult
from backend.tracking.labels import Votes, together, winner
from backend.tracks import BoolArray, FloatArray, Mask, Observation, Track

# The part of an object that nothing may cover of the piece that counts on a frame, for it to count there although that
# piece does not have it.
_OWN = 0.5


class Joiner:
    """Joins the pieces of one video, one after the other.

    Two objects that are seen at once are never made one, unless it is in the same place; nor are two of different
    labels. Objects of the first piece keep their names, later ones are numbered on. On frames that two pieces have, the
    one counts that they belong to; what the other one found beside that is kept where nothing contradicts it.

    Args:
        rules: when objects are one.
    """

    def __init__(self, rules: JoinRules | None = None) -> None:
        self._rules = rules or JoinRules()
        self._identities: list[_Identity] = []
        self._names: set[str] = set()
        self._last: Piece | None = None

    def add(self, result: PieceResult) -> None:
        """Take in the next piece of the video.

        Raises:
            ValueError: it is not the next one.
        """
        expected = 0 if self._last is None else self._last.number + 1
        if result.piece.number != expected:
            raise ValueError(f"piece {result.piece.number} was given where piece {expected} is the next")
        found = [_Identity.of(one) for one in result.objects]
        if self._last is None:
            self._identities = found
            self._names = {one.name for one in found}
        else:
            self._append(self._last, result, found)
        self._last = result.piece

    def objects(self, label: str | None = None) -> list[TrackedObject]:
        """The objects so far, in the order of the frames on which they begin.

        Args:
            label: what all of them are; by default what their detections said.
        """
        known = sorted(self._identities, key=lambda one: min(one.observations))
        return [
            TrackedObject(one.name, label or winner(one.votes), (), Track(one.name, dict(one.observations)))
            for one in known
        ]

    def _append(self, before: Piece, result: PieceResult, found: list[_Identity]) -> None:
        known, frames = self._identities, result.piece.frames
        shared, border = range(frames.start, before.frames.stop), result.piece.own.start
        remembered = range(max(frames.start - round(self._rules.memory * result.fps), 0), shared.stop)
        met = meet(
            [one.seen(remembered) for one in known],
            [one.seen(frames) for one in found],
            fps=result.fps,
            cut=result.piece.cut,
            calibration=result.calibration,
            rules=self._rules,
        )
        _yield_to(known, found, {other: place for place, other in met.items()}, range(shared.start, border))
        _yield_to(found, known, met, range(border, shared.stop))
        for place, other in met.items():
            known[place].go_on(found[other], remembered.start / result.fps)
        for other, one in enumerate(found):
            if other not in met.values() and one.observations:
                one.rename(next(name for number in count(1) if (name := str(number)) not in self._names))
                self._names.add(one.name)
                known.append(one)
        self._identities = [one for one in known if one.observations]


def join(
    results: Iterable[PieceResult], label: str | None = None, rules: JoinRules | None = None
) -> list[TrackedObject]:
    """The objects of a video from all of its pieces, in their order; see :class:`Joiner`."""
    joiner = Joiner(rules)
    for result in results:
        joiner.add(result)
    return joiner.objects(label)


@dataclass(eq=False)
class _Identity:
    """An object of the whole video, as far as it is known; what it looked like is that of the last minute."""

    name: str
    observations: dict[int, Observation]
    votes: Votes
    seconds: Sequence[float]
    views: FloatArray

    @classmethod
    def of(cls, one: PieceObject) -> _Identity:
        return cls(one.track.object_id, dict(one.track.observations), one.votes, one.seconds, one.views)

    def seen(self, frames: range) -> Seen:
        """What is compared of it, by some frames."""
        masks = {frame: mask for frame in frames if (mask := self.mask(frame)) is not None}
        return Seen(masks, winner(self.votes), self.seconds, self.views)

    def mask(self, frame: int) -> Mask | None:
        """What it covers on a frame; None where it is not seen."""
        one = self.observations.get(frame)
        return one.mask if one is not None and one.mask is not None and one.mask.area else None

    def go_on(self, other: _Identity, forgotten: float) -> None:
        """Take in what was found of it in the next piece; looks of before ``forgotten`` seconds are let go."""
        other.rename(self.name)
        self.observations |= other.observations
        self.votes = together(self.votes, other.votes)
        kept = [place for place, second in enumerate(self.seconds) if second >= forgotten]
        parts = [part for part in (self.views[kept], other.views) if len(part)]
        self.views = np.concatenate(parts) if parts else other.views
        self.seconds = [*(self.seconds[place] for place in kept), *other.seconds]

    def rename(self, name: str) -> None:
        self.name = name
        self.observations = {frame: replace(one, object_id=name) for frame, one in self.observations.items()}


def _yield_to(
    hosts: Sequence[_Identity], guests: Sequence[_Identity], partners: Mapping[int, int], frames: range
) -> None:
    """On frames on which one piece counts, leave of another one's objects what does not contradict it.

    An object is there if it is seen there, the other piece says nothing of it, and what that found does not cover it.

    Args:
        hosts: the objects of the piece that counts.
        guests: the other one's, which are changed.
        partners: by the place of a guest, that of the host that is the same object.
        frames: on which both pieces were tracked.
    """
    for frame in frames:
        covered: BoolArray | None = None
        for host in hosts:
            mask = host.mask(frame)
            if mask is not None:
                covered = mask.array() if covered is None else covered | mask.array()
        for place, guest in enumerate(guests):
            one = guest.observations.pop(frame, None)
            if one is None or one.mask is None:
                continue
            if place in partners and frame in hosts[partners[place]].observations:
                continue
            whole = one.mask.array()
            left = whole if covered is None else whole & ~covered
            if left.any() and left.sum() >= _OWN * whole.sum():
                guest.observations[frame] = replace(one, mask=Mask.from_array(left))
