from __future__ import annotations

import numpy as np
import pytest

from backend.export.colours import bright_colours
from backend.export.overlay import Painter, write_overlay
from backend.tracks import Prompt
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip
from support.tracked import square, tracked

SIZE = (160, 120)
GREY = np.full((120, 160, 3), 100, np.uint8)


def drawn(*objects, frame=0, doubtful=0.5):
    found = [item.track.observations.get(frame) for item in objects]
    return Painter(*SIZE, len(objects), doubtful).draw(GREY, found, "frame 0").astype(int)


def test_each_object_has_its_mask_in_its_colour():
    a, b = tracked("a", {0: square(SIZE, 20, 40, 30)}), tracked("b", {0: square(SIZE, 90, 40, 30)})
    image = drawn(a, b)
    for x, colour in zip((35, 105), bright_colours(2), strict=True):
        np.testing.assert_allclose(image[55, x], 100 * 0.55 + np.array(colour) * 0.45, atol=1)
    assert (image[55, 70] == 100).all()
    assert (image[85:100] == 100).all()  # between the objects and the title


@pytest.mark.parametrize("masks", [{0: None}, {}, {1: square(SIZE, 20, 40)}])
def test_what_is_absent_is_not_drawn(masks):
    np.testing.assert_array_equal(drawn(tracked("a", masks)), drawn(tracked("b", {})))


def test_the_frame_given_is_not_changed():
    drawn(tracked("a", {0: square(SIZE, 20, 40)}))
    assert (GREY == 100).all()


def edge(image):
    """Where the right half of a mask's lower edge, and of its box, is in the object's colour."""
    return (image[69, 20:50] == bright_colours(1)[0]).all(axis=-1)


def test_a_doubtful_object_is_fainter_and_its_box_is_dashed():
    mask = square(SIZE, 20, 40, 30)
    mask[60:70, 21:] = False  # the box reaches further than the mask, so that its edge is seen alone
    sure, poor = (drawn(tracked("a", {0: mask}, doubtful=frames)) for frames in ([], [0]))
    assert edge(sure).all()
    assert 5 < edge(poor).sum() < 25
    assert np.abs(poor[50, 35] - 100).sum() < np.abs(sure[50, 35] - 100).sum()
    given = drawn(tracked("a", {0: mask}, prompts=[Prompt("a", 0, (20, 40, 50, 70))], doubtful=[0]))
    assert edge(given).all()  # what a human said is not doubtful


@pytest.mark.parametrize(("x", "y"), [(0, 0), (150, 0), (150, 110), (0, 110)])
def test_names_stay_in_the_picture(x, y):
    image = drawn(tracked("a rather long name", {0: square(SIZE, x, y, 10)}))
    name = (image == bright_colours(1)[0]).all(axis=-1)
    assert name.sum() > 300


def test_the_clip_shows_the_tracked_part(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", coded_frames(20, *SIZE), fps=12.5)
    # The code's cells are black and white: none of them is coloured.
    item = tracked("a", {frame: square(SIZE, 40, 60, 30) for frame in (5, 6, 9)} | {8: None})
    steps = []
    with VideoReader(clip) as video:
        assert write_overlay(tmp_path / "o.mp4", video, [item], doubtful=0.5, advance=lambda: steps.append(1))
    assert len(steps) == 5
    with VideoReader(tmp_path / "o.mp4") as overlay:
        assert (len(overlay), overlay.width, overlay.height, overlay.fps) == (5, *SIZE, 12.5)
        coloured = [np.ptp(overlay.frame(index)[75, 55].astype(int)) > 40 for index in range(5)]
    assert coloured == [True, True, False, False, True]


def test_a_clip_that_is_given_up_leaves_nothing(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", coded_frames(10, *SIZE))
    item = tracked("a", dict.fromkeys(range(10)))
    steps = []
    with VideoReader(clip) as video:
        done = write_overlay(
            tmp_path / "o.mp4",
            video,
            [item],
            doubtful=0.5,
            advance=lambda: steps.append(1),
            cancelled=lambda: len(steps) == 3,
        )
    assert not done
    assert len(steps) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
