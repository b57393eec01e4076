"""Masks drawn on images that were cut from a video, exported as masks of that video."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.export.cut import Cut, CutOptions, cut
from backend.video.reader import VideoReader
from support.clips import coded_frames, make_clip, read_code
from support.exports import brush_region, rectangle_region, task, write_export

VARYING = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]
TAKEN = [2, 4, 6, 8, 10]
WIDTH, HEIGHT = 80, 60


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Cut:
    """Every other frame of a clip of a variable rate, from 0.2 s on, at half its size."""
    directory = tmp_path_factory.mktemp("cut")
    clip = make_clip(directory / "street.mp4", coded_frames(len(VARYING)), timestamps=VARYING)
    with VideoReader(clip) as video:
        made = cut(video, directory / "out" / "street", CutOptions(every=2, start=0.2, max_side=WIDTH))
    assert made is not None
    assert made.video.indices == TAKEN
    return made


def mask(index: int) -> np.ndarray:
    """Where the first object is on a frame of the video: it moves by two pixels a frame."""
    pixels = np.zeros((HEIGHT, WIDTH), bool)
    pixels[20:30, 10 + 2 * index : 24 + 2 * index] = True
    return pixels


def addresses(found: Cut, upload: bool = False) -> list[str]:
    root = found.directory.parents[1]
    if upload:
        return [f"/data/upload/3/0a1b2c3d-{path.name}" for path in found.files]
    return [f"/data/local-files/?d={path.relative_to(root)}" for path in found.files]


def regions() -> list[dict]:
    """One object on three images, as one, each region with an id of its own, and one on a single image."""
    same = {"meta": {"track_id": 7}}
    first = [brush_region(f"a{at}", at, mask(TAKEN[at])) | same for at in (0, 1, 4)]
    return [*first, brush_region("b", 3, mask(0), "Person")]


def export(found: Cut, out: Path, result: list[dict], formats: str, *options: str, upload: bool = False) -> Path:
    source = write_export(
        out.with_suffix(".json"), [task(9, found.video.task_data("frames", addresses(found, upload)), result)]
    )
    arguments = ["--media", str(found.directory), "--format", formats, "--out", str(out), *options]
    assert main(["export", str(source), *arguments]) == 0
    return out


def test_davis_has_the_videos_own_frame_numbers(found, tmp_path):
    out = export(found, tmp_path / "out", regions(), "davis") / "davis"
    pictures = sorted((out / "JPEGImages" / "480p" / "9-street").iterdir())
    assert [path.name for path in pictures] == [f"{index:05d}.jpg" for index in TAKEN]
    assert [read_code(np.array(Image.open(path))) for path in pictures] == TAKEN
    drawn = {index: np.array(Image.open(out / "Annotations/480p/9-street" / f"{index:05d}.png")) for index in TAKEN}
    for index in TAKEN:
        assert np.array_equal(drawn[index] == 1, mask(index) if index in (2, 4, 10) else np.zeros((HEIGHT, WIDTH)))
        assert np.array_equal(drawn[index] == 2, mask(0) if index == 8 else np.zeros((HEIGHT, WIDTH)))
    assert json.loads((out / "objects.json").read_text())["9-street"]["objects"] == {
        "1": {"id": "track:7", "label": "Car"},
        "2": {"id": "b", "label": "Person"},
    }


def test_coco_has_the_decode_indices(found, tmp_path):
    out = export(found, tmp_path / "out", regions(), "coco,coco-video")
    images = json.loads((out / "coco" / "annotations.json").read_text())["images"]
    assert [image["frame_index"] for image in images] == TAKEN
    (video,) = json.loads((out / "coco-video" / "train" / "instances.json").read_text())["videos"]
    assert video["frame_indices"] == TAKEN


def test_mots_and_mot_count_on_and_say_which_frames_those_are(found, tmp_path):
    out = export(found, tmp_path / "out", regions(), "mots,mot")
    for name in ("mots", "mot"):
        frames = (out / name / "9-street" / "frames.csv").read_text().split()[1:]
        assert [tuple(map(int, line.split(","))) for line in frames] == list(enumerate(TAKEN, start=1))
    rows = [line.split(",") for line in (out / "mot/9-street/gt/gt.txt").read_text().split()]
    assert [(int(row[0]), int(row[1]), float(row[2])) for row in rows] == [
        (1, 1, 15.0),
        (2, 1, 19.0),
        (4, 2, 11.0),
        (5, 1, 31.0),
    ]
    # Four steps from 0.2 s to 1.7 s, in whole numbers; the clip itself has six a second.
    assert "frameRate=3\n" in (out / "mot/9-street/seqinfo.ini").read_text()


def test_boxes_are_on_the_videos_frames_too(found, tmp_path):
    boxes = [rectangle_region("r", at, (WIDTH, HEIGHT), (10, 20, 30, 40), "Car") for at in (1, 2)]
    out = export(found, tmp_path / "out", boxes, "coco")
    document = json.loads((out / "coco" / "annotations.json").read_text())
    frames = {image["id"]: image["frame_index"] for image in document["images"]}
    assert [frames[item["image_id"]] for item in document["annotations"]] == [4, 6]
    assert document["annotations"][0]["bbox"] == [8, 12, 24, 24]


def test_uploaded_frames_are_found_by_their_names_and_none_is_needed_for_masks_alone(found, tmp_path):
    served = export(found, tmp_path / "a", regions(), "davis")
    uploaded = export(found, tmp_path / "b", regions(), "davis", upload=True)
    names = sorted(path.relative_to(served) for path in served.rglob("*") if path.is_file())
    assert all((served / name).read_bytes() == (uploaded / name).read_bytes() for name in names)
    source = write_export(tmp_path / "c.json", [task(9, found.video.task_data("frames", addresses(found)), regions())])
    out = tmp_path / "c"
    assert main(["export", str(source), "--format", "coco", "--pictures", "none", "--out", str(out)]) == 0
    images = json.loads((out / "coco" / "annotations.json").read_text())["images"]
    assert [(image["frame_index"], image["width"]) for image in images] == [(index, WIDTH) for index in TAKEN]


def test_a_video_without_any_object_is_all_negatives(found, tmp_path):
    data = found.video.task_data("frames", addresses(found))
    source = write_export(tmp_path / "t.json", [task(8, data, []), task(9, data, regions())])
    arguments = ["--media", str(found.directory), "--format", "coco", "--out", str(tmp_path / "out")]
    assert main(["export", str(source), *arguments]) == 0
    document = json.loads((tmp_path / "out" / "coco" / "annotations.json").read_text())
    images = {image["id"]: (image["video"], image["frame_index"]) for image in document["images"]}
    assert list(images.values()) == [(name, index) for name in ("8-street", "9-street") for index in TAKEN]
    assert {images[item["image_id"]][0] for item in document["annotations"]} == {"9-street"}


def test_a_task_that_contradicts_itself_is_refused(found, tmp_path, capsys):
    data = found.video.task_data("frames", addresses(found)) | {"indices": TAKEN[:-1]}
    source = write_export(tmp_path / "t.json", [task(9, data, regions())])
    arguments = ["--media", str(found.directory), "--format", "coco", "--out", str(tmp_path / "out")]
    assert main(["export", str(source), *arguments]) == 2
    assert "task 9: [0].data.indices: 4 of them for 5 images; cut the video anew" in capsys.readouterr().err
