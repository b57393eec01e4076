"""Which keyframes are a human's.

Nothing in a keyframe tells: one that a human inserts copies the keys of its neighbour. So what came is compared
with what was last handed out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Item = dict[str, Any]

TOLERANCE = 1e-6
"""In percent and degrees. ``time`` is not compared, since the browser writes its own."""

_COMPARED = ("x", "y", "width", "height", "rotation")


@dataclass(frozen=True)
class Edits:
    """``human`` are the human keyframes, verbatim and in the order they came; ``changed`` the frames of those among
    them that were not handed out like this; ``deleted`` the frames that were handed out and are gone. Frames are Label
    Studio's, from 1."""

    human: tuple[Item, ...]
    changed: frozenset[int]
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
    return Edits(
        human=tuple(item for item in incoming if item["frame"] in changed or item["frame"] in known),
        changed=changed,
        deleted=frozenset(handed_out) - {item["frame"] for item in incoming},
    )


def same_keyframe(a: Item, b: Item) -> bool:
    """Whether two keyframes draw the same: frame, ``enabled``, box and rotation."""
    return (a["frame"], a["enabled"]) == (b["frame"], b["enabled"]) and all(
        math.isclose(a.get(key, 0.0), b.get(key, 0.0), rel_tol=0.0, abs_tol=TOLERANCE) for key in _COMPARED
    )


def hidden_by_human(items: Sequence[Item], human_frames: Collection[int]) -> list[tuple[int, int | None]]:
    """Where a human hid the object: Label Studio frames, first and last, the last None for the end of the video.

    A human keyframe with ``enabled`` False that ends a visible span hides what follows, up to the next keyframe,
    whoever made that. One that follows another disabled keyframe ends nothing: Label Studio copies ``enabled`` from
    there into a box that is added while the object is hidden.

    Args:
        items: all keyframes of the region as they came, sorted by frame.
        human_frames: the frames of those that are a human's.
    """
    hidden: list[tuple[int, int | None]] = []
    was_visible = True
    for index, item in enumerate(items):
        if item["frame"] in human_frames and not item["enabled"] and was_visible:
            following = items[index + 1]["frame"] - 1 if index + 1 < len(items) else None
            if following is None or following > item["frame"]:
                hidden.append((item["frame"] + 1, following))
        was_visible = item["enabled"]
    return hidden
