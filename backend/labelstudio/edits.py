"""Which keyframes are a human's.

Nothing in a keyframe tells: one that a human inserts copies the keys of its neighbour. So what came is compared
with what was last handed out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

Item = dict[str, Any]

TOLERANCE = 1e-6
"""In percent and degrees. ``time`` is not compared, since the browser writes its own."""

_COMPARED = ("x", "y", "width", "height", "rotation")


@dataclass(frozen=True)
class Edits:
    """``human`` are the human keyframes, verbatim and in the order they came; ``changed`` the frames of those among
    them that were not handed out like this; ``closed`` those among the changed by which the human hid what follows;
    ``deleted`` the frames that were handed out and are gone. Frames are Label Studio's, from 1."""

    human: tuple[Item, ...]
    changed: frozenset[int]
    closed: frozenset[int]
    deleted: frozenset[int]

    @property
    def frames(self) -> frozenset[int]:
        """The frames of the human keyframes."""
        return frozenset(item["frame"] for item in self.human)


def split_human(incoming: Sequence[Item], emitted: Sequence[Item], known: Iterable[int] = ()) -> Edits:
    """Find the human's keyframes in a sequence.

    Args:
        incoming: the keyframes as they came, already checked.
        emitted: those that were last handed out for this region; empty if none ever were: then all are a human's.
        known: the frames of the keyframes that were a human's before; those that are still as they were stay so.
    """
    known = frozenset(known)
    handed_out = {item["frame"]: item for item in emitted}
    changed = frozenset(
        item["frame"]
        for item in incoming
        if item["frame"] not in handed_out or not same_keyframe(item, handed_out[item["frame"]])
    )
    switched_off = {frame for frame in changed if handed_out.get(frame, {"enabled": True})["enabled"]}
    return Edits(
        human=tuple(item for item in incoming if item["frame"] in changed or item["frame"] in known),
        changed=changed,
        closed=closing(incoming, switched_off),
        deleted=frozenset(handed_out) - {item["frame"] for item in incoming},
    )


def same_keyframe(a: Item, b: Item) -> bool:
    """Whether two keyframes draw the same: frame, ``enabled``, box and rotation."""
    return (a["frame"], a["enabled"]) == (b["frame"], b["enabled"]) and same_box(a, b)


def same_box(a: Item, b: Item) -> bool:
    """Whether two keyframes have the same box and rotation."""
    return all(math.isclose(a.get(key, 0.0), b.get(key, 0.0), rel_tol=0.0, abs_tol=TOLERANCE) for key in _COMPARED)


def closing(items: Sequence[Item], frames: Collection[int]) -> frozenset[int]:
    """Those of a human's keyframes, given by their frames, that end a visible span: disabled, after an enabled one.

    One that follows another disabled keyframe ends nothing: Label Studio copies ``enabled`` from there into a box
    that is added while the object is hidden. ``items`` are all keyframes of the region, sorted by frame.
    """
    found = set()
    visible_before = True
    for item in items:
        if visible_before and not item["enabled"] and item["frame"] in frames:
            found.add(item["frame"])
        visible_before = item["enabled"]
    return frozenset(found)


def hidden_after(items: Sequence[Item], closed: Collection[int]) -> list[tuple[int, int | None]]:
    """Where keyframes of a human that end a visible span hide the object: up to the next keyframe, whoever made that.

    Label Studio frames, first and last, the last None for the end of the video. ``items`` are all keyframes of the
    region, sorted by frame; ``closed`` the frames of the closing ones.
    """
    hidden: list[tuple[int, int | None]] = []
    for item, following in zip_longest(items, items[1:]):
        if item["frame"] in closed:
            last = following["frame"] - 1 if following is not None else None
            if last != item["frame"]:
                hidden.append((item["frame"] + 1, last))
    return hidden
