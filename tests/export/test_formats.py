from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from backend.errors import OutputError
from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options, Summary
from backend.tracks import Mask
from backend.video.images import ImageSequence
from backend.video.reader import VideoReader
from support.clips import read_code
from support.labelled import LABELLED, LABELS, SIZE, TRUCK, WALKER, labelled_dataset, labelled_video, make_video

EVERY = pytest.mark.parametrize("name", FORMATS)
ONLY_ANNOTATIONS = Options(pictures=None)
ANNOTATIONS = sum(2 if frame not in (4, 7) else 1 for frame in LABELLED)
NEEDING_MASKS = {"coco-video", "yolo-segment", "mots", "davis"}


def files(directory):
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def pictures(directory):
    """The frames' numbers that the pictures show, in the order of their paths; masks are none."""
    shown = []
    for path in sorted(directory.rglob("*")):
        if path.suffix in (".jpg", ".png") and not {"Annotations", "instances"} & set(path.parts):
            with Image.open(path) as image:
                assert image.size == SIZE
                shown.append(read_code(np.asarray(image)))
    return shown


def one_object(**changes):
    """A video with one box on frame 0."""
    item = LabelledObject("a", "Car", {0: (1.0, 1.0, 9.0, 9.0)})
    return dataclasses.replace(LabelledVideo("v", SIZE, 1, 10.0, [0], [item]), **changes)


# --- what every format does --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in FORMATS for kind in ("jpg", "png") if kind == "jpg" or not FORMATS[name].jpeg_only],
)
def test_the_pictures_are_the_very_frames(video, tmp_path, name, kind):
    FORMATS[name].write(labelled_dataset(video), tmp_path, Options(pictures=kind))
    assert pictures(tmp_path) == list(LABELLED)
    assert sum(path.endswith(f".{kind}") for path in files(tmp_path)) >= len(LABELLED)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_png_pictures_are_exact_and_jpeg_ones_near(video, tmp_path, kind):
    FORMATS["coco"].write(labelled_dataset(video), tmp_path, Options(pictures=kind))
    for frame in LABELLED:
        with Image.open(tmp_path / "images" / "clip" / f"{frame:06d}.{kind}") as image:
            difference = np.abs(np.asarray(image).astype(int) - video.frame(frame)).mean()
        assert difference == 0 if kind == "png" else 0 < difference < 3


@EVERY
def test_what_was_written_is_counted_and_named(video, tmp_path, name):
    steps = []
    dataset = labelled_dataset(video)
    written = FORMATS[name].write(dataset, tmp_path, advance=lambda: steps.append(1))
    assert written == Summary(videos=1, frames=len(LABELLED), objects=2, annotations=ANNOTATIONS)
    assert len(steps) == len(LABELLED)
    assert {path.name for path in tmp_path.iterdir()} == set(FORMATS[name].outputs(dataset))
    assert json.loads((tmp_path / "objects.json").read_text(encoding="utf-8")) == {
        "clip": {
            "video": "clip",
            "objects": {"1": {"id": TRUCK, "label": LABELS[0]}, "2": {"id": WALKER, "label": LABELS[1]}},
        }
    }


@EVERY
def test_the_same_again_is_the_same_and_pictures_may_be_left_out(video, tmp_path, name):
    for directory, options in (("a", None), ("b", None), ("c", ONLY_ANNOTATIONS)):
        FORMATS[name].write(labelled_dataset(video), tmp_path / directory, options)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    annotations = {path: content for path, content in files(tmp_path / "a").items() if not path.endswith(".jpg")}
    assert files(tmp_path / "c") == annotations


@EVERY
def test_an_export_can_be_cancelled(video, tmp_path, name):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) == 3

    assert FORMATS[name].write(labelled_dataset(video), tmp_path, cancelled=cancelled) is None
    assert len(pictures(tmp_path)) == 2


@EVERY
def test_names_classes_and_objects_of_all_kinds(video, tmp_path, name):
    """Videos of one name, an object that never shows, one without a class, a video without labelled frames."""
    whole = labelled_video(video)
    unnamed = LabelledObject("unnamed", None, whole.objects[0].boxes, whole.objects[0].masks)
    ghost = LabelledObject("ghost", LABELS[0], {})
    videos = [
        dataclasses.replace(whole, name="a/b", objects=[ghost, *whole.objects]),
        dataclasses.replace(whole, name="a b", objects=[unnamed]),
        dataclasses.replace(whole, name="objects.json", labelled=(5,)),
        dataclasses.replace(whole, name="none", labelled=()),
    ]
    dataset = Dataset(LABELS, videos)
    written = FORMATS[name].write(dataset, tmp_path)
    frames = 2 * len(LABELLED) + 1
    assert written == Summary(videos=3, frames=frames, objects=6, annotations=ANNOTATIONS + len(LABELLED) + 2)
    assert pictures(tmp_path) == [*LABELLED, *LABELLED, 5]
    assert {path.name for path in tmp_path.iterdir()} == set(FORMATS[name].outputs(dataset))
    meaning = json.loads((tmp_path / "objects.json").read_text(encoding="utf-8"))
    assert [entry["video"] for entry in meaning.values()] == ["a/b", "a b", "objects.json"]
    assert list(meaning)[:2] == ["a_b", "a_b_2"]
    assert meaning["a_b"]["objects"]["1"] == {"id": "ghost", "label": LABELS[0]}
    assert meaning["a_b_2"]["objects"] == {"1": {"id": "unnamed", "label": None}}


@EVERY
def test_what_shows_nothing_is_left_out_and_counted(tmp_path, name):
    mask = np.zeros(SIZE[::-1], bool)
    nothing = Mask.from_array(mask)
    mask[10:20, 10:20] = True
    something = Mask.from_array(mask)
    boxes = {0: (10.0, 10.0, 20.0, 20.0), 1: (5.0, 5.0, 5.0, 9.0), 2: (-9.0, 0.0, -1.0, 9.0), 3: (1.0, 1.0, 2.0, 2.0)}
    masks = {0: something, 1: something, 2: something, 3: nothing}
    item = LabelledObject("a", "Car", boxes, masks)
    dataset = Dataset(["Car"], [LabelledVideo("v", SIZE, 4, 10, range(4), [item])])
    written = FORMATS[name].write(dataset, tmp_path, ONLY_ANNOTATIONS)
    assert written == Summary(videos=1, frames=4, objects=1, annotations=1, left_out=3)


def test_frames_that_were_not_labelled_are_not_written(video, tmp_path):
    assert set(labelled_video(None).objects[0].boxes) > set(LABELLED)
    FORMATS["coco"].write(labelled_dataset(video), tmp_path)
    content = json.loads((tmp_path / "annotations.json").read_text(encoding="utf-8"))
    assert [image["frame_index"] for image in content["images"]] == list(LABELLED)


# --- what is refused ---------------------------------------------------------------------------


def test_what_needs_masks_is_known():
    assert {name for name, item in FORMATS.items() if item.needs_masks} == NEEDING_MASKS


@pytest.mark.parametrize("name", sorted(NEEDING_MASKS))
def test_boxes_are_not_taken_for_masks(tmp_path, name):
    whole = labelled_video(None)
    truck, walker = whole.objects
    bare = LabelledObject(WALKER, walker.label, walker.boxes, {2: walker.masks[2], 5: walker.masks[5]})
    dataset = Dataset(LABELS, [dataclasses.replace(whole, objects=[truck, bare])])
    with pytest.raises(
        OutputError, match=r"'reg \"walker\", 2' of 'clip' has a box without a mask on frame 3 and 2 more"
    ) as caught:
        FORMATS[name].write(dataset, tmp_path / "out", ONLY_ANNOTATIONS)
    assert str(caught.value).endswith("boxes can be written as coco, yolo-detect, mot")
    assert not (tmp_path / "out").exists()


@EVERY
def test_pictures_need_the_frames(tmp_path, name):
    with pytest.raises(OutputError, match=r"the frames of 'clip' are not at hand.* leave the pictures out"):
        FORMATS[name].write(labelled_dataset(None), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"length": 11}, "clip.mkv has 11 frames, but frame 11 of 'clip' was labelled"),
        ({"size": (160, 118)}, "clip.mkv is 160 x 118 pixels, but 'clip' was labelled at 161 x 119"),
    ],
)
def test_the_frames_have_to_be_those_that_were_labelled(tmp_path, changes, message):
    path = make_video(tmp_path / "clip.mkv", **changes)
    with VideoReader(path) as other, pytest.raises(OutputError, match=message):
        FORMATS["coco"].write(labelled_dataset(other), tmp_path / "out")


def test_images_in_order_are_frames_too(video, tmp_path):
    paths = []
    for index in range(len(video)):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(video.frame(index)).save(paths[-1])
    FORMATS["davis"].write(labelled_dataset(ImageSequence(paths)), tmp_path / "out")
    assert pictures(tmp_path / "out") == list(LABELLED)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Dataset([], []), "there is nothing to export"),
        (Dataset(["Car"], [one_object(objects=[])]), "there is nothing to export"),
        (Dataset(["Car"], [one_object(labelled=[])]), "there is nothing to export"),
        (Dataset(["Car"], [one_object(objects=[LabelledObject("a", "Car", {7: (0, 0, 9, 9)})])]), "nothing to export"),
        (Dataset([], [one_object()]), "object 'a' of 'v': the dataset has no class 'Car'"),
        (Dataset(["Car", "Car"], [one_object()]), "the label 'Car' is there twice"),
        (Dataset(["Car", "\ud800"], [one_object()]), "is not valid text"),
        (Dataset(["Car"], [one_object(name="\udfff")]), "is not valid text"),
        (
            Dataset(["Car"], [one_object(objects=[LabelledObject("\ud800", "Car", {0: (0, 0, 9, 9)})])]),
            r"video 'v': the id '\\ud800' is not valid text",
        ),
        (Dataset(["Car"], [one_object(size=(0, 5))]), "video 'v': a size of 0 x 5 pixels"),
        (Dataset(["Car"], [one_object(fps=0)]), "video 'v': 0 frames per second"),
        (Dataset(["Car"], [one_object(fps=float("nan"))]), "video 'v': nan frames per second"),
        (Dataset(["Car"], [one_object(labelled=[0, 0])]), "not in ascending order"),
        (Dataset(["Car"], [one_object(labelled=[0, 1])]), "frames 0 to 1 are labelled, but it has 1 frames"),
        (Dataset(["Car"], [one_object(labelled=[-1, 0])]), "frames -1 to 0 are labelled"),
        (Dataset(["Car"], [one_object(objects=2 * one_object().objects)]), "two objects have the id 'a'"),
        (
            Dataset(["Car"], [one_object(objects=[LabelledObject("a", "Car", {0: (0, 0, float("inf"), 9)})])]),
            "object 'a' of 'v', frame 0: the box .* is not finite",
        ),
        (
            Dataset(
                ["Car"],
                [
                    one_object(
                        objects=[
                            LabelledObject("a", "Car", {0: (0, 0, 9, 9)}, {0: Mask.from_array(np.ones((9, 7), bool))})
                        ]
                    )
                ],
            ),
            "object 'a' of 'v', frame 0: the mask is 7 x 9 pixels, the video 161 x 119",
        ),
    ],
)
def test_a_dataset_that_contradicts_itself_is_refused(tmp_path, dataset, message):
    with pytest.raises(OutputError, match=message):
        FORMATS["coco"].write(dataset, tmp_path / "out", ONLY_ANNOTATIONS)
    assert not (tmp_path / "out").exists()


@EVERY
@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_part_for_validation_is_a_part(tmp_path, name, share):
    with pytest.raises(OutputError, match="at least 0 and below 1"):
        FORMATS[name].write(labelled_dataset(None), tmp_path, Options(pictures=None, val=share))


def test_formats_without_parts_say_which_have_them(tmp_path):
    with pytest.raises(OutputError, match="coco knows no validation part; those that do are yolo-detect, yolo-segment"):
        FORMATS["coco"].write(labelled_dataset(None), tmp_path, Options(pictures=None, val=0.5))


@EVERY
def test_a_place_that_cannot_be_written_to(video, tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the directory out"):
        FORMATS[name].write(labelled_dataset(video), tmp_path / "file" / "out")
    (tmp_path / "taken").mkdir()
    for output in FORMATS[name].outputs(labelled_dataset(video)):
        if "." not in output:
            (tmp_path / "taken" / output).write_text("")
    with pytest.raises(OutputError, match="cannot make the directory"):
        FORMATS[name].write(labelled_dataset(video), tmp_path / "taken")
