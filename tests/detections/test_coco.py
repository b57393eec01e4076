from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.detections.coco import CocoFile
from backend.errors import DatasetError, SettingsError
from backend.export.formats import FORMATS
from backend.export.writing import Options
from backend.tracks import Detection, Mask
from support.fake_rooms import FakeVideo
from support.labelled import LABELLED, LABELS, labelled_dataset, truth

BOX = [10, 20, 30, 15]
FOUND = (10, 20, 40, 35)
CATEGORIES = [{"id": 7, "name": "Dog"}]


def save(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1), "utf-8")
    return path


def result(image: Any = 0, **further: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": 7, "bbox": BOX, "score": 0.5, **further}


def image(number: int, name: str, **further: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": 64, "height": 48, **further}


def read(tmp_path: Path, video: FakeVideo, value: Any, images: Any = None) -> dict[int, list[Detection]]:
    named = None if images is None else save(tmp_path / "images.json", images)
    return CocoFile(save(tmp_path / "found.json", value), named).detections(video.as_reader)


def test_results_alone_count_frames_from_zero(tmp_path, video):
    found = read(tmp_path, video, [result(4), result(6, score=1), result(6, category_id=8), result(8)])
    assert found == {
        4: [Detection(FOUND, 0.5, "7")],
        6: [Detection(FOUND, 1.0, "7"), Detection(FOUND, 0.5, "8")],
        8: [Detection(FOUND, 0.5, "7")],
    }


def test_images_say_which_frame_and_categories_what_it_is(tmp_path, video):
    images = {"images": [image(100, "f_0005.jpg"), image(101, "f_0007.jpg")], "categories": CATEGORIES}
    found = read(tmp_path, video, [result(101)], images)
    # The image on which nothing was found was looked at.
    assert found == {5: [], 7: [Detection(FOUND, 0.5, "Dog")]}


def test_as_many_images_as_frames_are_the_frames_in_the_order_of_their_names(tmp_path, video):
    names = [f"{number}.jpg" for number in range(12, 0, -1)]  # from 1 on, and not in the order of the alphabet
    images = {"images": [image(index, name) for index, name in enumerate(names)]}
    found = read(tmp_path, video, [result(0), result(10)], images)
    assert {frame for frame in found if found[frame]} == {11, 1}
    assert sorted(found) == list(range(12))


def test_a_frame_index_goes_before_the_name(tmp_path, video):
    images = {"images": [image(1, "a/9.jpg", frame_index=2)]}
    assert list(read(tmp_path, video, [result(1)], images)) == [2]


def test_of_several_videos_it_is_the_one_of_that_name(tmp_path, video):
    images = {"images": [image(1, "cat/3.jpg"), image(2, "videos/dog/4.jpg")], "categories": CATEGORIES}
    assert read(tmp_path, video, [result(1), result(2)], images) == {4: [Detection(FOUND, 0.5, "Dog")]}


def test_a_file_with_annotations_of_its_own(tmp_path, video):
    annotations = [{"id": 1, "image_id": 5, "category_id": 7, "bbox": BOX, "iscrowd": 0}, result(5, iscrowd=1)]
    whole = {"images": [image(5, "3.jpg")], "categories": CATEGORIES, "annotations": annotations}
    assert read(tmp_path, video, whole) == {3: [Detection(FOUND, 1.0, "Dog")]}


@pytest.mark.parametrize(("name", "file"), [("coco", "annotations.json"), ("coco-video", "train/instances.json")])
def test_what_export_writes(tmp_path, name, file):
    dataset = labelled_dataset(None)
    (labelled,) = dataset.videos
    video = FakeVideo(labelled.length, path=tmp_path / "anything.mp4")
    video.width, video.height = labelled.size
    assert FORMATS[name].write(dataset, tmp_path, Options(pictures=None)) is not None
    found = CocoFile(tmp_path / file).detections(video.as_reader)
    assert sorted(found) == list(LABELLED)
    for frame, detections in found.items():
        expected = {LABELS[number - 1]: Mask.from_array(mask).box for number, mask in truth(frame).items()}
        assert {one.label: one.box for one in detections} == expected


VIDEOS = {"videos": [{"id": 1, "file_names": ["dog/3.jpg", "dog/5.jpg"]}]}
IMAGES = {"images": [image(1, "1.jpg")]}


@pytest.mark.parametrize(
    ("value", "images", "says"),
    [
        ("[{", None, "found.json, line 1, column 3: this is no JSON"),
        ("[" * 100_000, None, "found.json: it is nested too deeply"),
        ('[{"image_id": 1' + "0" * 5000 + "}]", None, "out of all proportion"),
        ([result(), 3], None, "line 13, column 2: [1]: Input should be an object; found 3"),
        ([result(12)], None, "line 3, column 15: [0].image_id: there is no frame 12: the video has the frames 0 to 11"),
        ([result(-1)], None, "there is no frame -1"),
        ([result("a.jpg")], None, "'a.jpg' is no frame's number"),
        ([result(True)], None, "[0].image_id"),
        ([result(bbox=[1, 2, 3])], None, "[0].bbox: List should have at least 4 items"),
        ([result(bbox=[1, 2, 0, 4])], None, "[0].bbox: the box has no size (0 x 4)"),
        ([result(bbox=[1, 2, "3", 4])], None, "[0].bbox[2]"),
        ([result(score=None)], None, "[0].score"),
        ('[{"image_id": 0, "bbox": [0, 0, NaN, 1], "score": 1}]', None, "[0].bbox[2]"),
        ([{"video_id": 1, "segmentations": []}], None, "[0].image_id: Field required"),
        ([result(9)], IMAGES, "found.json, line 3, column 15: [0].image_id: there is no image 9"),
        ([result(1)], {"images": []}, "images.json, line 2, column 12: images: it is empty"),
        ([result(1)], {"categories": []}, "it says nothing of images"),
        ([result(1)], {"images": [image(1, "cover.jpg")]}, "'cover.jpg' does not say which frame it is"),
        ([result(1)], {"images": [image(1, "12.jpg")]}, "images[0]: there is no frame 12"),
        ([result(1)], {"images": [image(1, "1.jpg"), image(1, "2.jpg")]}, "two images have the same id"),
        ([result(1)], {"images": [image(1, "1.jpg"), image(2, "1.png")]}, "images[1]: another image is frame 1 too"),
        ([result(1)], {"images": [image(1, "1.jpg", width=640)]}, "the image is 640 x 48 pixels, the video 64 x 48"),
        ([result(1)], {"images": [image(1, "a/1.jpg"), image(2, "b/1.jpg")]}, "of its videos ('a', 'b') none has"),
        ([result(1)], {**IMAGES, "categories": [{"id": "x", "name": "y"}]}, "categories[0].id"),
        ({"images": []}, None, "images: it is empty"),
        (IMAGES, None, "it has no annotations"),
        ({**VIDEOS, "annotations": [{"video_id": 1, "bboxes": [None]}]}, None, "1 boxes for the 2 frames of the video"),
        ({**VIDEOS, "annotations": [{"video_id": 2, "bboxes": []}]}, None, "there is no video 2"),
        ({**VIDEOS, "annotations": [{"video_id": 1, "bboxes": [None, [1, 2, 3]]}]}, None, "annotations[0].bboxes[1]"),
        ({"videos": [{"id": 1, "file_names": ["1.jpg"], "frame_indices": [1, 2]}]}, None, "2 for 1 images"),
        ("3", None, "the body: Input should be an object; found 3"),
    ],
)
def test_what_is_wrong_is_named_by_file_and_place(tmp_path, video, value, images, says):
    with pytest.raises(DatasetError, match=r"(found|images)\.json") as error:
        read(tmp_path, video, value, images)
    assert says in str(error.value)


def test_a_file_with_images_needs_no_other(tmp_path, video):
    with pytest.raises(SettingsError, match="has images itself"):
        read(tmp_path, video, {**IMAGES, "annotations": []}, IMAGES)


def test_the_images_file_cannot_be_read(tmp_path, video):
    with pytest.raises(DatasetError, match=r"none\.json cannot be read"):
        CocoFile(save(tmp_path / "found.json", [result()]), tmp_path / "none.json")


def test_a_file_of_several_videos_is_read_once(tmp_path, video):
    images = [image(1, "cat/3.jpg"), image(2, "videos/dog/4.jpg"), image(3, "videos/dog/6.jpg"), image(4, "bird/0.jpg")]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": BOX},
        {"id": 2, "image_id": 3, "category_id": 8, "bbox": BOX, "score": 0.25},
    ]
    file = CocoFile(save(tmp_path / "f.json", {"images": images, "annotations": annotations, "categories": CATEGORIES}))
    assert (file.names, file.labels, file.best) == (("cat", "videos/dog", "bird"), ["8", "Dog"], 1.0)
    assert file.found_in == ["cat", "videos/dog"]
    assert file.detections(video.as_reader, "cat") == {3: [Detection(FOUND, 1.0, "Dog")]}
    assert file.detections(video.as_reader, "videos/dog") == {4: [], 6: [Detection(FOUND, 0.25, "8")]}
    alone = CocoFile(save(tmp_path / "r.json", []))
    assert (alone.names, alone.labels, alone.best) == ((), [], float("-inf"))


def test_of_videos_of_one_name_the_first_one_counts(tmp_path, video):
    videos = [{"id": number, "file_names": [f"dog/{number}.jpg"]} for number in (1, 2)]
    annotations = [{"video_id": number, "category_id": 7, "bboxes": [BOX]} for number in (1, 2)]
    whole = {"videos": videos, "annotations": annotations, "categories": CATEGORIES}
    assert read(tmp_path, video, whole) == {1: [Detection(FOUND, 1.0, "Dog")]}
    assert CocoFile(tmp_path / "found.json").found_in == ["dog"]
