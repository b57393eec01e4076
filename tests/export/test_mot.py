from __future__ import annotations

import configparser
import csv

import numpy as np
import pytest
import trackeval
from PIL import Image

from backend.evaluation.motchallenge import find_sequences
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.mot import class_numbers
from backend.export.writing import Options
from backend.tracks import Mask
from support.clips import read_code
from support.hota import hota_of_itself
from support.labelled import LABELLED, SIZE, labelled_dataset, labelled_video, truth

ONLY_ANNOTATIONS = Options(pictures=None)


def rows_of(path):
    with path.open(newline="") as file:
        return [[float(value) for value in row] for row in csv.reader(file)]


def sequence(path):
    parser = configparser.ConfigParser()
    parser.read(path)
    return dict(parser["Sequence"])


def test_boxes_come_back_from_the_first_frame_and_the_first_pixel_on(tmp_path):
    FORMATS["mot"].write(labelled_dataset(None), tmp_path, ONLY_ANNOTATIONS)
    expected = []
    for number, frame in enumerate(LABELLED, start=1):
        for name, mask in truth(frame).items():
            rows, columns = mask.nonzero()
            left, top = columns.min() + 1, rows.min() + 1
            expected.append([number, name, left, top, np.ptp(columns) + 1, np.ptp(rows) + 1, 1, name, 1])
    assert rows_of(tmp_path / "clip" / "gt" / "gt.txt") == expected
    assert (tmp_path / "clip" / "gt" / "gt.txt").read_text().startswith("1,1,13,31,51,61,1,1,1\n")


def test_boxes_reach_beyond_the_picture(tmp_path):
    FORMATS["mot"].write(labelled_dataset(None, masks=False), tmp_path, ONLY_ANNOTATIONS)
    assert rows_of(tmp_path / "clip" / "gt" / "gt.txt")[0] == [1, 1, -2.25, 31.5, 63.25, 60.5, 1, 1, 1]


def test_the_frames_are_those_that_were_labelled(video, tmp_path):
    FORMATS["mot"].write(labelled_dataset(video), tmp_path)
    pictures = sorted((tmp_path / "clip" / "img1").iterdir())
    assert [path.name for path in pictures] == [f"{number:06d}.jpg" for number in range(1, 7)]
    shown = []
    for path in pictures:
        with Image.open(path) as image:
            shown.append(read_code(np.asarray(image)))
    assert shown == list(LABELLED)
    with (tmp_path / "clip" / "frames.csv").open(newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"frame": str(number), "index": str(frame)} for number, frame in enumerate(LABELLED, start=1)
        ]


def test_the_evaluation_reads_the_export(video, tmp_path):
    FORMATS["mot"].write(labelled_dataset(video), tmp_path)
    (found,) = find_sequences(tmp_path)
    frames = found.video()
    assert (found.name, found.length, len(frames), frames.width, frames.height) == ("clip", 6, 6, *SIZE)
    assert [read_code(frames.frame(position)) for position in range(6)] == list(LABELLED)
    expected = {
        (position, number): Mask.from_array(mask).box
        for position, frame in enumerate(LABELLED)
        for number, mask in truth(frame).items()
    }
    assert {(row.frame, row.id): row.box for row in found.truth() if row.counts} == expected


@pytest.mark.parametrize(
    ("labelled", "fps", "rate"),
    [(range(10), 29.97, "30"), (range(0, 10, 2), 30, "15"), ([3], 25, "25"), ([0, 13], 10, "1")],
)
def test_the_sequence_is_described(tmp_path, labelled, fps, rate):
    whole = labelled_video(None)
    video = LabelledVideo("clip", SIZE, whole.length, fps, labelled, whole.objects)
    FORMATS["mot"].write(
        Dataset(["Car", *{item.label for item in whole.objects} - {"Car"}], [video]), tmp_path, ONLY_ANNOTATIONS
    )
    assert sequence(tmp_path / "clip" / "seqinfo.ini") == {
        "name": "clip",
        "imdir": "img1",
        "framerate": rate,
        "seqlength": str(len(labelled)),
        "imwidth": "161",
        "imheight": "119",
        "imext": ".jpg",
    }


@pytest.mark.parametrize("masks", [True, False])
def test_trackeval_finds_the_export_perfect(tmp_path, masks):
    videos = [labelled_video(None, name=name, masks=masks) for name in ("one 1%", "two")]
    same = [
        LabelledVideo(
            video.name,
            video.size,
            video.length,
            video.fps,
            video.labelled,
            [LabelledObject(item.id, "Person", item.boxes, item.masks) for item in video.objects],
        )
        for video in videos
    ]
    FORMATS["mot"].write(Dataset(["Person"], same), tmp_path / "gt", ONLY_ANNOTATIONS)
    scores = hota_of_itself(trackeval.datasets.MotChallenge2DBox, tmp_path / "gt", tmp_path / "results")
    assert scores == {"one_1": 1.0, "two": 1.0}


def test_the_class_of_number_n_is_in_line_n(tmp_path):
    boxes = {0: (0.0, 0.0, 10.0, 10.0)}
    labels = ["Car", "line\nbreak", "PERSON"]
    objects = [LabelledObject(label, label, boxes) for label in labels]
    dataset = Dataset(labels, [LabelledVideo("v", SIZE, 1, 10, [0], objects)])
    FORMATS["mot"].write(dataset, tmp_path, ONLY_ANNOTATIONS)
    assert (tmp_path / "labels.txt").read_text() == "PERSON\nCar\nline break\n"
    assert [row[7] for row in rows_of(tmp_path / "v" / "gt" / "gt.txt")] == [2, 3, 1]


@pytest.mark.parametrize(
    ("classes", "benchmark", "reserved", "numbers"),
    [
        (["a", "b", "c"], {}, (), (1, 2, 3)),
        (["a", "person", "b"], {"person": 1}, (), (2, 1, 3)),
        (["person", "Pedestrian"], {"person": 1, "pedestrian": 1}, (), (1, 2)),
        (["a", "b", "c"], {}, (1, 3), (2, 4, 5)),
        (["x", "person"], {"car": 1, "person": 2}, (10,), (1, 2)),
        (["person"], {"car": 1, "person": 2}, (10,), (2,)),
    ],
)
def test_class_numbers(classes, benchmark, reserved, numbers):
    assert class_numbers(classes, benchmark, reserved) == numbers
