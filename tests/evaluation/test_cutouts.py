from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.errors import DatasetError
from backend.evaluation.cutouts import cut_out, solid, whole_runs
from backend.evaluation.davis import DavisSequence, find_sequences
from support import drawn
from support.davis import HEIGHT, WIDTH, numbers, write_sequence


def filled(x0: int, y0: int, x1: int, y1: int, width: int = 400, height: int = 300):
    mask = np.zeros((height, width), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def sequence_of(root: Path, truths, **how) -> DavisSequence:
    write_sequence(root, "one", truths, **how)
    (sequence,) = find_sequences(root)
    return sequence


def bright(*box: int):
    return numbers((255, *box))


def test_what_is_thin_or_small_is_left_behind() -> None:
    body, line, speck = filled(100, 100, 160, 150), filled(130, 0, 131, 100), filled(10, 200, 20, 210)
    rim_less = filled(101, 101, 159, 149)
    found = solid(body | line | speck)
    assert not found[:99].any()
    assert not found[:, :90].any()
    assert (found & rim_less).sum() > 0.98 * rim_less.sum()
    assert not (found & ~body).any()


def test_parts_that_matter_stay_together() -> None:
    # As where a pole stands before a dog.
    found = solid(filled(100, 100, 160, 150) | filled(170, 100, 230, 150))
    assert found[110:140, 110:150].all() and found[110:140, 180:220].all()
    assert not solid(filled(130, 0, 131, 100)).any()


def test_an_object_is_whole_where_neither_border_nor_anything_cuts_it() -> None:
    whole, cut, small = filled(50, 50, 110, 90), filled(0, 50, 60, 90), filled(50, 50, 70, 60)
    nothing = np.zeros_like(whole)
    assert whole_runs([nothing, whole, whole, cut, whole, small, whole, whole]) == [(1, 2), (4, 1), (6, 2)]
    assert whole_runs([nothing]) == []


def test_the_longest_run_is_cut_out(tmp_path: Path) -> None:
    whole, cut = bright(5, 5, 25, 20), bright(0, 5, 20, 20)
    cutout = cut_out(sequence_of(tmp_path, [whole, whole, cut, whole, whole, whole, cut], indexed=False))
    assert cutout is not None
    assert (list(cutout.frames), len(cutout), cutout.picture) == ([3, 4, 5], 3, (WIDTH, HEIGHT))
    # Without its outermost pixels.
    assert cutout.own_boxes().tolist() == [[6, 6, 24, 19]] * 3
    assert cutout.size == pytest.approx((18 * 13) ** 0.5)
    assert np.array_equal(cutout.truth(0), whole > 0)
    assert list(cutout.lasting(2).frames) == [3, 4]


@pytest.mark.parametrize(
    "truths",
    [
        [numbers((1, 5, 5, 20, 20), (2, 22, 5, 36, 20))] * 4,  # two objects
        [numbers((1, 0, 5, 20, 20))] * 4,  # cut by the border
        [numbers((1, 5, 5, 20, 20)), numbers(), numbers()] * 3,  # never long enough
        [numbers()] * 4,
    ],
)
def test_what_cannot_be_cut_out(tmp_path: Path, truths) -> None:
    assert cut_out(sequence_of(tmp_path, truths)) is None


def test_annotations_of_another_size_are_refused(tmp_path: Path) -> None:
    images = [np.zeros((HEIGHT, WIDTH + 2, 3), np.uint8)] * 3
    with pytest.raises(DatasetError, match=r"00000\.png is 40 x 30 pixels, its sequence's images are 42 x 30"):
        cut_out(sequence_of(tmp_path, [bright(5, 5, 25, 20)] * 3, images=images, indexed=False))


@pytest.fixture
def cutout(tmp_path: Path):
    drawn.write_drawn(tmp_path, "red", 6)
    found = cut_out(*find_sequences(tmp_path))
    assert found is not None
    return found


def test_it_moves_forth_and_back(cutout) -> None:
    assert cutout.round_trip == 10
    boxes = cutout.boxes(12, 1.0, False, 0)
    assert np.array_equal(boxes[:6], cutout.boxes(6, 1.0, False, 0))
    assert np.array_equal(boxes[6:11], boxes[4::-1])
    assert np.array_equal(cutout.boxes(9, 1.0, False, 3), boxes[3:12])
    assert len(np.unique(boxes[:6], axis=0)) > 3


def test_it_lasts_longer_than_its_run(cutout) -> None:
    long = cutout.lasting(14)
    assert list(long.frames) == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1, 2, 3]
    assert np.array_equal(long.boxes(14, 1.0, False, 0), cutout.boxes(14, 1.0, False, 0))
    for frame, there in ((7, 3), (12, 2)):
        assert np.array_equal(long.image(frame), cutout.image(there))
        assert np.array_equal(long.truth(frame), cutout.truth(there))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("scale", [0.6, 1.0, 1.5])
def test_shape_and_colours_fit_the_box(cutout, scale: float, mirrored: bool) -> None:
    for frame in range(6):
        shape, colours = (get(frame, scale, mirrored, 2) for get in (cutout.shape, cutout.colours))
        assert shape.cover.shape == colours.shape[:2]
        rows, columns = np.nonzero(shape.mask)
        box = cutout.boxes(6, scale, mirrored, 2)[frame]
        found = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert found + np.tile((shape.left, shape.top), 2) == pytest.approx(box, abs=1.5)
        # All that counts as the object has its colours: the brighter ones on the left, or on the right.
        assert drawn.looks_like("red", colours)[shape.mask].mean() > 0.97
        middle = colours[round(-shape.top)]
        left, right = middle[round(-shape.left - 8 * scale), 0], middle[round(-shape.left + 8 * scale), 0]
        assert (left > right) != mirrored
        assert np.ptp(shape.cover) == pytest.approx(1, abs=0.02)
        assert ((shape.cover > 0.05) & (shape.cover < 0.95)).any()
