from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from backend.errors import OutputError
from backend.export.colours import bright_colours, davis_palette
from backend.export.masks import check_count, write_masks
from support.tracked import square, tracked

SIZE = (16, 12)


def test_the_palette_is_the_published_one():
    palette = davis_palette()
    assert len(palette) == len(set(palette)) == 256
    assert palette[:9] == [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
        (128, 128, 128), (64, 0, 0),
    ]  # fmt: skip
    assert palette[255] == (224, 224, 192)  # VOC's outline of what is void


def test_bright_colours_differ():
    colours = np.array(bright_colours(12), float)
    assert min(np.abs(a - b).sum() for i, a in enumerate(colours) for b in colours[:i]) > 60
    assert min(np.abs(a - b).sum() for a, b in pairwise(colours)) > 200


def test_masks_hold_the_numbers_of_the_objects(tmp_path):
    first = tracked("cat", {3: square(SIZE, 1, 1), 4: None, 10000: square(SIZE, 2, 2)}, label="Animal")
    second = tracked("dog", {3: square(SIZE, 8, 4)})
    assert write_masks(tmp_path / "masks", tmp_path / "objects.json", [first, second], SIZE) == 3
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == ["00003.png", "00004.png", "10000.png"]
    with Image.open(tmp_path / "masks" / "00003.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[3:9] == [128, 0, 0, 0, 128, 0]
        numbers = np.asarray(image)
    np.testing.assert_array_equal(numbers, square(SIZE, 1, 1) * 1 + square(SIZE, 8, 4) * 2)
    with Image.open(tmp_path / "masks" / "00004.png") as image:
        assert image.mode == "P"
        assert not np.asarray(image).any()
    assert json.loads((tmp_path / "objects.json").read_text()) == {
        "1": {"id": "cat", "label": "Animal"},
        "2": {"id": "dog", "label": None},
    }


@pytest.mark.parametrize(("scores", "winner"), [((0.9, 0.5), 1), ((0.5, 0.9), 2), ((0.7, 0.7), 1)])
def test_where_objects_overlap_the_surer_one_has_the_pixel(tmp_path, scores, winner):
    objects = [
        tracked(name, {0: square(SIZE, 1 + x, 1)}, score=score)
        for name, x, score in zip("ab", (0, 2), scores, strict=True)
    ]
    write_masks(tmp_path / "masks", tmp_path / "objects.json", objects, SIZE)
    with Image.open(tmp_path / "masks" / "00000.png") as image:
        numbers = np.asarray(image)
    both = square(SIZE, 1, 1) & square(SIZE, 3, 1)
    assert both.any()
    assert set(numbers[both].tolist()) == {winner}


def test_what_does_not_fit_is_refused(tmp_path):
    check_count(255)
    with pytest.raises(OutputError, match="255 objects, not 256"):
        check_count(256)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write the masks"):
        write_masks(tmp_path / "file" / "masks", tmp_path / "objects.json", [tracked("a", {0: None})], SIZE)
