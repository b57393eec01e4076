from __future__ import annotations

import numpy as np
import pytest
import trackeval
from PIL import Image

from backend.errors import OutputError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options, Summary
from backend.tracks import Mask
from support.clips import read_code
from support.hota import hota_of_itself
from support.labelled import LABELLED, OVERLAP, SIZE, flat_truth, labelled_dataset, labelled_video, truth

ONLY_ANNOTATIONS = Options(pictures=None)


def with_labels(video, labels):
    objects = [
        LabelledObject(item.id, label, item.boxes, item.masks)
        for item, label in zip(video.objects, labels, strict=True)
    ]
    return LabelledVideo(video.name, video.size, video.length, video.fps, video.labelled, objects, video.frames)


def test_masks_come_back_exactly_but_for_overlaps(tmp_path):
    assert truth(OVERLAP)[2].sum() > flat_truth(OVERLAP)[2].sum() > 0
    FORMATS["mots"].write(labelled_dataset(None), tmp_path, ONLY_ANNOTATIONS)
    rows = [line.split(" ") for line in (tmp_path / "clip" / "gt" / "gt.txt").read_text().splitlines()]
    found = {}
    for frame, name, kind, height, width, counts in rows:
        assert int(name) // 1000 == int(kind)
        mask = Mask((int(height), int(width)), counts.encode()).array()
        found.setdefault(LABELLED[int(frame) - 1], {})[int(name) % 1000] = mask
    assert list(found) == list(LABELLED)
    for frame, masks in found.items():
        expected = flat_truth(frame)
        assert masks.keys() == expected.keys()
        for number, mask in masks.items():
            np.testing.assert_array_equal(mask, expected[number])
    # "Car" is the benchmark's class 1; the other label gets what is free.
    assert {(row[1], row[2]) for row in rows} == {("1001", "1"), ("2002", "2")}


def test_the_images_hold_the_same(video, tmp_path):
    FORMATS["mots"].write(labelled_dataset(video), tmp_path)
    for number, frame in enumerate(LABELLED, start=1):
        with Image.open(tmp_path / "clip" / "instances" / f"{number:06d}.png") as image:
            assert image.mode == "I;16"
            names = np.array(image)
        expected = np.zeros(SIZE[::-1], int)
        for name, mask in flat_truth(frame).items():
            expected[mask] = name * 1000 + name
        np.testing.assert_array_equal(names, expected)
        with Image.open(tmp_path / "clip" / "img1" / f"{number:06d}.jpg") as image:
            assert read_code(np.asarray(image)) == frame


def test_trackeval_finds_the_export_perfect(tmp_path):
    video = with_labels(labelled_video(None), ["Person", "Person"])
    FORMATS["mots"].write(Dataset(["Person"], [video]), tmp_path / "gt", ONLY_ANNOTATIONS)
    scores = hota_of_itself(trackeval.datasets.MOTSChallenge, tmp_path / "gt", tmp_path / "results")
    assert scores == {"clip": 1.0}
    assert (tmp_path / "gt" / "labels.txt").read_text() == "car\nPerson\n"


def test_number_ten_is_no_class(tmp_path):
    labels = [f"class {number}" for number in range(10)]
    video = with_labels(labelled_video(None), [labels[8], labels[9]])
    FORMATS["mots"].write(Dataset(labels, [video]), tmp_path, ONLY_ANNOTATIONS)
    kinds = {line.split()[2] for line in (tmp_path / "clip" / "gt" / "gt.txt").read_text().splitlines()}
    assert kinds == {"9", "11"}
    assert (tmp_path / "labels.txt").read_text().splitlines()[8:] == ["class 8", "ignore", "class 9"]


@pytest.mark.parametrize("name", ["mots", "davis"])
def test_an_object_that_is_wholly_covered_is_left_out(tmp_path, name):
    large, small = np.zeros((2, *SIZE[::-1]), bool)
    large[10:50, 10:50] = True
    small[20:30, 20:30] = True
    items = [
        LabelledObject(key, "a", {0: (0, 0, 1, 1)}, {0: Mask.from_array(mask)})
        for key, mask in (("large", large), ("small", small))
    ]
    dataset = Dataset(["a"], [LabelledVideo("v", SIZE, 1, 10, [0], items)])
    written = FORMATS[name].write(dataset, tmp_path / "a", ONLY_ANNOTATIONS)
    assert written == Summary(videos=1, frames=1, objects=2, annotations=1, left_out=1)
    turned = Dataset(["a"], [LabelledVideo("v", SIZE, 1, 10, [0], items[::-1])])
    written = FORMATS[name].write(turned, tmp_path / "b", ONLY_ANNOTATIONS)
    assert written == Summary(videos=1, frames=1, objects=2, annotations=2, left_out=0)


def test_what_does_not_fit_into_16_bits_is_refused(tmp_path):
    mask = np.ones(SIZE[::-1], bool)
    items = [LabelledObject(f"{n}", "a", {0: (0, 0, 1, 1)}, {0: Mask.from_array(mask)}) for n in range(1000)]
    dataset = Dataset(["a"], [LabelledVideo("v", SIZE, 1, 10, [0], items)])
    with pytest.raises(OutputError, match="999 objects a video, and 'v' has 1000"):
        FORMATS["mots"].write(dataset, tmp_path, ONLY_ANNOTATIONS)
    labels = [f"{number}" for number in range(64)]
    dataset = Dataset([*labels, "a"], [LabelledVideo("v", SIZE, 1, 10, [0], items[:1])])
    with pytest.raises(OutputError, match="63 classes, not 65"):
        FORMATS["mots"].write(dataset, tmp_path, ONLY_ANNOTATIONS)
