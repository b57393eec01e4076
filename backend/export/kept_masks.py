"""Masks that the backend kept of a track, beside the boxes which are all that Label Studio holds of it on a video.

A kept mask belongs to a box as it was handed out. Where somebody has changed that since, and nothing was tracked again,
the mask is of what the box was, and does not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.export.notes import Notes
from backend.labelstudio.drawn import draw
from backend.labelstudio.edits import Item
from backend.labelstudio.media_folder import media_parts
from backend.labelstudio.regions import Size
from backend.tracks import Box, Mask
from backend.video.clock import FrameClock

NOT_KEPT = "no masks are kept of a region: it was not tracked by this backend, or its data directory is another one"
UNFINISHED = "no masks are kept of a region: its track is not complete; press t once more, and export again"
OTHER_VIDEO = "the masks that are kept of a region are of another video; press t, and export again"

_SAME = 0.01  # pixels; Label Studio hands numbers on as they are


@dataclass(frozen=True, eq=False)
class KeptTrack:
    """What the backend keeps of a region.

    Attributes:
        video: the task's value that named it.
        items: its keyframes as they were handed out, sorted by frame; None where the track is not complete.
        masks: by decode index, where the object shows.
    """

    video: str
    items: Sequence[Item] | None
    masks: Mapping[int, Mask]


class MaskSource(Protocol):
    """Where masks are kept."""

    def find(self, project: str, task: str, region: str) -> KeptTrack | None:
        """A region's track; None where there is none."""


@dataclass(frozen=True)
class Place:
    """Which region: how notes call the task, and the region's id and label."""

    task: str
    region: str
    label: str | None

    def __str__(self) -> str:
        return f"{' '.join(filter(None, (self.label, self.region)))} of {self.task}"


def masks_of(
    boxes: Mapping[int, Box],
    kept: KeptTrack | None,
    value: str,
    clock: FrameClock,
    size: Size,
    notes: Notes,
    place: Place,
) -> Mapping[int, Mask]:
    """The kept masks of a region on the frames on which it is drawn as it was handed out; what is missing is noted.

    Args:
        boxes: the region as it is drawn now, by decode index.
        kept: its track.
        value: the task's value that names the video.
        clock: Label Studio's frames.
        size: the video's width and height.
        notes: gets what the user should know.
        place: for notes.
    """
    reason = _refusal(kept, value, size)
    if kept is None or kept.items is None or reason is not None:
        notes.add(reason or NOT_KEPT, str(place))
        return {}
    then = draw(kept.items, clock, size).boxes
    same = {index for index, box in boxes.items() if index in then and _equal(box, then[index])}
    changed = sorted(boxes.keys() - same)
    if changed:
        notes.add(
            f"it was changed since it was tracked: without a mask on {counted(changed)}, the first is Label Studio's "
            f"frame {clock.label_studio_frame(changed[0])}; press t, and export again",
            str(place),
        )
    bare = sorted(same - kept.masks.keys())
    if bare:
        first = clock.label_studio_frame(bare[0])
        notes.add(f"no mask on {counted(bare)}, the first is Label Studio's frame {first}", str(place))
    return _Selected(kept.masks, same & kept.masks.keys())


def _refusal(kept: KeptTrack | None, value: str, size: Size) -> str | None:
    if kept is None:
        return NOT_KEPT
    if kept.items is None:
        return UNFINISHED
    one = next(iter(kept.masks.values()), None)
    same = media_parts(kept.video) == media_parts(value)  # hosts and signatures may be others
    return None if same and (one is None or one.size == size[::-1]) else OTHER_VIDEO


def _equal(one: Box, other: Box) -> bool:
    return all(math.isclose(a, b, rel_tol=0, abs_tol=_SAME) for a, b in zip(one, other, strict=True))


def counted(frames: Sequence[int]) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{len(frames)} frame{'s' * (len(frames) != 1)}"


class _Selected(Mapping[int, Mask]):
    """Some of many masks, none of which is read before it is asked for."""

    def __init__(self, masks: Mapping[int, Mask], frames: set[int]) -> None:
        self._masks = masks
        self._frames = frames

    def __getitem__(self, frame: int) -> Mask:
        if frame not in self._frames:
            raise KeyError(frame)
        return self._masks[frame]

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._frames))

    def __len__(self) -> int:
        return len(self._frames)

    def __contains__(self, frame: object) -> bool:
        return frame in self._frames
