"""Watches that objects which are propagated together keep their identities.

A propagator knows objects by their places and by what memory holds of them; where two of them cross, it may go on with
each under the other's name, what it finds after an absence may be somebody else, and what comes back changed it may not
find at all. What objects look like, as an embedder says it, tells: two that met are compared with what they looked like
before once they are apart; one that comes back is compared with what it looked like before it went; and one that stays
away is looked for among what the segmenter proposes. The paper's tracker (MASA, Li et al., CVPR 2024) has no masks to
put right; the rules are ours, and measured in ``docs/association.md``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from backend.association.identity import Gallery, same, swapped
from backend.propagation.propagator import FrameEncoding
from backend.tracking.contacts import Contact, ContactRules, Pair, other_of, retold
from backend.tracking.looks import Looks
from backend.tracking.meetings import Meetings
from backend.tracking.seek import Propose, Seeker
from backend.tracks import BoolArray, Box, FrameResult, ImageArray, Mask, Observation, box_iou

Encode = Callable[[int, ImageArray], Any]


class Steered(Protocol):
    """What the guard tells a propagator, or whoever stands between them; see there."""

    def step(self, frame: int, encoding: Any, given: Mapping[str, BoolArray], wanted: Collection[str], /) -> object:
        """Take in masks that hold."""

    def deny(self, names: Collection[str], /) -> None:
        """What was found of objects is not they."""

    def exchange(self, one: str, other: str, frames: Collection[int], /) -> None:
        """Two objects have taken each other's place."""


@dataclass(frozen=True)
class GuardRules:
    """When looks count, and what they decide.

    Attributes:
        sure: the least score of a mask whose looks are learned.
        contact: when objects touch, and what is enough to say who is who.
        again: below this probability what comes back is somebody else,
        anew: and below this one what is found first after a cut.
        crowded: of an object of which nothing is known yet, looks are learned where its box overlaps no other one's
            more than this (IoU), even if they touch.
        memory: seconds after which looks are forgotten; None: never.
    """

    sure: float = 0.5
    contact: ContactRules = field(default_factory=ContactRules)
    again: float = 0.2
    anew: float = 0.2
    crowded: float = 0.1
    memory: float | None = None


# Nobody has said of detected objects where they are: over a cut, something else may be taken for one. Their number
# grows for as long as a video lasts.
DETECTED = GuardRules(anew=0.5, memory=60.0)


class Guard:
    """Watches over one pass of a propagator.

    Args:
        looks: what tells objects apart.
        encode: encodes a frame for the embedder, or recalls its encoding.
        fps: frames per second.
        propose: finds what may be an object that is away; by default nobody looks for these.
        rules: when looks count, and what they decide.
    """

    def __init__(
        self,
        looks: Looks,
        encode: Encode,
        fps: float,
        propose: Propose | None = None,
        rules: GuardRules | None = None,
    ) -> None:
        self._propose = propose
        self._looks = looks
        self._encode = encode
        self._fps = fps
        self._rules = rules or GuardRules()
        self._galleries: dict[str, Gallery] = {}
        self._absent: set[str] = set()
        self._cut: set[str] = set()  # not found since the last one
        self._seeker = None if propose is None else Seeker(propose, self._embed, looks.calibration)
        self._usual: dict[str, int] = {}  # pixels, when an object was seen alone last
        self._meetings = Meetings(self._rules.contact, fps)

    @property
    def galleries(self) -> Mapping[str, Gallery]:
        """What objects look like, by name, as far as that was learned: it grows as the video is watched."""
        return self._galleries

    def fork(self) -> Guard:
        """Another one that knows what objects look like so far, for another pass."""
        other = Guard(self._looks, self._encode, self._fps, self._propose, self._rules)
        other._galleries = {name: copy.copy(gallery) for name, gallery in self._galleries.items()}
        other._usual = dict(self._usual)
        return other

    def teach(self, frame: int, image: ImageArray, masks: Mapping[str, BoolArray]) -> None:
        """Learn for good what objects look like, as a human showed it: masks ``bool (H, W)`` by object."""
        shown = {
            name: (box, mask) for name, mask in masks.items() if (box := Mask.from_array(mask).solid_box) is not None
        }
        for name, view in self._embed(frame, image, shown).items():
            self._gallery(name).add(frame / self._fps, view, lasting=True)
            self._usual[name] = int(masks[name].sum())

    def given(self, names: Collection[str]) -> None:
        """A human has just shown where objects are: whatever was in doubt about them is not any more."""
        self.found(names)
        self._meetings.drop(names)

    def found(self, names: Collection[str]) -> None:
        """Something else than the propagator has found objects: they are not away any more."""
        self._absent -= set(names)
        self._cut -= set(names)

    def gone(self, names: Collection[str]) -> None:
        """Objects are not to be seen from here on: whatever is found of them next has come back."""
        self._absent |= set(names)
        self._meetings.drop(names)

    def cut(self) -> None:
        """Nothing is where it was: whatever is found next has come back."""
        self._absent |= self._galleries.keys()
        self._cut |= self._galleries.keys()
        if self._seeker is not None:
            self._seeker.cut(self._galleries.keys())
        self._meetings.clear()

    def watch(
        self,
        propagator: Steered,
        frame: int,
        image: ImageArray,
        encoding: FrameEncoding,
        result: FrameResult,
        trusted: Collection[str] | None = None,
        others: Mapping[str, Mask] = MappingProxyType({}),
    ) -> list[FrameResult]:
        """Look at what a propagator found on a frame, and put right, in it too, what is wrong with the identities.

        Args:
            propagator: the one that found it.
            frame: the frame's index.
            image: RGB ``uint8 (H, W, 3)``.
            encoding: what the propagator stepped with.
            result: the frame's.
            trusted: the objects that are where they were found, as far as anybody knows; of others nothing is learned.
                By default all.
            others: masks of objects that are not propagated: who is away is not looked for there.

        Returns:
            what replaces it, the last of them for this frame; others, for frames told before, come first.
        """
        result = self._check_returns(propagator, frame, image, result)
        result = self._search(propagator, frame, image, encoding, result, others)
        seen = {one.object_id: one for one in result.observations}
        boxes = {name: box for name, one in seen.items() if (box := one.box) is not None}
        known = {name for name, gallery in self._galleries.items() if len(gallery)}
        self._meetings.see(frame, seen, boxes, known)
        self._look(frame, image, seen, boxes, seen if trusted is None else trusted)
        return self._settle(propagator, frame, result)

    def _check_returns(self, propagator: Steered, frame: int, image: ImageArray, result: FrameResult) -> FrameResult:
        """Deny what came back if it looks like somebody else."""
        back = {
            one.object_id: (box, one.mask.array())
            for one in result.observations
            if one.object_id in self._absent
            and one.mask is not None
            and (box := one.box) is not None
            and len(self._galleries.get(one.object_id, ()))
        }
        denied = {}
        for name, view in self._embed(frame, image, back).items():
            alike = float(same(self._galleries[name], view[None], self._looks.calibration)[0])
            if alike < (self._rules.anew if name in self._cut else self._rules.again):
                denied[name] = Observation(name, frame, None, 1 - alike)
        if denied:
            propagator.deny(denied)
            result = FrameResult(frame, tuple(denied.get(one.object_id, one) for one in result.observations))
        self._absent |= {one.object_id for one in result.observations if not one.present}
        self.found([one.object_id for one in result.observations if one.present])
        return result

    def _search(
        self,
        propagator: Steered,
        frame: int,
        image: ImageArray,
        encoding: FrameEncoding,
        result: FrameResult,
        others: Mapping[str, Mask],
    ) -> FrameResult:
        """Look for objects that are away among what the segmenter proposes."""
        if self._seeker is None:
            return result
        away = [one.object_id for one in result.observations if not one.present]
        found = self._seeker.seek(
            frame,
            frame / self._fps,
            image,
            {name: self._gallery(name) for name in away},
            {name: (mask, Gallery()) for name, mask in others.items()}
            | {
                one.object_id: (one.mask, self._gallery(one.object_id))
                for one in result.observations
                if one.mask is not None
            },
        )
        regions = {name: one.mask.array() for name, one in found.items() if one.mask is not None}
        if regions:
            # As if a human had shown it, in this pass: what memory holds did not find it, and would lose it again.
            propagator.step(frame, encoding, regions, ())
            self.found(found.keys())
        taken = list(regions.values())
        return FrameResult(
            frame, tuple(found.get(one.object_id) or _without(one, taken) for one in result.observations)
        )

    def _look(
        self,
        frame: int,
        image: ImageArray,
        seen: Mapping[str, Observation],
        boxes: Mapping[str, Box],
        trusted: Collection[str],
    ) -> None:
        """See what objects look like: in a contact that is to be settled, or, where they are alone, for later."""
        second = frame / self._fps
        masks = {name: mask for name in boxes if (mask := seen[name].mask) is not None}
        areas = {name: mask.area for name, mask in masks.items() if seen[name].score >= self._rules.contact.sure}
        asked = self._meetings.wanted(frame, areas, self._usual)
        learned = {
            name
            for name in masks
            if name in trusted
            and seen[name].score >= self._rules.sure
            and name not in self._meetings
            and self._gallery(name).due(second)
            and not (name in self._meetings.touching and (len(self._gallery(name)) or self._is_crowded(name, boxes)))
        }
        views = self._embed(
            frame, image, {name: (boxes[name], masks[name].array()) for name in masks.keys() & (asked | learned)}
        )
        self._meetings.look(frame, {name: views[name] for name in asked}, areas, self._usual)
        for name in learned:
            self._gallery(name).forget(second)
            self._gallery(name).add(second, views[name])
            self._usual[name] = masks[name].area

    def _is_crowded(self, name: str, boxes: Mapping[str, Box]) -> bool:
        others = (box for other, box in boxes.items() if other != name)
        return any(box_iou(boxes[name], other) > self._rules.crowded for other in others)

    def _settle(self, propagator: Steered, frame: int, result: FrameResult) -> list[FrameResult]:
        """Exchange the tracks of objects that look like each other since they met, and doubt what cannot be told."""
        earlier: dict[int, FrameResult] = {}
        rules = self._rules.contact
        for pair, contact in self._meetings:
            verdict = contact.judge(frame, partial(self._swapped, pair))
            if verdict is None:
                continue
            exchange = verdict.probability >= rules.swap
            if exchange:
                propagator.exchange(*pair, [at for at, _ in contact.told(verdict.since)])
                self._absent = {other_of(pair, name) for name in self._absent}
                self._meetings.drop(pair)
            else:
                self._meetings.end(pair)
                if verdict.probability < 0.5:
                    self._adopt(contact)
            if verdict.probability > 1 - rules.swap:
                for at, found in retold(pair, contact, verdict, exchange=exchange):
                    base = result if at == frame else earlier.get(at, FrameResult(at, ()))
                    kept = [one for one in base.observations if one.object_id not in pair]
                    merged = FrameResult(at, tuple(sorted([*kept, *found], key=lambda one: one.object_id)))
                    if at == frame:
                        result = merged
                    else:
                        earlier[at] = merged
        return [*earlier.values(), result]

    def _swapped(self, pair: Pair, after: Mapping[str, Gallery]) -> float:
        """The probability that two objects have taken each other's place; of one that is gone nothing is known."""
        if len(after) == 2:
            return swapped(
                [self._galleries[name] for name in pair], [after[name] for name in pair], self._looks.calibration
            )
        ((name, gallery),) = after.items()
        views = gallery.views
        own, others = (float(self._galleries[key].similarity(views).mean()) for key in (name, other_of(pair, name)))
        return 1 / (1 + math.exp(-self._looks.calibration.swap * 2 * (others - own)))

    def _adopt(self, contact: Contact) -> None:
        for name, gallery in contact.after.items():
            for second, view in zip(gallery.seconds, gallery.views, strict=True):
                self._gallery(name).add(second, view)

    def _gallery(self, name: str) -> Gallery:
        return self._galleries.setdefault(name, Gallery(memory=self._rules.memory))

    def _embed(self, frame: int, image: ImageArray, shown: Mapping[str, tuple[Box, BoolArray]]) -> dict[str, Tensor]:
        """What objects look like, by name."""
        if not shown:
            return {}
        boxes = torch.tensor([box for box, _ in shown.values()], dtype=torch.float32)
        found = self._looks.embedder.embed(self._encode(frame, image), boxes, [mask for _, mask in shown.values()])
        return dict(zip(shown, found, strict=True))


def _without(one: Observation, taken: Sequence[BoolArray]) -> Observation:
    """What is left of an object that had taken in others."""
    if one.mask is None or not taken:
        return one
    own = one.mask.array()
    left = own & ~np.any(taken, axis=0)
    if left.sum() == own.sum():
        return one
    return replace(one, mask=Mask.from_array(left) if left.any() else None)
