"""Which masks of a task's pictures are a human's: what is tracked from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.labelstudio.brush import encode_mask
from backend.labelstudio.edits import Item
from backend.labelstudio.picture_marks import MaskMark
from backend.service.click_memory import Made
from backend.service.records import TrackKey
from backend.service.store import Store
from backend.tracks import Mask, Observation

MASKS = "masks"
"""The type of what the store keeps as the result of a track over pictures: digests, since its masks lie beside it."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A human's mask: painted, changed, or made by clicks. ``mark`` is its region where Label Studio has saved one,
    ``made`` the answer to clicks where it has not."""

    mask: Mask
    digest: str
    mark: MaskMark | None = None
    made: Made | None = None


@dataclass(eq=False)
class Wanted:
    """An object of a press: its label, the human's masks of it and all regions of it that Label Studio has saved, by
    picture."""

    object_id: str
    label: str | None
    drawn: dict[int, Drawn] = field(default_factory=dict)
    saved: dict[int, MaskMark] = field(default_factory=dict)

    @property
    def human(self) -> list[Item]:
        """What tells these prompts from others."""
        return [{"frame": frame, "digest": self.drawn[frame].digest} for frame in sorted(self.drawn)]


def find_wanted(
    project: str, task: str, masks: Iterable[MaskMark], pending: Sequence[Made], store: Store
) -> list[Wanted]:
    """The objects that have masks, in the order in which these come.

    A mask that this backend handed out for tracking, and that comes back as it was, is the model's; so that it follows
    where somebody corrects its object. All others are a human's, those that clicks made too. Of several masks of one
    object on one picture the first one counts.

    Raises:
        PayloadError: a mask is none.
    """
    found: dict[str, Wanted] = {}
    for mark in masks:
        wanted = found.setdefault(mark.object_id, Wanted(mark.object_id, mark.label))
        wanted.saved.setdefault(mark.index, mark)
    for wanted in found.values():
        known = _Known(TrackKey(project, task, wanted.object_id), store)
        for frame, mark in wanted.saved.items():
            drawn = known.drawn(mark)
            if drawn is not None:
                wanted.drawn[frame] = drawn
    for made in pending:
        asked = made.asked
        wanted = found.setdefault(asked.object_id, Wanted(asked.object_id, asked.label))
        wanted.drawn[asked.frame] = Drawn(made.mask, digest_of(made.mask), made=made)
    return list(found.values())


def digest_of(mask: Mask) -> str:
    """What tells masks apart."""
    return digest(encode_mask(mask.array()))


def digest(rle: Sequence[Any]) -> str:
    """The same of a mask as Label Studio has it."""
    return hashlib.sha256(bytes(rle)).hexdigest()[:20]


def summary(digests: Mapping[int, str]) -> list[Item]:
    """The result of a track over pictures as the store keeps it."""
    return [
        {
            "type": MASKS,
            "value": {"sequence": [{"frame": frame, "digest": digests[frame]} for frame in sorted(digests)]},
        }
    ]


class _Known:
    """What was stored and handed out of an object."""

    def __init__(self, key: TrackKey, store: Store) -> None:
        track = store.track(key)
        observed = store.observations(track) if track is not None else iter(())
        self._observed: dict[int, Observation] = {one.frame: one for one in observed}
        self._handed_out = {
            (item["frame"], item["digest"])
            for emission in (store.emitted(key) if track is not None else ())
            for item in emission.sequence
            if item["frame"] not in emission.human
        }
        self._human = {item["frame"]: item["digest"] for item in track.demand.human} if track is not None else {}

    def drawn(self, mark: MaskMark) -> Drawn | None:
        """A region's mask if it is a human's; None for a model's.

        Raises:
            PayloadError: it is no mask.
        """
        if not mark.strokes and mark.rle and (mark.index, _safe_digest(mark.rle)) in self._handed_out:
            return None
        mask = Mask.from_array(mark.mask())
        if mask.box is None:  # painted and erased again
            return None
        found = digest_of(mask)
        if (mark.index, found) in self._handed_out:
            return None
        seen = self._observed.get(mark.index)
        if seen is not None and seen.mask is not None and mark.shows(seen.mask):
            # Drawn once more by the browser: it is what it was.
            return Drawn(seen.mask, self._human.get(mark.index, found), mark=mark) if seen.human else None
        return Drawn(mask, found, mark=mark)


def _safe_digest(rle: Sequence[Any]) -> str:
    try:
        return digest(rle)
    except (TypeError, ValueError):
        return ""  # decoding it tells what is wrong
