from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.errors import DatasetError, VideoError
from backend.evaluation.davis import find_sequences
from support.davis import HEIGHT, WIDTH, numbers, write_sequence

ONE = numbers((255, 5, 5, 15, 15))
TWO = numbers((1, 5, 5, 15, 15), (2, 20, 10, 30, 20), (255, 15, 5, 18, 15))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sequences of both layouts, bear with one object, dogs with two, and with what systems leave behind."""
    root = tmp_path / "davis"
    write_sequence(root, "bear", [ONE] * 3, indexed=False)
    write_sequence(root, "dogs", [TWO, TWO, numbers((2, 1, 1, 5, 5), (3, 10, 10, 20, 20)), numbers()])
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / ".hidden").mkdir()
        (root / kind / "480p" / "bear" / "._00000.jpg").write_bytes(b"x")
        (root / kind / "480p" / "bear" / "._00000.png").write_bytes(b"x")
        (root / kind / "480p" / "readme.txt").write_text("x")
    return root


def annotation(root: Path, name: str, frame: int) -> Path:
    return root / "Annotations" / "480p" / name / f"{frame:05d}.png"


def test_all_sequences_in_their_order(root: Path) -> None:
    bear, dogs = find_sequences(root)
    assert (bear.name, len(bear), dogs.name, len(dogs)) == ("bear", 3, "dogs", 4)
    assert [path.name for path in dogs.images] == ["00000.jpg", "00001.jpg", "00002.jpg", "00003.jpg"]
    assert [path.name for path in dogs.annotations] == ["00000.png", "00001.png", "00002.png", "00003.png"]
    video = dogs.video()
    assert (len(video), video.width, video.height) == (4, WIDTH, HEIGHT)
    assert video.path.name == "dogs"
    assert abs(int(video.frame(0)[12, 25, 0]) - 120) <= 8


def test_2016_has_one_object_in_white(root: Path) -> None:
    (bear,) = find_sequences(root, names=["bear"])
    assert bear.objects == ("1",)
    assert np.array_equal(bear.truth(2)["1"], ONE > 0)


def test_2017_has_numbered_objects_and_void(root: Path) -> None:
    (dogs,) = find_sequences(root, names=["dogs"])
    assert dogs.objects == ("1", "2")
    for name, truth in dogs.truth(0).items():
        assert np.array_equal(truth, int(name) == TWO)
    later = dogs.truth(2)
    assert list(later) == ["1", "2"]  # the third one comes too late for the task
    assert not later["1"].any()
    assert later["2"].sum() == 16
    assert not any(truth.any() for truth in dogs.truth(3).values())


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "LA"])
def test_white_in_any_kind_of_image(root: Path, mode: str) -> None:
    (bear,) = find_sequences(root, names=["bear"])
    Image.fromarray(ONE).convert(mode).save(annotation(root, "bear", 1))
    assert np.array_equal(bear.truth(1)["1"], ONE > 0)


def test_faint_grey_is_no_object(root: Path) -> None:
    (bear,) = find_sequences(root, names=["bear"])
    grey = np.full((HEIGHT, WIDTH), 127, np.uint8)
    grey[3, 3] = 128
    Image.fromarray(grey).save(annotation(root, "bear", 1))
    assert np.argwhere(bear.truth(1)["1"]).tolist() == [[3, 3]]


@pytest.mark.parametrize("count", [1, 3, 9])
def test_the_beginning_of_a_sequence(root: Path, count: int) -> None:
    (_, dogs) = find_sequences(root)
    beginning = dogs.beginning(count)
    assert (beginning.name, beginning.objects) == ("dogs", ("1", "2"))
    assert beginning.images == dogs.images[:count]
    assert beginning.annotations == dogs.annotations[:count]


@pytest.mark.parametrize("resolution", ["Full-Resolution", ""])
def test_other_resolutions(tmp_path: Path, resolution: str) -> None:
    write_sequence(tmp_path, "bear", [ONE] * 3, indexed=False, resolution=resolution)
    (bear,) = find_sequences(tmp_path)
    assert bear.truth(0)["1"].any()


def test_480p_comes_first(root: Path) -> None:
    write_sequence(root, "large", [ONE], indexed=False, resolution="Full-Resolution")
    assert [sequence.name for sequence in find_sequences(root)] == ["bear", "dogs"]


def test_names_as_they_were_given(root: Path) -> None:
    assert [sequence.name for sequence in find_sequences(root, names=["dogs", "bear", "dogs"])] == ["dogs", "bear"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dogs\nbear\n", ["dogs", "bear"]),
        ("dogs\r\n\r\n", ["dogs"]),
        (
            "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png \n"
            "/JPEGImages/480p/bear/00001.jpg /Annotations/480p/bear/00001.png \n"
            "/JPEGImages/480p/dogs/00000.jpg /Annotations/480p/dogs/00000.png\n",
            ["bear", "dogs"],
        ),
    ],
)
def test_split_files_of_both_years(root: Path, text: str, expected: list[str]) -> None:
    split = root / "val.txt"
    split.write_text(text, newline="")
    assert [sequence.name for sequence in find_sequences(root, split=split)] == expected


def refused(root: Path, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        find_sequences(root, **options)
    return str(caught.value)


def test_what_a_split_file_may_not_be(root: Path) -> None:
    split = root / "val.txt"
    assert f"--split {split}: cannot be read" in refused(root, split=split)
    split.write_bytes(b"\xff\xfe\x00")
    assert f"--split {split}: cannot be read" in refused(root, split=split)
    split.write_text("\n")
    assert "no sequence to evaluate" in refused(root, split=split)
    split.write_text("bear\ncat\ncow\n")
    message = refused(root, split=split)
    assert "no sequence cat, cow" in message
    assert "bear, dogs" in message


def test_an_unknown_name(root: Path) -> None:
    message = refused(root, names=["bear", "../bear"])
    assert "no sequence ../bear" in message
    assert "it has bear, dogs" in message


@pytest.mark.parametrize("missing", ["Annotations", "Annotations/480p", "JPEGImages", ""])
def test_what_is_not_laid_out_so(root: Path, tmp_path: Path, missing: str) -> None:
    (root / missing).rename(tmp_path / "elsewhere")
    message = refused(root)
    assert str(root) in message
    assert "not laid out as DAVIS" in message


def test_no_sequences(tmp_path: Path) -> None:
    for kind in ("JPEGImages", "Annotations"):
        (tmp_path / kind / "480p").mkdir(parents=True)
    assert "no sequence to evaluate" in refused(tmp_path)
    assert "it has none" in refused(tmp_path, names=["bear"])


def test_a_sequence_without_images(root: Path) -> None:
    for path in (root / "JPEGImages" / "480p" / "bear").iterdir():
        path.unlink()
    assert "bear has no images" in refused(root)


def test_a_frame_without_an_annotation(root: Path) -> None:
    for frame in (1, 3):
        annotation(root, "dogs", frame).unlink()
    message = refused(root)
    assert str(annotation(root, "dogs", 1)) in message
    assert "2 of 4 frames have no annotation" in message
    assert find_sequences(root, names=["bear"])


def test_a_sequence_without_annotations(root: Path) -> None:
    directory = root / "Annotations" / "480p" / "dogs"
    directory.rename(root / "elsewhere")
    assert "4 of 4 frames have no annotation" in refused(root)


def test_an_annotation_without_its_frame(root: Path) -> None:
    (root / "JPEGImages" / "480p" / "dogs" / "00002.jpg").unlink()
    message = refused(root)
    assert str(annotation(root, "dogs", 2)) in message
    assert "1 of 4 annotations" in message


@pytest.mark.parametrize("damage", ["empty", "cut", "chunk", "text"])
def test_an_annotation_that_cannot_be_read(root: Path, damage: str) -> None:
    (dogs,) = find_sequences(root, names=["dogs"])
    path = annotation(root, "dogs", 1)
    content = path.read_bytes()
    length_of_data = content.index(b"IDAT") - 4
    bad = {
        "empty": b"",
        "cut": content[:-30],
        # The image's data end early, and what follows is no chunk.
        "chunk": content[:length_of_data] + b"\0\0\0\5IDAT" + content[length_of_data + 8 :],
        "text": b"no image",
    }
    path.write_bytes(bad[damage])
    with pytest.raises(DatasetError, match="cannot be read as an annotation") as caught:
        dogs.truth(1)
    assert str(path) in str(caught.value)


def test_a_frame_that_cannot_be_read(root: Path) -> None:
    (root / "JPEGImages" / "480p" / "bear" / "00000.jpg").write_bytes(b"no image")
    (bear,) = find_sequences(root, names=["bear"])
    with pytest.raises(VideoError, match=r"00000\.jpg"):
        bear.video()
