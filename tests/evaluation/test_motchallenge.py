from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.detections.mot import read_boxes
from backend.errors import DatasetError, OutputError
from backend.evaluation.motchallenge import (
    TrackedBox,
    TruthBox,
    find_sequences,
    read_truth,
    write_tracks,
)
from backend.export.formats import FORMATS
from backend.tracks import Detection, Mask
from backend.video.reader import VideoReader
from support.clips import read_code
from support.labelled import LABELLED, labelled_dataset, make_video
from support.labelled import truth as labelled_truth
from support.mot import write_sequence

TRUTH = """\
1,7,11,21,30,40,1,1,0.75
2,7,12.5,21,30,40,1,1,1

2,3,101,51,8,9,0,12,0
"""
DETECTIONS = """\
1,-1,11,21,30,40,0.9
3,-1,12.5,21,30,40,-0.25,-1,-1,-1
3,-1,1,1,5,5,2.5
"""


def make_sequence(root: Path, name: str = "one", *, info: str | None = None) -> Path:
    """Three frames, grey 1 to 3."""
    images = [np.full((24, 32, 3), number, np.uint8) for number in (1, 2, 3)]
    directory = write_sequence(root, name, images, TRUTH, DETECTIONS, fps=12.5)
    if info is not None:
        (directory / "seqinfo.ini").write_text(info)
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return make_sequence(tmp_path)


def test_a_sequence_with_its_files(directory: Path) -> None:
    (sequence,) = find_sequences(directory.parent)
    assert (sequence.name, sequence.fps, len(sequence)) == ("one", 12.5, 3)
    video = sequence.video()
    assert (len(video), video.fps, video.width, video.height) == (3, 12.5, 32, 24)
    assert [int(video.frame(frame)[0, 0, 0]) for frame in range(3)] == [1, 2, 3]
    # Frames and pixels count from 1 in the file, from 0 here.
    assert sequence.truth() == [
        TruthBox(0, 7, (10, 20, 40, 60), True, 1, 0.75),
        TruthBox(1, 7, (11.5, 20, 41.5, 60), True, 1, 1.0),
        TruthBox(1, 3, (100, 50, 108, 59), False, 12, 0.0),
    ]
    assert sequence.detections() == {
        0: [Detection((10, 20, 40, 60), 0.9)],
        2: [Detection((11.5, 20, 41.5, 60), -0.25), Detection((0, 0, 5, 5), 2.5)],
    }


def test_the_beginning_of_a_sequence(directory: Path) -> None:
    (sequence,) = find_sequences(directory.parent)
    short = sequence.beginning(1)
    assert (len(short), len(short.video())) == (1, 1)
    assert [row.frame for row in short.truth()] == [0]
    assert len(sequence.beginning(100)) == 3


def test_detections_from_another_file(directory: Path, tmp_path: Path) -> None:
    (sequence,) = find_sequences(directory.parent)
    other = tmp_path / "mine.txt"
    other.write_text("2,-1,1,1,4,4,0.5\n")
    assert sequence.detections(other) == {1: [Detection((0, 0, 4, 4), 0.5)]}


def found(root: Path, names: list[str] | None = None) -> list[str]:
    return [sequence.name for sequence in find_sequences(root, names)]


def test_which_sequences(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        make_sequence(tmp_path, name)
    (tmp_path / "seqmaps").mkdir()
    assert found(tmp_path) == ["a", "b", "c"]
    assert found(tmp_path, ["c", "a", "c"]) == ["c", "a"]
    with pytest.raises(DatasetError, match="has no sequence d, e; it has a, b, c"):
        found(tmp_path, ["a", "d", "e"])


def test_the_benchmark_s_own_directory_has_them_in_train(tmp_path: Path) -> None:
    make_sequence(tmp_path / "train", "MOT17-02-FRCNN")
    make_sequence(tmp_path / "test", "MOT17-01-FRCNN")
    assert found(tmp_path) == ["MOT17-02-FRCNN"]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="not laid out as MOTChallenge"):
        find_sequences(tmp_path)


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("frameRate=3\n", "no section headers"),
        ("[Sequence]\nframeRate=3\n", "'seqLength'"),
        ("[Sequence]\nframeRate=3\nseqLength=three\n", "'three'"),
        ("[Sequence]\nseqLength=3\nframeRate=0\n", "frameRate is 0"),
        ("[Sequence]\nseqLength=3\nframeRate=nan\n", "frameRate is nan"),
        ("[Sequence]\nseqLength=4\nframeRate=3\n", "image 4 is not there"),
        ("[Sequence]\nseqLength=0\nframeRate=3\n", "seqLength is 0"),
        ("[Sequence]\nseqLength=3\nframeRate=3\nimDir=frames\n", "frames is not there"),
    ],
)
def test_a_description_that_cannot_be_used(tmp_path: Path, info: str, message: str) -> None:
    make_sequence(tmp_path, info=info)
    with pytest.raises(DatasetError, match=message) as error:
        find_sequences(tmp_path)
    assert "one" in str(error.value)


def test_a_gap_in_the_images_is_refused(directory: Path) -> None:
    (directory / "img1" / "000002.png").unlink()
    with pytest.raises(DatasetError, match="image 2 is not there"):
        find_sequences(directory.parent)


# --- rows ---------------------------------------------------------------------------------------


def truth_of(tmp_path: Path, text: str, frames: int = 9) -> tuple[TruthBox, ...]:
    path = tmp_path / "gt.txt"
    path.write_text(text)
    return read_truth(path, frames)


def test_rows_without_class_or_visibility(tmp_path: Path) -> None:
    (row,) = truth_of(tmp_path, "1,2,1,1,4,4,1\n")
    assert (row.counts, row.kind, row.visibility) == (True, None, 1.0)
    (row,) = truth_of(tmp_path, "1,2,1,1,4,4,1,3\n")
    assert (row.kind, row.visibility) == (3, 1.0)
    (row,) = truth_of(tmp_path, "1,2,1,1,4,4,1,-1,-1\n")
    assert (row.kind, row.visibility) == (None, 1.0)


def test_rows_of_mot15_have_a_place_in_the_world_and_no_class(tmp_path: Path) -> None:
    (row,) = truth_of(tmp_path, "1,2,1,1,4,4,1,-12.8,3.5,0\n")
    assert (row.kind, row.visibility) == (None, 1.0)


def test_spaces_whole_floats_and_commas_at_the_end_do_no_harm(tmp_path: Path) -> None:
    (row,) = truth_of(tmp_path, " 3.0, 2.0, 1, 1, 4, 4, 1, 1, 0.5,\r\n")
    assert row == TruthBox(2, 2, (0, 0, 4, 4), True, 1, 0.5)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,1,1,4,4", "6 numbers instead of 7 or more"),
        ("1 2 1 1 4 4 1", "1 numbers instead of 7"),
        ("one,2,1,1,4,4,1", "'one' is no number"),
        ("1,2,1,1,nan,4,1", "'nan' is no number"),
        ("1,2,1,,4,4,1", "'' is no number"),
        ("1.5,2,1,1,4,4,1", "the frame is 1.5, which is no whole number"),
        ("1,2.5,1,1,4,4,1", "the id is 2.5, which is no whole number"),
        ("1,2,1,1,4,4,1,1.5,1", "the class is 1.5, which is no whole number"),
        ("0,2,1,1,4,4,1", "there is no frame 0: the sequence has frames 1 to 9"),
        ("10,2,1,1,4,4,1", "there is no frame 10"),
        ("1,2,1,1,0,4,1", r"the box has no size \(0 x 4\)"),
        ("1,2,1,1,4,-4,1", r"the box has no size \(4 x -4\)"),
        ("1,1,5,5,4,4,1", "object 1 is on frame 1 a second time"),
    ],
)
def test_a_row_of_the_truth_that_is_none_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as error:
        truth_of(tmp_path, f"1,1,1,1,4,4,1,1,1\n\n{row}\n")
    assert f"{tmp_path / 'gt.txt'}, line 3: " in str(error.value)
    assert "a row is frame,id,left,top,width,height,flag,class,visibility" in str(error.value)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,-1,1,1,4,4", "6 numbers instead of 7"),
        ("1,-1,1,1,4,4,high", "'high' is no number"),
        ("1,-1,1,1,4,4,inf", "'inf' is no number"),
        ("4,-1,1,1,4,4,1", "there is no frame 4"),
        ("1,-1,1,1,4,0,1", "the box has no size"),
    ],
)
def test_a_row_of_detections_that_is_none_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "det.txt"
    path.write_text(f"1,-1,1,1,4,4,0.5\n{row}\n")
    with pytest.raises(DatasetError, match=message) as error:
        read_boxes(path, 3)
    assert f"{path}, line 2: " in str(error.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        read_truth(tmp_path / "gt.txt", 3)
    (tmp_path / "det.txt").write_bytes(b"\xff\xfe1,2")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_boxes(tmp_path / "det.txt", 3)


# --- results ------------------------------------------------------------------------------------


def test_results_are_written_in_order_and_from_1(tmp_path: Path) -> None:
    path = tmp_path / "one.txt"
    write_tracks(
        path,
        [
            TrackedBox(1, 2, (0.0, 0.0, 10.0, 20.0), 0.5),
            TrackedBox(0, 2, (0.25, 1.0, 10.0, 20.0), 1.0),
            TrackedBox(0, 1, (3.0, 4.0, 5.0, 6.0), 0.12345),
        ],
    )
    assert path.read_text() == (
        "1,1,4,5,2,2,0.1235,-1,-1,-1\n1,2,1.25,2,9.75,19,1.0000,-1,-1,-1\n2,2,1,1,10,20,0.5000,-1,-1,-1\n"
    )
    # It can be read as detections, each where it was.
    assert read_boxes(path, 2)[1] == [Detection((0, 0, 10, 20), 0.5)]


def test_no_results_are_an_empty_file(tmp_path: Path) -> None:
    write_tracks(tmp_path / "one.txt", [])
    assert (tmp_path / "one.txt").read_text() == ""
    with pytest.raises(OutputError):
        write_tracks(tmp_path / "missing" / "one.txt", [])


def test_what_the_exporter_writes_can_be_read(tmp_path: Path) -> None:
    with VideoReader(make_video(tmp_path / "clip.mkv")) as video:
        FORMATS["mot"].write(labelled_dataset(video), tmp_path / "dataset")
    (sequence,) = find_sequences(tmp_path / "dataset")
    assert len(sequence) == len(LABELLED)
    assert [read_code(image) for _, image in sequence.video().frames(0, len(sequence))] == list(LABELLED)
    expected = [
        (position, number, Mask.from_array(mask).box)
        for position, frame in enumerate(LABELLED)
        for number, mask in labelled_truth(frame).items()
    ]
    assert [(row.frame, row.id, row.box) for row in sequence.truth()] == expected
    assert {(row.id, row.kind, row.counts) for row in sequence.truth()} == {(1, 1, True), (2, 2, True)}
