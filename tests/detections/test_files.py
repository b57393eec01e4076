from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.detections.files import open_detections, read_detections
from backend.errors import DatasetError, SettingsError
from backend.tracks import Detection

RESULT = {"image_id": 3, "category_id": 1, "bbox": [10, 20, 30, 15], "score": 0.5}


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("start", ["", "\n  ", "\ufeff"])
def test_the_format_is_told_from_the_beginning(tmp_path, video, start):
    file = write(tmp_path / "whatever.txt", start + json.dumps([RESULT]))
    assert read_detections(file, video.as_reader) == {3: [Detection((10, 20, 40, 35), 0.5, "1")]}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_mot_counts_from_one(tmp_path, video, mark):
    file = write(tmp_path / "det.json", f"{mark}1,-1,11,21,30,15,0.5\n3,-1,11,21,30,15,0.25\n4,-1,11,21,30,15,0.5\n")
    box = (10, 20, 40, 35)
    assert read_detections(file, video.as_reader) == {
        0: [Detection(box, 0.5)],
        1: [],
        2: [Detection(box, 0.25)],
        3: [Detection(box, 0.5)],
    }


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("13,-1,1,1,5,5,0.5", "line 2: there is no frame 13: the sequence has frames 1 to 12"),
        ("1,-1,1,1,0,5,0.5", "line 2: the box has no size"),
        ("1,-1,1,nan,5,5,0.5", "line 2: 'nan' is no number"),
        ("1,-1,1,1,5", "line 2: 5 numbers instead of 7 or more"),
        ("one", "line 2: 1 numbers instead of 7"),
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_line(tmp_path, video, row, says):
    file = write(tmp_path / "det.txt", f"1,-1,1,1,5,5,0.5\n{row}\n")
    with pytest.raises(DatasetError, match=r"det\.txt") as error:
        read_detections(file, video.as_reader)
    assert says in str(error.value)


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_a_file_without_detections_is_refused(tmp_path, video, content):
    with pytest.raises(DatasetError, match=r"det\.txt has no detection of dog\.mp4"):
        read_detections(write(tmp_path / "det.txt", content), video.as_reader)


@pytest.mark.parametrize("content", [b"\xff\xfe1,-1", b"\x00" * 2000, b"\x89PNG\r\n"])
def test_a_file_that_is_no_text_is_refused(tmp_path, video, content):
    with pytest.raises(DatasetError, match=r"det\.txt"):
        read_detections(write(tmp_path / "det.txt", content), video.as_reader)


def test_a_file_that_is_not_there(tmp_path, video):
    with pytest.raises(DatasetError, match=r"none\.txt cannot be read: No such file"):
        read_detections(tmp_path / "none.txt", video.as_reader)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_detections(tmp_path, video.as_reader)


def test_images_are_for_json(tmp_path, video):
    file = write(tmp_path / "det.txt", "1,-1,1,1,5,5,0.5\n")
    with pytest.raises(SettingsError, match="is no JSON"):
        read_detections(file, video.as_reader, tmp_path / "images.json")


def test_rows_say_of_no_video_and_are_checked_at_once(tmp_path, video):
    file = open_detections(write(tmp_path / "det.txt", "3,-1,11,21,30,15,0.25\n99,-1,11,21,30,15,0.75\n"))
    assert (file.names, file.labels, file.best) == ((), (), 0.75)
    with pytest.raises(DatasetError, match="line 2: there is no frame 99: the sequence has frames 1 to 12"):
        file.detections(video.as_reader)
    with pytest.raises(DatasetError, match="line 1: 1 numbers"):
        open_detections(write(tmp_path / "det.txt", "one"))
