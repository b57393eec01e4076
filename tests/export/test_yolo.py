from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from backend.errors import OutputError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options
from support.clips import read_code
from support.labelled import LABELLED, LABELS, SIZE, labelled_dataset, labelled_video, truth


def load(directory, part="train"):
    """As Ultralytics loads a dataset: ``{picture's name: (picture, [(class, values)])}``, and the classes' names."""
    data = yaml.safe_load((directory / "data.yaml").read_text(encoding="utf-8"))
    assert {"train", "val", "names"} <= data.keys()
    root = Path(data.get("path") or directory)
    loaded = {}
    for picture in sorted((root / data[part]).iterdir()):
        before, after = str(picture).rsplit(f"{os.sep}images{os.sep}", 1)
        labels = Path(f"{before}{os.sep}labels{os.sep}{after}").with_suffix(".txt")
        rows = [line.split() for line in labels.read_text().splitlines()]
        values = np.array([float(value) for row in rows for value in row[1:]])
        assert ((values >= 0) & (values <= 1)).all()
        assert all(int(row[0]) in data["names"] for row in rows)
        with Image.open(picture) as image:
            loaded[picture.name] = np.array(image), [(int(row[0]), np.array(row[1:], float)) for row in rows]
    return loaded, data["names"]


def by_frame(loaded):
    return {int(name.removesuffix(".jpg").rsplit("_", 1)[1]): content for name, content in loaded.items()}


def test_boxes_come_back_with_the_frames_they_belong_to(video, tmp_path):
    FORMATS["yolo-detect"].write(labelled_dataset(video), tmp_path)
    loaded, names = load(tmp_path)
    assert names == dict(enumerate(LABELS))
    assert tuple(by_frame(loaded)) == LABELLED
    for frame, (picture, rows) in by_frame(loaded).items():
        assert read_code(picture) == frame
        masks = truth(frame)
        assert [kind for kind, _ in rows] == [number - 1 for number in masks]
        for (_, values), mask in zip(rows, masks.values(), strict=True):
            x, y, width, height = values * np.array([*SIZE, *SIZE])
            found = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
            ys, xs = mask.nonzero()
            np.testing.assert_allclose(found, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), atol=2e-4)


def test_boxes_end_at_the_border(tmp_path):
    FORMATS["yolo-detect"].write(labelled_dataset(None, masks=False), tmp_path, Options(pictures=None))
    kind, *values = (tmp_path / "labels" / "train" / "clip_000002.txt").read_text().splitlines()[0].split()
    assert kind == "0"
    np.testing.assert_allclose(
        [float(value) for value in values], (30 / 161, 60.75 / 119, 60 / 161, 60.5 / 119), atol=1e-6
    )


def test_polygons_come_back_but_for_the_line_that_joins_the_parts(video, tmp_path):
    FORMATS["yolo-segment"].write(labelled_dataset(video), tmp_path)
    loaded, _ = load(tmp_path)
    for frame, (picture, rows) in by_frame(loaded).items():
        assert read_code(picture) == frame
        masks = truth(frame)
        assert [kind for kind, _ in rows] == [number - 1 for number in masks]
        for (kind, values), mask in zip(rows, masks.values(), strict=True):
            assert len(values) >= 6
            polygon = (values.reshape(-1, 2) * SIZE).astype(np.float32)
            found = np.zeros(mask.shape, np.uint8)
            cv2.fillPoly(found, [polygon.astype(np.int32)], 1)
            extra = 9 if kind == 0 else 0
            assert ((found > 0) != mask).sum() == extra
            assert mask.sum() / (mask.sum() + extra) > 0.99


def test_a_frame_without_objects_has_an_empty_file(tmp_path):
    item = LabelledObject("a", "Car", {1: (0, 0, 10, 10)})
    video = LabelledVideo("v", SIZE, 3, 10, [0, 1], [item])
    FORMATS["yolo-detect"].write(Dataset(["Car"], [video]), tmp_path, Options(pictures=None))
    labels = tmp_path / "labels" / "train"
    assert {path.name: path.read_text() for path in labels.iterdir()} == {
        "v_000000.txt": "",
        "v_000001.txt": f"0 {5 / 161:.6f} {5 / 119:.6f} {10 / 161:.6f} {10 / 119:.6f}\n",
    }


@pytest.mark.parametrize(
    "label",
    [
        '"', "'", "a: b # c", "- x", "line\nbreak", "tab\t", "back\\slash\\n", "№ 1", "\u2028", "😀", "\x07\x7f\x85",
        "yes", "1", " ", "{}",
    ],
)  # fmt: skip
def test_a_label_is_one_name_whatever_is_in_it(tmp_path, label):
    item = LabelledObject("a", label, {0: (0, 0, 10, 10)})
    video = LabelledVideo("v", SIZE, 1, 10, [0], [item])
    FORMATS["yolo-detect"].write(Dataset(["first", label], [video]), tmp_path, Options(pictures=None))
    data = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert data == {"train": "images/train", "val": "images/train", "names": {0: "first", 1: label}}


def test_whole_videos_go_to_validation(video, tmp_path):
    names = [f"video {number}" for number in range(5)]

    def split(videos, share, directory):
        dataset = Dataset(LABELS, [labelled_video(video, name=name, labelled=(0, 1)) for name in videos])
        FORMATS["yolo-detect"].write(dataset, directory, Options(val=share))
        parts = {part: {name.rsplit("_", 1)[0] for name in load(directory, part)[0]} for part in ("train", "val")}
        assert parts["train"] | parts["val"] == {name.replace(" ", "_") for name in videos}
        assert not parts["train"] & parts["val"]
        return parts["val"]

    chosen = split(names, 0.4, tmp_path / "a")
    assert len(chosen) == 2
    assert split(names[::-1], 0.4, tmp_path / "b") == chosen
    assert len(split(names, 0.01, tmp_path / "c")) == 1
    assert len(split(names, 0.99, tmp_path / "d")) == 4


def test_one_video_cannot_be_split(tmp_path):
    with pytest.raises(OutputError, match="a single video cannot be split"):
        FORMATS["yolo-detect"].write(labelled_dataset(None), tmp_path, Options(pictures=None, val=0.5))
