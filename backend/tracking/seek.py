"""Looks for objects that are away among what the segmenter proposes, by what they look like.

Memory finds an object again that looks as it did; one that turned round meanwhile, or that memory has confused with
what hid it, is found by its looks (as MASA's embeddings find it among a detector's boxes; Li et al., CVPR 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from backend.association.assignment import assign
from backend.association.identity import Calibration, Gallery, same
from backend.tracks import BoolArray, Box, ImageArray, Mask, Observation, mask_iou

Propose = Callable[[int, ImageArray], Sequence[Mask]]
"""A frame -> masks of what looks like an object."""

Embed = Callable[[int, ImageArray, Mapping[str, tuple[Box, BoolArray]]], Mapping[str, Tensor]]
"""A frame, and boxes and masks on it -> what each looks like."""


@dataclass(frozen=True)
class SeekRules:
    """When objects are looked for, and what is taken for one.

    Attributes:
        first: seconds from an object's disappearance to the first look. Memory may find it sooner.
        every: seconds from one look to the next, at least;
        share: or this part of the time that it is away by then,
        seldom: and no more than that.
        hint: where something is it with this probability, and not with the least, the next look comes after half the
            time, but no sooner than the first: it may show better then.
        least: probability.
        same: what overlaps an object's mask as much (IoU) is that object, whatever it looks like.
    """

    first: float = 0.25
    every: float = 0.4
    share: float = 0.3
    seldom: float = 2.0
    hint: float = 0.5
    least: float = 0.7
    same: float = 0.5

    def wait(self, away: float) -> float:
        """Seconds to the next look, by those that an object is away."""
        return min(max(self.every, self.share * away), self.seldom)

    def hinted(self, wait: float) -> float:
        """Seconds to the next look where that would be ``wait``, and something may be the object."""
        return max(wait / 2, self.first)


@dataclass(frozen=True)
class _Wait:
    """``gone`` and ``since`` are seconds: when an object disappeared, and when it was looked for last."""

    gone: float
    since: float
    wait: float

    def is_over(self, second: float) -> bool:
        """Whether it is time for a look; rounding must not make it a frame later."""
        return abs(second - self.since) >= self.wait - 1e-6


class Seeker:
    """Looks for objects in one pass over a video.

    Args:
        propose: what may be one.
        embed: what it looks like.
        calibration: what the embedder's similarities mean.
        rules: when, and what is taken for an object.
    """

    def __init__(
        self, propose: Propose, embed: Embed, calibration: Calibration, rules: SeekRules | None = None
    ) -> None:
        self._propose = propose
        self._embed = embed
        self._calibration = calibration
        self._rules = rules or SeekRules()
        self._waits: dict[str, _Wait] = {}

    def cut(self, names: Collection[str]) -> None:
        """The picture has changed altogether: look for objects at once."""
        self._waits = {name: _Wait(0.0, 0.0, 0.0) for name in names}

    def seek(
        self,
        frame: int,
        second: float,
        image: ImageArray,
        away: Mapping[str, Gallery],
        present: Mapping[str, tuple[Mask, Gallery]],
    ) -> dict[str, Observation]:
        """Look for objects, if it is time.

        Args:
            frame: its index.
            second: when it is shown.
            image: RGB ``uint8 (H, W, 3)``.
            away: what those look like that are not to be seen, by name.
            present: masks of those that are, and what they look like: their masks may have taken in what is looked for.

        Returns:
            those that were found; the score is the probability that it is they.
        """
        rules = self._rules
        waits = {name: self._waits.get(name, _Wait(second, second, rules.first)) for name in away}
        due = [name for name, one in waits.items() if one.is_over(second) and len(away[name])]
        for name in due:
            gone = waits[name].gone if waits[name].wait else second  # after a cut it did not go
            waits[name] = _Wait(gone, second, rules.wait(abs(second - gone)))
        self._waits = waits
        if not due:
            return {}
        proposed = {str(number): mask for number, mask in enumerate(self._propose(frame, image))}
        shown = {
            key: (box, mask.array())
            for key, mask in proposed.items()
            if (box := mask.solid_box) is not None
            and all(mask_iou(mask, other) < self._rules.same for other, _ in present.values())
        }
        looks = self._embed(frame, image, shown)
        if not looks:
            return {}
        keys, views = list(looks), torch.stack(list(looks.values()))
        others = [gallery for _, gallery in present.values()]
        alike = torch.stack([self._alike(views, away[name], others, (waits[name].gone, second)) for name in due])
        pairs = assign(alike.cpu().numpy().astype(np.float64), rules.least)
        found = {
            due[row]: Observation(due[row], frame, proposed[keys[column]], float(alike[row, column]))
            for row, column in pairs
        }
        for name, best in zip(due, alike.amax(1).tolist(), strict=True):
            if name not in found and best >= rules.hint:
                waits[name] = replace(waits[name], wait=rules.hinted(waits[name].wait))
        return found

    def _alike(self, views: Tensor, own: Gallery, others: Sequence[Gallery], away: tuple[float, float]) -> Tensor:
        """(N, D) -> (N,): the probability that each is an object that was away from a time to another; 0 where it is
        more like another one that is there.

        What was learned of others meanwhile may be of masks that had taken it in.
        """
        alike = same(own, views, self._calibration)
        for gallery in others:
            before = gallery.without(*away)
            known = before if len(before) else gallery
            if len(known):
                alike = torch.where(alike > same(known, views, self._calibration), alike, 0.0)
        return alike
