from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from backend.export.kept_masks import NOT_KEPT, OTHER_VIDEO, UNFINISHED, KeptTrack, Place, masks_of
from backend.export.notes import Notes
from backend.labelstudio.drawn import draw
from backend.tracks import Mask
from backend.video.clock import FrameClock
from support.exports import keyframe
from support.tracked import square

SIZE = (100, 50)
CLOCK = FrameClock(np.arange(8) / 10, 0.8, 10)
PLACE = Place("task 7", "a", "Car")
TRACK = [keyframe(1), keyframe(5, x=50), keyframe(8, x=20)]


def kept(frames: Any = range(8), items: Any = TRACK, video: str = "v.mp4", size: tuple[int, int] = SIZE) -> KeptTrack:
    return KeptTrack(video, items, {frame: Mask.from_array(square(size, frame, 3)) for frame in frames})


def masks(track: KeptTrack | None, items: Any = TRACK) -> tuple[Mapping[int, Mask], list[str]]:
    notes = Notes()
    found = masks_of(draw(items, CLOCK, SIZE).boxes, track, "v.mp4", CLOCK, SIZE, notes, PLACE)
    return found, list(notes.lines())


def test_masks_count_where_the_boxes_are_as_they_were_handed_out() -> None:
    track = kept()
    found, said = masks(track)
    assert dict(found) == dict(track.masks)
    assert (len(found), 3 in found, 8 in found, said) == (8, True, False, [])


@pytest.mark.parametrize(
    ("items", "left", "first"),
    [
        ([keyframe(1), keyframe(5, x=50), keyframe(8, x=21)], [0, 1, 2, 3, 4], 6),
        ([keyframe(1), keyframe(5, y=11), keyframe(8, x=20)], [0, 7], 2),
        ([keyframe(1), keyframe(5, x=50), keyframe(6, x=40.1), keyframe(8, x=20)], [0, 1, 2, 3, 4, 7], 6),
    ],
)
def test_a_keyframe_that_was_changed_takes_the_masks_from_the_frames_that_it_changes(
    items: Any, left: list[int], first: int
) -> None:
    found, (said,) = masks(kept(), items)
    assert list(found) == left
    assert said == (
        f"it was changed since it was tracked: without a mask on {8 - len(left)} frames, the first is Label Studio's "
        f"frame {first}; press t, and export again (Car a of task 7)"
    )
    with pytest.raises(KeyError):
        found[first - 1]


def test_a_keyframe_that_changes_nothing_takes_nothing() -> None:
    found, said = masks(kept(), [keyframe(1), keyframe(3, x=30), keyframe(5, x=50), keyframe(8, x=20)])
    assert (len(found), said) == (8, [])


def test_what_was_hidden_since_has_no_box_and_needs_no_mask() -> None:
    found, said = masks(kept(), [keyframe(1), keyframe(5, x=50, enabled=False)])
    assert (list(found), said) == ([0, 1, 2, 3, 4], [])


def test_a_box_whose_mask_is_missing_is_told() -> None:
    found, said = masks(kept([0, 1, 2, 3, 4, 5, 6]))
    assert len(found) == 7
    assert said == ["no mask on 1 frame, the first is Label Studio's frame 8 (Car a of task 7)"]


@pytest.mark.parametrize(
    ("track", "reason"),
    [
        (None, NOT_KEPT),
        (kept(items=None), UNFINISHED),
        (kept(video="w.mp4"), OTHER_VIDEO),
        (kept(size=(50, 100)), OTHER_VIDEO),
    ],
)
def test_what_is_not_of_this_region_does_not_count(track: KeptTrack | None, reason: str) -> None:
    found, said = masks(track)
    assert (len(found), said) == (0, [f"{reason} (Car a of task 7)"])


def test_a_video_is_known_by_its_path_whatever_its_host_and_its_signature() -> None:
    found, said = masks(kept(video="https://media.example.org/v.mp4?X-Amz-Signature=1"))
    assert (len(found), said) == (8, [])


def test_an_object_that_never_shows_has_no_masks() -> None:
    assert masks(kept([]), [])[1] == []
