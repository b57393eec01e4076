"""A task's media among files, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import MediaError
from backend.labelstudio.media_folder import MediaFolder, media_stem


@pytest.fixture
def folder(tmp_path):
    def make(*names: str) -> MediaFolder:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return MediaFolder(tmp_path)

    return make


def found(folder: MediaFolder, value: str) -> str | None:
    path = folder.find(value)
    return None if path is None else path.relative_to(folder.root).as_posix()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/data/upload/3/0a1b2c3d-my_clip.mp4", "my clip.mp4"),  # as it was uploaded
        ("/data/upload/3/0a1b2c3d-my_clip.mp4", "0a1b2c3d-my_clip.mp4"),  # as Label Studio keeps it
        ("http://studio:8080/data/upload/3/0a1b2c3d-my_clip.mp4", "videos/my clip.mp4"),
        ("/data/upload/3/0a1b2c3d-K%C3%BCche_1.mp4", "Küche (1).mp4"),
        ("/data/local-files/?d=videos/a%20b.mp4", "a b.mp4"),
        ("https://media.example.org/x/clip.mp4?sign=1", "clip.mp4"),
        ("s3://bucket/x/clip.mp4", "clip.mp4"),
        ("videos/what?.mp4", "what?.mp4"),
        ("C:\\videos\\clip.mp4", "deep/er/clip.mp4"),
        ("/data/upload/3/clip.mp4", "clip.mp4"),
    ],
)
def test_it_is_found_by_its_name(folder, value, name):
    assert found(folder(name, "other.mp4"), value) == name


@pytest.mark.parametrize(
    "value", ["/data/upload/3/0a1b2c3d-clip.mp4", "clip.mp4", "", "/", "http://[", "/data/local-files/?d="]
)
def test_what_is_not_there_is_not_found(folder, value):
    assert found(folder("clip.avi", "0a1b2c3e-clip.mp4", "a-clip.mp4"), value) is None


def test_only_the_name_of_an_upload_loses_its_first_eight_digits(folder):
    assert found(folder("clip.mp4"), "videos/0a1b2c3d-clip.mp4") is None


def test_the_full_name_goes_before_the_shortened_one(folder):
    files = folder("clip.mp4", "deep/0a1b2c3d-clip.mp4")
    assert found(files, "/data/upload/3/0a1b2c3d-clip.mp4") == "deep/0a1b2c3d-clip.mp4"


def test_of_files_with_one_name_the_one_in_the_same_directories_is_taken(folder):
    files = folder("a/img/0.jpg", "b/img/0.jpg", "img/0.jpg", "upload/1/0a1b2c3d-x.mp4", "upload/2/0a1b2c3d-x.mp4")
    assert found(files, "/data/local-files/?d=set/b/img/0.jpg") == "b/img/0.jpg"
    assert found(files, "/data/upload/2/0a1b2c3d-x.mp4") == "upload/2/0a1b2c3d-x.mp4"
    with pytest.raises(MediaError, match=r"0\.jpg may be any of 3 files .*: a/img/0\.jpg, b/img/0\.jpg, img/0\.jpg"):
        files.find("img/0.jpg")


def test_two_uploads_are_not_taken_for_one_file(folder):
    files = folder("clip.mp4")
    value = "/data/upload/3/0a1b2c3d-clip.mp4"
    assert found(files, value) == found(files, value) == "clip.mp4"
    with pytest.raises(MediaError, match=r"0a1b2c3d-clip\.mp4 and .*/ffffffff-clip\.mp4 are different uploads"):
        files.find("/data/upload/3/ffffffff-clip.mp4")


def test_a_directory_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(MediaError, match=r"--media .*nowhere is not a directory"):
        MediaFolder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("value", "stem"),
    [
        ("/data/upload/3/0a1b2c3d-my_clip.v2.mp4", "my_clip.v2"),
        ("/data/local-files/?d=videos/0a1b2c3d-a%20b.mp4", "0a1b2c3d-a b"),
        ("clip", "clip"),
        ("", ""),
    ],
)
def test_the_name_that_people_know(value, stem):
    assert media_stem(value) == stem
    assert Path(stem).name == stem
