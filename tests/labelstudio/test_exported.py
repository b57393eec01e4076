"""Which annotation of an exported task counts, and what is no export of tasks."""

from __future__ import annotations

import pytest

from backend.errors import PayloadError
from backend.labelstudio.exported import parse_task, parse_tasks
from support.exports import annotation, task, video_region

DATA = {"video": "/data/upload/1/0a1b2c3d-clip.mp4"}
OLD, NEW = "2026-01-01T10:00:00.000000Z", "2026-01-02T09:00:00.000000Z"


def counted(*annotations: dict) -> str | None:
    found = parse_task({"id": 7, "data": DATA, "annotations": list(annotations)}, "[3]", 4).annotation
    return None if found is None else found.path


def test_the_annotation_that_was_updated_last_counts():
    assert counted(annotation([], updated_at=NEW), annotation([], updated_at=OLD)) == "[3].annotations[0].result"
    assert counted(annotation([], updated_at=OLD), annotation([], updated_at=NEW)) == "[3].annotations[1].result"


def test_of_two_alike_the_later_in_the_list_counts():
    assert counted(annotation([]), annotation([])) == "[3].annotations[1].result"
    assert counted(annotation([], updated_at=None), annotation([], updated_at="never")) == "[3].annotations[1].result"


def test_times_are_compared_with_their_zones():
    """Half past nine in Paris is before nine in Greenwich; a time without a zone is Greenwich's."""
    paris, greenwich = "2026-01-02T09:30:00+01:00", "2026-01-02T09:00:00"
    assert (
        counted(annotation([], updated_at=greenwich), annotation([], updated_at=paris)) == "[3].annotations[0].result"
    )


def test_a_ground_truth_counts_before_a_newer_one():
    older = annotation([], updated_at=OLD, ground_truth=True)
    assert counted(older, annotation([], updated_at=NEW)) == "[3].annotations[0].result"


def test_skipped_annotations_do_not_count():
    skipped = annotation([], updated_at=NEW, was_cancelled=True, ground_truth=True)
    assert counted(skipped, annotation([], updated_at=OLD)) == "[3].annotations[1].result"
    assert counted(skipped) is None
    assert counted() is None


def test_the_newest_prediction():
    predictions = [{"result": [], "created_at": NEW}, {"result": [], "created_at": OLD}]
    found = parse_task({"id": 7, "data": DATA, "predictions": predictions}, "[3]", 4)
    assert found.annotation is None
    assert found.prediction.path == "[3].predictions[0].result"
    assert not found.hidden_predictions
    assert parse_task({"id": 7, "data": DATA, "predictions": [3, 5]}, "", 1).hidden_predictions


def test_a_result_of_null_is_an_empty_one():
    found = parse_task({"data": DATA, "annotations": [annotation([]) | {"result": None}]}, "", 2)
    assert list(found.annotation.result) == []
    assert found.annotation.path == "annotations[0].result"
    assert (found.id, found.name, found.place) == (None, "2", "the task at the top")


def test_a_list_and_a_single_task():
    single = task(5, DATA, [video_region("a", [])])
    assert [(item.name, item.path) for item in parse_tasks(single)] == [("5", "")]
    without_id = {"data": DATA}
    assert [(item.name, item.place) for item in parse_tasks([single, without_id])] == [
        ("5", "task 5"),
        ("2", "the task at [1]"),
    ]
    assert list(parse_tasks([])) == []


@pytest.mark.parametrize(
    ("document", "message", "path"),
    [
        (3, "expected a list of tasks, found int", ""),
        ([3], r"^\[0\]: Input should be an object; found 3", "[0]"),
        ([{"id": 1}], r"\[0\]: there is no task: it has no data", "[0]"),
        ([{"video": "x", "box": [], "annotation_id": 3}], "JSON-MIN.*choose the export format", "[0]"),
        ({"images": [], "annotations": []}, "COCO", ""),
        ([task(1, DATA, None) | {"data": []}], r"\[0\]\.data: Input should be an object", "[0].data"),
        ([task(1, DATA, None) | {"id": {}}], r"\[0\]\.id: Input should be a valid string", "[0].id"),
        ([task(1, DATA, None) | {"id": True}], r"\[0\]\.id: Input should be a valid string", "[0].id"),
        (
            [{"id": 1, "data": DATA}, {"id": 2, "data": DATA, "annotations": 3}],
            r"\[1\]\.annotations",
            "[1].annotations",
        ),
        (
            [task(1, DATA, None) | {"annotations": [{"id": 3}]}],
            r"task 1: \[0\]\.annotations\[0\]\.result: Field required",
            "[0].annotations[0].result",
        ),
        (
            [task(1, DATA, None) | {"annotations": [annotation([], updated_at=5)]}],
            r"\[0\]\.annotations\[0\]\.updated_at.*found 5",
            "[0].annotations[0].updated_at",
        ),
    ],
)
def test_what_is_no_export_is_refused_by_its_place(document, message, path):
    with pytest.raises(PayloadError, match=message) as caught:
        list(parse_tasks(document))
    assert caught.value.path == path
