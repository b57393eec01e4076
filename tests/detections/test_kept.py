from __future__ import annotations

from pathlib import Path

import pytest

from backend.detections.kept import KeptFiles
from backend.errors import DatasetError

ROW = "1,-1,11,21,30,15,0.5\n"


def write(path: Path, rows: int = 1) -> Path:
    path.write_text(ROW * rows)
    return path


def test_a_file_is_read_once_until_it_changes(tmp_path: Path) -> None:
    files, path = KeptFiles(), write(tmp_path / "a.txt")
    found = files.open(path)
    assert files.open(tmp_path / "." / "a.txt") is found
    write(path, 2)
    assert files.open(path) is not found


def test_the_images_belong_to_it(tmp_path: Path) -> None:
    files, path, images = KeptFiles(), tmp_path / "a.json", tmp_path / "images.json"
    path.write_text('[{"image_id": 3, "bbox": [1, 2, 3, 4]}]')
    images.write_text('{"images": [{"id": 3, "file_name": "dog/000001.jpg"}]}')
    bare, named = files.open(path), files.open(path, images)
    assert (list(bare.names), list(named.names)) == ([], ["dog"])
    assert files.open(path) is bare and files.open(path, images) is named


def test_what_was_asked_for_last_is_kept_in_bounded_memory(tmp_path: Path) -> None:
    files = KeptFiles(2 * len(ROW))
    paths = [write(tmp_path / name) for name in "abc"]
    a, b = files.open(paths[0]), files.open(paths[1])
    assert files.open(paths[0]) is a
    files.open(paths[2])
    assert files.open(paths[0]) is a and files.open(paths[1]) is not b
    large = files.open(write(tmp_path / "large", 9))
    assert files.open(tmp_path / "large") is large
    assert files.open(paths[0]) is not a


def test_one_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none\.txt cannot be read: No such file"):
        KeptFiles().open(tmp_path / "none.txt")
