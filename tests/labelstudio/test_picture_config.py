"""Labeling configurations for pictures in their order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.config import VideoConfig
from backend.labelstudio.picture_config import PictureConfig, direction_of, parse_picture_config, read_config

CONFIGS = Path(__file__).parents[2] / "labelstudio_config"
IMAGE = '<Image name="img" valueList="$frames"/>'
BRUSH = '<BrushLabels name="brush" toName="img"><Label value="Car"/><Label value="Dog"/></BrushLabels>'


def test_the_recommended_configuration() -> None:
    config = parse_picture_config((CONFIGS / "frames_masks.xml").read_text("utf-8"))
    assert (config.image_name, config.frames_key, config.brush_name) == ("img", "frames", "brush")
    assert (config.clicks_names, config.boxes_names) == (("click",), ("box",))
    assert {"Car", "Person"} <= set(config.labels)
    assert config.commands == {"Track": "forward"}


def test_which_of_the_two_kinds_a_configuration_is() -> None:
    assert isinstance(read_config((CONFIGS / "frames_masks.xml").read_text("utf-8")), PictureConfig)
    assert isinstance(read_config((CONFIGS / "video_boxes.xml").read_text("utf-8")), VideoConfig)


def test_other_names_aliases_and_neighbours_do_not_matter() -> None:
    config = parse_picture_config("""
      <View><Header value="$title"/><Image name="thumb" value="$cover"/>
        <brushlabels name="m" toname="seq"><View><Label value="Auto" alias="car"/></View></brushlabels>
        <KeyPointLabels name="k" toName="seq"><Label value="A" alias="car"/><Label value="Track both"/></KeyPointLabels>
        <RectangleLabels name="elsewhere" toName="thumb"><Label value="x"/></RectangleLabels>
        <Image name="seq" valueList="$pages"/></View>""")
    assert config == PictureConfig("seq", "pages", "m", ("car",), ("k",), (), {"Track both": "both"})


@pytest.mark.parametrize(
    ("label", "direction"),
    [
        ("Track", "forward"),
        ("track forward", "forward"),
        ("TRACK Backward", "backward"),
        ("Track both", "both"),
        ("Tracks", None),
        ("Track and field", None),
        ("Car", None),
    ],
)
def test_which_labels_ask_for_tracking(label: str, direction: str | None) -> None:
    assert direction_of(label) == direction


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        (BRUSH, "no <Video> tags"),
        (IMAGE, "no <BrushLabels"),
        (IMAGE + BRUSH + BRUSH.replace('"brush"', '"other"'), "2 <BrushLabels"),
        (BRUSH + IMAGE + IMAGE.replace('"img"', '"two"'), "2 <Image valueList>"),
        ('<Image name="img" valueList="frames"/>' + BRUSH, 'write valueList="\\$frames"'),
        (
            IMAGE + BRUSH + '<KeyPointLabels name="k" toName="img"><Label value="Cat"/></KeyPointLabels>',
            "label 'Cat', and <BrushLabels> has none",
        ),
    ],
)
def test_what_cannot_be_served_says_what_to_change(inside: str, message: str) -> None:
    with pytest.raises(LabelConfigError, match=message):
        read_config(f"<View>{inside}</View>")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data.frames: expected a list of pictures' addresses, found None"),
        ({"frames": []}, "data.frames: expected a list"),
        ({"frames": "a.jpg"}, "found 'a.jpg'"),
        ({"frames": ["a.jpg", 7]}, r"data.frames\[1\]: expected a picture's address, found 7"),
        ({"frames": [" "]}, r"data.frames\[0\]"),
    ],
)
def test_a_task_without_pictures_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(PayloadError, match=message):
        parse_picture_config(f"<View>{IMAGE}{BRUSH}</View>").frames_of(data)
