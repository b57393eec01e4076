from __future__ import annotations

import json

import numpy as np
import trackeval
from pycocotools import mask as coco

from backend.export.dataset import Dataset, LabelledObject, LabelledVideo
from backend.export.formats import FORMATS
from backend.export.writing import Options
from backend.tracks import Mask
from support.labelled import LABELLED, LABELS, SIZE, TRUCK, WALKER, labelled_dataset, labelled_video, truth

ONLY_ANNOTATIONS = Options(pictures=None)


def export(dataset, directory):
    assert FORMATS["coco-video"].write(dataset, directory, ONLY_ANNOTATIONS) is not None
    return json.loads((directory / "train" / "instances.json").read_text(encoding="utf-8"))


def load(content):
    """As YouTube-VIS's loaders do: ``{video id: {annotation id: [mask or None by frame]}}``."""
    videos = {video["id"]: video for video in content["videos"]}
    loaded = {number: {} for number in videos}
    for annotation in content["annotations"]:
        video = videos[annotation["video_id"]]
        assert len(annotation["segmentations"]) == len(annotation["bboxes"]) == len(video["file_names"])
        assert (annotation["height"], annotation["width"]) == (video["height"], video["width"])
        loaded[annotation["video_id"]][annotation["id"]] = [
            None if one is None else coco.decode(coco.frPyObjects(one, video["height"], video["width"])).astype(bool)
            for one in annotation["segmentations"]
        ]
    return loaded


def test_masks_and_boxes_come_back_exactly(tmp_path):
    content = export(labelled_dataset(None), tmp_path)
    (video,) = content["videos"]
    assert video["length"] == len(LABELLED)
    assert video["file_names"] == [f"clip/{frame:05d}.jpg" for frame in LABELLED]
    loaded = load(content)[1]
    assert list(loaded) == [1, 2]
    for position, frame in enumerate(LABELLED):
        expected = truth(frame)
        for annotation in content["annotations"]:
            number = annotation["id"]
            mask = loaded[number][position]
            if number not in expected:
                assert mask is annotation["bboxes"][position] is annotation["areas"][position] is None
                continue
            np.testing.assert_array_equal(mask, expected[number])
            rows, columns = mask.nonzero()
            x, y, width, height = annotation["bboxes"][position]
            assert (x, y, width, height) == (
                columns.min(),
                rows.min(),
                np.ptp(columns) + 1,
                np.ptp(rows) + 1,
            )
            assert annotation["areas"][position] == mask.sum()
    assert [one["attributes"]["region_id"] for one in content["annotations"]] == [TRUCK, WALKER]
    assert [one["category_id"] for one in content["annotations"]] == [1, 2]
    assert [category["name"] for category in content["categories"]] == list(LABELS)


def test_ids_are_unique_over_videos_and_count_objects_that_never_show(tmp_path):
    full = labelled_video(None, name="a")
    ghost = LabelledObject("ghost", LABELS[0], {})
    first = LabelledVideo("a", SIZE, full.length, 10, LABELLED, [full.objects[0], ghost, full.objects[1]])
    content = export(Dataset(LABELS, [first, labelled_video(None, name="b")]), tmp_path)
    found = [(one["id"], one["video_id"], one["track_id"]) for one in content["annotations"]]
    assert found == [(1, 1, 1), (3, 1, 3), (4, 2, 1), (5, 2, 2)]


def test_a_mask_that_begins_in_the_first_pixel(tmp_path):
    mask = np.zeros(SIZE[::-1], bool)
    mask[:3, :2] = True
    item = LabelledObject("a", LABELS[0], {0: (0, 0, 2, 3)}, {0: Mask.from_array(mask)})
    content = export(Dataset(LABELS, [LabelledVideo("v", SIZE, 1, 10, [0], [item])]), tmp_path)
    np.testing.assert_array_equal(load(content)[1][1][0], mask)


def test_trackeval_finds_the_export_perfect(tmp_path):
    """TrackEval's reader takes the ground truth as it is, and results that were scored."""
    content = export(labelled_dataset(None), tmp_path / "export")
    truths, results = tmp_path / "gt" / "youtube_vis_all", tmp_path / "results" / "youtube_vis_all" / "us" / "data"
    truths.mkdir(parents=True)
    results.mkdir(parents=True)
    (truths / "instances.json").write_text(json.dumps(content))
    encoded = [
        {
            "video_id": one["video_id"],
            "category_id": one["category_id"],
            "score": 1.0,
            "segmentations": [
                None if mask is None else {"size": list(SIZE[::-1]), "counts": Mask.from_array(mask).counts.decode()}
                for mask in masks
            ],
        }
        for one, masks in zip(content["annotations"], load(content)[1].values(), strict=True)
    ]
    (results / "results.json").write_text(json.dumps(encoded))
    dataset = trackeval.datasets.YouTubeVIS(
        {
            "GT_FOLDER": f"{tmp_path / 'gt'}/",
            "TRACKERS_FOLDER": f"{tmp_path / 'results'}/",
            "SPLIT_TO_EVAL": "all",
            "PRINT_CONFIG": False,
        }
    )
    raw = dataset.get_raw_seq_data("us", "clip")
    for name in LABELS:
        data = dataset.get_preprocessed_seq_data(raw, name)
        assert data["num_gt_dets"] == sum(LABELS.index(name) + 1 in truth(frame) for frame in LABELLED)
        scores = trackeval.metrics.HOTA({"PRINT_CONFIG": False}).eval_sequence(data)
        assert scores["HOTA"].min() == 1.0
