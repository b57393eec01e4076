"""Marks on pictures: what the browser sends, and what goes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter import brush as sdk

from backend.errors import PayloadError
from backend.labelstudio.brush import encode_mask
from backend.labelstudio.picture_config import parse_picture_config
from backend.labelstudio.picture_marks import Marks, mask_region, named, parse_marks
from backend.tracks import Point

CONFIG = parse_picture_config(
    (Path(__file__).parents[2] / "labelstudio_config" / "frames_masks.xml").read_text("utf-8")
)
COUNT = 5


def item(kind: str, name: str, value: dict[str, Any], **more: Any) -> dict[str, Any]:
    place = {"original_width": 640, "original_height": 360, "image_rotation": 0, "item_index": 2, "id": "9P8YKRz7A6"}
    return {**place, "value": value, "from_name": name, "to_name": "img", "type": kind, "origin": "manual", **more}


def click(x: float = 10.0, y: float = 50.0, label: str = "Car", **more: Any) -> dict[str, Any]:
    """As Label Studio 1.23.2 sent one."""
    value = {"x": x, "y": y, "width": 0.22, "labels": [label], "keypointlabels": [label]}
    return item("keypointlabels", "click", value, **{"is_positive": True, **more})


def brush(mask: Any = None, **more: Any) -> dict[str, Any]:
    drawn = np.zeros((360, 640), bool) if mask is None else mask
    return item("brushlabels", "brush", {"format": "rle", "rle": encode_mask(drawn), "brushlabels": ["Car"]}, **more)


def parse(*result: dict[str, Any]) -> Marks:
    return parse_marks(list(result), CONFIG, COUNT)


def square() -> np.ndarray[Any, Any]:
    mask = np.zeros((360, 640), bool)
    mask[100:200, 300:420] = True
    mask[140:160, 340:360] = False  # a hole
    mask[10:14, 10:14] = True  # a part of its own
    return mask


def test_clicks_are_pixels_and_tell_what_is_not_the_object() -> None:
    here, beside = parse(click(), click(20.0, 25.0, is_positive=False, id="b")).points
    assert (here.id, here.label, here.index, here.size) == ("9P8YKRz7A6", "Car", 2, (640, 360))
    assert here.point == Point(64.0, 180.0)
    assert beside.point == Point(128.0, 90.0, positive=False)


def test_a_box_is_upright_pixels() -> None:
    value = {"x": 25.0, "y": 25.0, "width": 50.0, "height": 50.0, "rotation": 0, "rectanglelabels": ["Person"]}
    (box,) = parse(item("rectanglelabels", "box", value)).boxes
    assert (box.label, box.index, box.box) == ("Person", 2, (160.0, 90.0, 480.0, 270.0))


def test_a_mask_with_holes_and_several_parts() -> None:
    (mark,) = parse(brush(square())).masks
    assert np.array_equal(mark.mask(), square())


def test_a_painted_mask_of_a_draft_is_strokes_over_what_was_there() -> None:
    stroke = {"type": "add", "relativePoints": [0.0, 50.0, 100.0, 50.0], "relativeStrokeWidth": 2.0, "points": []}
    eraser = {**stroke, "type": "eraser", "relativePoints": [60.0, 40.0, 60.0, 40.0]}
    raw = brush(square())
    raw["value"]["touches"] = [stroke, eraser]
    (mark,) = parse(raw).masks
    mask = mark.mask()
    assert mask[180, :].all() and mask[11, 11] and not mask[144, 384]
    back = named(mark)["value"]
    assert "touches" not in back and back["brushlabels"] == ["Car"]
    assert np.array_equal(sdk.decode_rle(back["rle"]).reshape(360, 640, 4)[:, :, 3] > 0, mask)


def test_painted_strokes_alone() -> None:
    raw = item("brushlabels", "brush", {"format": "rle", "brushlabels": ["Car"]})
    raw["value"]["touches"] = [{"relativePoints": [50.0, 50.0, 50.0, 50.0], "relativeStrokeWidth": 10.0}]
    (mark,) = parse(raw).masks
    assert mark.mask()[180, 320]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"meta": {"track_id": 7}, "id": "x"}, "7"),
        ({"meta": {"track_id": "car"}, "id": "x"}, "car"),
        ({"id": "abc-2"}, "abc"),
        ({"id": "abc-3"}, "abc-3"),
        ({"id": "-2"}, "-2"),
        ({"id": "abc", "meta": {"text": ["x"]}}, "abc"),
    ],
)
def test_whose_mask_it_is(more: dict[str, Any], expected: str) -> None:
    (mark,) = parse(brush(**more)).masks
    assert mark.object_id == expected


def test_a_click_with_track_asks_for_tracking() -> None:
    marks = parse(click(label="Track"), click(label="Track", item_index=3))
    assert (marks.track, marks.asked_at, marks.points) == ("forward", 3, ())


def test_all_else_is_left_aside() -> None:
    choice = item("choices", "note", {"choices": ["x"]})
    elsewhere = {**click(), "to_name": "other"}
    assert parse(choice, elsewhere, {"type": "relation", "from_id": "a"}) == Marks()
    assert parse_marks(None, CONFIG, COUNT) == Marks()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (click(item_index=5), r"\[0\].item_index: there is no picture 5: the task has 5"),
        (click(image_rotation=90), r"\[0\].image_rotation: the picture was turned by 90 degrees"),
        (click(original_width=0), r"\[0\].original_width"),
        (click(original_height=10**400), r"\[0\].original_height"),
        (click(x=float("nan")), r"\[0\].value.x"),
        (click(is_positive="yes"), r"\[0\].is_positive"),
        (item("rectanglelabels", "box", {"x": 1.0, "y": 1.0, "width": -1.0, "height": 2.0}), r"value.width"),
        (item("brushlabels", "brush", {"format": "png"}), r"value.format"),
    ],
)
def test_what_is_wrong_is_refused_with_its_path(raw: dict[str, Any], message: str) -> None:
    with pytest.raises(PayloadError, match=r"context.result" + message if message[0] == "\\" else message):
        parse(raw)


def test_the_same_region_twice_is_refused() -> None:
    with pytest.raises(PayloadError, match="occurs twice"):
        parse(brush(), brush())


def test_what_is_no_mask_is_refused_when_it_is_looked_at() -> None:
    raw = brush()
    raw["value"]["rle"] = [1, 2, 3]
    (mark,) = parse(raw).masks
    with pytest.raises(PayloadError, match=r"context.result\[0\].value.rle"):
        mark.mask()


def test_what_goes_back_is_read_again_as_the_same_mask_of_the_same_object() -> None:
    sent = mask_region("abc", 2, square(), "Car", CONFIG, score=0.5, texts=["by clicks"])
    assert (sent["id"], sent["item_index"], sent["meta"]) == ("abc-2", 2, {"track_id": "abc", "text": ["by clicks"]})
    (mark,) = parse(sent).masks
    assert (mark.object_id, mark.label, mark.size) == ("abc", "Car", (640, 360))
    assert np.array_equal(mark.mask(), square())


def test_a_mask_comes_back_untouched_but_for_the_name_of_its_object() -> None:
    raw = brush(square(), meta={"text": ["mine"]})
    (mark,) = parse(raw).masks
    assert named(mark) == {**raw, "meta": {"text": ["mine"], "track_id": "9P8YKRz7A6"}}
