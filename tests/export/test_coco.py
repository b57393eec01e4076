from __future__ import annotations

import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options
from support.labelled import LABELLED, LABELS, SIZE, TRUCK, WALKER, labelled_dataset, labelled_video, truth

ONLY_ANNOTATIONS = Options(pictures=None)


def export(dataset, directory):
    assert FORMATS["coco"].write(dataset, directory, ONLY_ANNOTATIONS) is not None
    return COCO(directory / "annotations.json")


def test_masks_and_boxes_come_back_exactly(tmp_path):
    coco = export(labelled_dataset(None), tmp_path)
    assert [(image["frame_index"], image["width"], image["height"]) for image in coco.dataset["images"]] == [
        (frame, *SIZE) for frame in LABELLED
    ]
    for image in coco.dataset["images"]:
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
        expected = truth(image["frame_index"])
        assert [annotation["track_id"] for annotation in annotations] == list(expected)
        for annotation in annotations:
            mask = coco.annToMask(annotation).astype(bool)
            np.testing.assert_array_equal(mask, expected[annotation["track_id"]])
            rows, columns = mask.nonzero()
            x, y, width, height = annotation["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
            assert annotation["area"] == mask.sum()
            assert annotation["iscrowd"] == 0


def test_classes_ids_and_names(tmp_path):
    coco = export(labelled_dataset(None), tmp_path)
    assert [(category["id"], category["name"]) for category in coco.dataset["categories"]] == [
        (1, LABELS[0]),
        (2, LABELS[1]),
    ]
    assert {
        (annotation["track_id"], annotation["category_id"], annotation["attributes"]["region_id"])
        for annotation in coco.dataset["annotations"]
    } == {(1, 1, TRUCK), (2, 2, WALKER)}
    ids = [annotation["id"] for annotation in coco.dataset["annotations"]]
    assert ids == list(range(1, 2 * len(LABELLED) - 1))
    assert [image["file_name"] for image in coco.dataset["images"]][:2] == ["clip/000002.jpg", "clip/000003.jpg"]


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_the_export_evaluated_against_itself_is_perfect(tmp_path, kind):
    coco = export(labelled_dataset(None), tmp_path)
    results = [{**annotation, "score": 0.9} for annotation in coco.dataset["annotations"]]
    evaluation = COCOeval(coco, coco.loadRes(json.loads(json.dumps(results))), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == 1.0


def test_boxes_alone_have_no_segmentation_and_end_at_the_border(tmp_path):
    coco = export(labelled_dataset(None, masks=False), tmp_path)
    by_frame = {
        coco.imgs[annotation["image_id"]]["frame_index"]: annotation
        for annotation in coco.dataset["annotations"]
        if annotation["track_id"] == 1
    }
    assert by_frame[2]["bbox"] == [0, 30.5, 60, 60.5]  # drawn from x = -3.25
    assert by_frame[2]["area"] == 60 * 60.5
    assert by_frame[7]["bbox"] == [1.75, 30.5, 58.25, 60.5]
    assert all(annotation["segmentation"] == [] for annotation in coco.dataset["annotations"])
    evaluation = COCOeval(coco, coco, "bbox")
    for annotation in coco.dataset["annotations"]:
        annotation["score"] = 1.0
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[0] == 1.0


def test_several_videos_share_one_file(tmp_path):
    videos = [labelled_video(None, name="a", labelled=(1, 2)), labelled_video(None, name="b", labelled=(0, 5))]
    coco = export(Dataset(LABELS, videos), tmp_path)
    images = coco.dataset["images"]
    assert [(image["id"], image["video"], image["frame_index"]) for image in images] == [
        (1, "a", 1),
        (2, "a", 2),
        (3, "b", 0),
        (4, "b", 5),
    ]
    assert len(coco.anns) == 8


def test_an_object_without_a_class_is_an_object(tmp_path):
    boxes = {0: (1.0, 2.0, 5.0, 8.0)}
    objects = [LabelledObject("a", None, boxes), LabelledObject("b", "Car", boxes)]
    dataset = Dataset(["Car", "Bus"], [LabelledVideo("v", SIZE, 1, 25, [0], objects)])
    coco = export(dataset, tmp_path / "a")
    assert [category["name"] for category in coco.dataset["categories"]] == ["Car", "Bus", "object"]
    assert [annotation["category_id"] for annotation in coco.dataset["annotations"]] == [3, 1]
    known = Dataset(["object", "Car"], dataset.videos)
    coco = export(known, tmp_path / "b")
    assert [category["name"] for category in coco.dataset["categories"]] == ["object", "Car"]
