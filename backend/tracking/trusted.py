"""What is still to be believed of a track whose prompts have changed.

A correction says that the track was wrong where it is, and nothing of the frames about the prompts that stay. What an
object looked like there is worth remembering: the frame that is corrected may show it blurred, or half of it, and what
is tracked from there would know nothing but that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from backend.tracking.stretches import Before
from backend.tracks import BoolArray

# So many frames of a track are remembered at most, and fewer beside many prompts: memory reads six at a time.
MOST = 3
TOGETHER = 6
# Frames that are as near as this to one another, or to a prompt, tell the same.
APART = 3
# What is remembered for good is as sure.
SURE = 0.75


def trusted_frames(before: Before, marked: Collection[int]) -> list[int]:
    """The frames of a track that was made before that are remembered for good; ascending, none where nothing changed.

    They are nearer to a prompt that stays than to any that changed or is gone; of these the ones next to the change.

    Args:
        before: the track, and which of its prompts have changed.
        marked: the frames of all its prompts now.
    """
    wrong = before.changed | before.removed | before.switched
    stay = [frame for frame in marked if frame not in wrong]
    if not wrong or not stay:
        return []

    def from_change(frame: int) -> int:
        return min(abs(frame - other) for other in wrong)

    def from_prompt(frame: int) -> int:
        return min(abs(frame - other) for other in stay)

    good = [
        frame
        for frame, one in before.observations.items()
        if not one.human
        and one.mask is not None
        and one.score >= SURE
        and APART <= from_prompt(frame) <= from_change(frame)
    ]
    chosen: list[int] = []
    for frame in sorted(good, key=lambda frame: (from_change(frame), frame)):
        if len(chosen) >= min(MOST, TOGETHER - len(marked)):
            break
        if all(abs(frame - other) >= APART for other in chosen):
            chosen.append(frame)
    return sorted(chosen)


def trusted_masks(
    before: Mapping[str, Before], marked: Mapping[int, Collection[str]]
) -> dict[int, dict[str, BoolArray]]:
    """The masks ``bool (H, W)`` of such frames, by frame and object.

    Args:
        before: by object.
        marked: the objects that are prompted, by frame.
    """
    found: dict[int, dict[str, BoolArray]] = {}
    for name, known in before.items():
        for frame in trusted_frames(known, [frame for frame, names in marked.items() if name in names]):
            mask = known.observations[frame].mask
            if mask is not None:
                found.setdefault(frame, {})[name] = mask.array()
    return dict(sorted(found.items()))
