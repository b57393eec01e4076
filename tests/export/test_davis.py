from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.errors import OutputError
from backend.evaluation.davis import find_sequences
from backend.export.colours import davis_palette
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options
from backend.tracks import Mask
from support.clips import read_code
from support.labelled import LABELLED, LABELS, SIZE, flat_truth, labelled_dataset, labelled_video


def test_masks_come_back_exactly_but_for_overlaps(tmp_path):
    FORMATS["davis"].write(labelled_dataset(None), tmp_path, Options(pictures=None))
    directory = tmp_path / "Annotations" / "480p" / "clip"
    assert sorted(path.name for path in directory.iterdir()) == [f"{frame:05d}.png" for frame in LABELLED]
    for frame in LABELLED:
        with Image.open(directory / f"{frame:05d}.png") as image:
            assert image.mode == "P"
            assert image.getpalette()[:9] == [channel for colour in davis_palette()[:3] for channel in colour]
            numbers = np.array(image)
        expected = np.zeros(SIZE[::-1], int)
        for number, mask in flat_truth(frame).items():
            expected[mask] = number
        np.testing.assert_array_equal(numbers, expected)


def test_the_evaluation_reads_the_export(video, tmp_path):
    videos = [labelled_video(video, name=name) for name in ("the clip", "another")]
    FORMATS["davis"].write(Dataset(LABELS, videos), tmp_path)
    found = find_sequences(tmp_path, split=tmp_path / "ImageSets" / "2017" / "train.txt")
    assert [sequence.name for sequence in found] == ["the_clip", "another"]
    for sequence in found:
        assert sequence.objects == ("1", "2")
        frames = sequence.video()
        assert (frames.width, frames.height, len(frames)) == (*SIZE, len(LABELLED))
        for position, frame in enumerate(LABELLED):
            assert read_code(frames.frame(position)) == frame
            shown = flat_truth(frame)
            for name, mask in sequence.truth(position).items():
                np.testing.assert_array_equal(mask, shown.get(int(name), np.zeros_like(mask)))


@pytest.mark.parametrize(("count", "fits"), [(254, True), (255, False)])
def test_255_is_no_object(tmp_path, count, fits):
    items = []
    for number in range(count):
        mask = np.zeros(SIZE[::-1], bool)
        mask[number // SIZE[0], number % SIZE[0]] = True
        items.append(LabelledObject(f"{number}", "a", {0: (0, 0, 1, 1)}, {0: Mask.from_array(mask)}))
    dataset = Dataset(["a"], [LabelledVideo("v", SIZE, 1, 10, [0], items)])
    if fits:
        FORMATS["davis"].write(dataset, tmp_path, Options(pictures=None))
        with Image.open(tmp_path / "Annotations" / "480p" / "v" / "00000.png") as image:
            assert np.asarray(image).ravel()[:255].tolist() == [*range(1, 255), 0]
    else:
        with pytest.raises(OutputError, match="254 objects a video, and 'v' has 255"):
            FORMATS["davis"].write(dataset, tmp_path, Options(pictures=None))


def test_png_pictures_are_refused(video, tmp_path):
    with pytest.raises(OutputError, match="davis has JPEG pictures"):
        FORMATS["davis"].write(labelled_dataset(video), tmp_path, Options(pictures="png"))
