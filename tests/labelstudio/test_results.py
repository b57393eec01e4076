"""Regions of videos and pictures in a result."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from backend.errors import PayloadError
from backend.labelstudio.results import parse_results
from support.exports import brush_region, keyframe, picture_item, rectangle_region, video_region

MASK = np.zeros((30, 40), bool)
MASK[5:10, 8:20] = True
SIZE = (40, 30)


def test_a_video_region():
    region = video_region("a", [keyframe(9), keyframe(2), keyframe(9, x=50)], framesCount=60, duration=6, extra=1)
    (found,) = parse_results([region], "result").videos
    assert (found.id, found.labels, found.target) == ("a", ("Car",), "video")
    assert [(item["frame"], item["x"]) for item in found.items] == [(2, 10), (9, 10)]
    assert (found.frame_count, found.duration, found.path) == (60, 6, "result[0]")
    assert found.last_path == "result[0].value.sequence[0].frame"


def test_a_brush_and_a_rectangle():
    brush = brush_region("b", 3, MASK, meta={"track_id": 7})
    rectangle = rectangle_region("r", 1, SIZE, (10, 20, 50, 40), "Bus")
    results = parse_results([brush, rectangle], "[0].annotations[1].result")
    first, second = results.pictures
    assert (first.id, first.labels, first.index, first.size, first.track_id) == ("b", ("Car",), 3, SIZE, "7")
    assert np.array_equal(first.mask(), MASK)
    assert first.box is None
    assert (second.labels, second.index, second.track_id, second.mask()) == (("Bus",), 1, None, None)
    assert second.box == pytest.approx((4, 6, 24, 18))
    assert not second.rotated


def test_a_rotated_rectangle_is_the_upright_box_around_it():
    """A quarter turn clockwise about the top left corner (20, 6) of a box of 8 x 6 pixels."""
    rectangle = rectangle_region("r", 0, SIZE, (50, 20, 20, 20), "Bus")
    rectangle["value"]["rotation"] = 90
    (found,) = parse_results([rectangle], "result").pictures
    assert found.rotated
    assert found.box == pytest.approx((14, 6, 20, 14))


def test_labels_that_stand_in_an_item_of_their_own():
    value = {"x": 0, "y": 0, "width": 10, "height": 10, "rotation": 0}
    drawn = picture_item("r", "rectangle", 0, SIZE, value)
    labelled = picture_item("r", "labels", 0, SIZE, value | {"labels": ["Bus"]})
    results = parse_results([labelled, drawn], "result")
    assert [region.labels for region in results.pictures] == [("Bus",)]
    assert results.others == {}


def test_what_is_neither_is_counted():
    others = [
        {"type": "choices", "id": "a", "value": {}},
        {"type": "polygonlabels", "id": "b"},
        {"type": "choices"},
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    results = parse_results(others, "result", {"polygonlabels"})
    assert (results.videos, results.pictures) == ((), ())
    assert results.others == {"choices": 2, "polygonlabels": 1, "relation": 1}


def test_types_that_are_left_aside_are_not_looked_at():
    results = parse_results([VIDEO, broken(BRUSH, "value.rle", 3)], "result", {"brushlabels", "videorectangle"})
    assert (results.videos, results.pictures) == ((), ())
    assert results.others == {"brushlabels": 1, "videorectangle": 1}


def broken(region: dict, path: str, value: object = None) -> dict:
    """The region with another value at a path, or without it."""
    changed = copy.deepcopy(region)
    *parents, last = path.split(".")
    place = changed
    for name in parents:
        place = place[int(name) if name.isdecimal() else name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return changed


VIDEO = video_region("a", [keyframe(1), keyframe(5)])
BRUSH = brush_region("b", 0, MASK)
RECTANGLE = rectangle_region("r", 0, SIZE, (10, 20, 50, 40), "Bus")


@pytest.mark.parametrize(
    ("region", "path", "message"),
    [
        (broken(VIDEO, "value.sequence.1.x", "left"), "value.sequence[1].x", "valid number; found 'left'"),
        (broken(VIDEO, "value.sequence.1.x", True), "value.sequence[1].x", "valid number"),
        (broken(VIDEO, "value.sequence.1.width"), "value.sequence[1].width", "Field required"),
        (broken(VIDEO, "value.sequence.0.frame", 1.5), "value.sequence[0].frame", "valid integer"),
        (broken(VIDEO, "value.sequence.0.y", float("nan")), "value.sequence[0].y", "finite"),
        (broken(VIDEO, "value.sequence.0.y", 1e300), "value.sequence[0].y", "less than"),
        (broken(VIDEO, "value.sequence.1.frame", 0), "value.sequence[1].frame", "greater than or equal to 1"),
        (broken(VIDEO, "value.sequence.1.height", -1), "value.sequence[1].height", "greater than or equal to 0"),
        (broken(VIDEO, "type", "videovector"), "type", "'videovector' cannot be exported.*--ignore videovector"),
        (broken(VIDEO, "type"), "type", "a result says of which type it is"),
        (broken(VIDEO, "value.sequence"), "value.sequence", "Field required"),
        (broken(VIDEO, "value.labels", "Car"), "value.labels", "valid list"),
        (broken(VIDEO, "id"), "id", "Field required"),
        (broken(BRUSH, "value.format", "png"), "value.format", "'rle'"),
        (broken(BRUSH, "value.rle", "AAA"), "value.rle", "valid list"),
        (broken(BRUSH, "original_width"), "original_width", "Field required"),
        (broken(BRUSH, "item_index", -1), "item_index", "greater than or equal to 0"),
        (broken(BRUSH, "image_rotation", 90), "image_rotation", "turned by 90 degrees"),
        (broken(RECTANGLE, "value.width", -1), "value.width", "greater than or equal to 0"),
        (broken(RECTANGLE, "value.height"), "value.height", "Field required"),
        (broken(RECTANGLE, "original_height", 10**400), "original_height", "less than"),
        (broken(RECTANGLE, "value.rectanglelabels", [3]), "value.rectanglelabels[0]", "valid string"),
    ],
)
def test_a_wrong_region_is_refused_with_its_path(region, path, message):
    with pytest.raises(PayloadError, match=message) as caught:
        parse_results([VIDEO | {"id": "other"}, region], "[4].annotations[0].result")
    assert caught.value.path == f"[4].annotations[0].result[1].{path}"
    assert str(caught.value).startswith(caught.value.path)


def test_a_wrong_brush_is_refused_when_it_is_decoded():
    (found,) = parse_results([broken(BRUSH, "value.rle", [1, 2, 3])], "result").pictures
    with pytest.raises(PayloadError, match="ends within 3 bytes") as caught:
        found.mask()
    assert caught.value.path == "result[0].value.rle"


def test_a_region_that_occurs_twice_is_refused():
    with pytest.raises(PayloadError, match="region 'a' occurs twice") as caught:
        parse_results([VIDEO, VIDEO], "result")
    assert caught.value.path == "result[1].id"
