"""What an export takes from a labeling configuration of any kind."""

from pathlib import Path

import pytest

from backend.errors import LabelConfigError
from backend.labelstudio.project_config import Medium, parse_project_config

RECOMMENDED = Path(__file__).parents[2] / "labelstudio_config" / "video_boxes.xml"


def test_the_recommended_one():
    config = parse_project_config(RECOMMENDED.read_text("utf-8"))
    assert config.media == (Medium("video", "video", "video", None, "fps"),)
    assert config.labels == ("Car", "Person", "Animal")  # the button Track is none
    assert config.media[0].frame_rate_of({"fps": "29.97"}) == 29.97
    assert config.media[0].frame_rate_of({}) is None


def test_pictures_and_labels_of_several_controls():
    config = parse_project_config(
        '<View><Image name="img" valueList="$frames"/><Video name="v" value="$film" frameRate="12.5"/>'
        '<Image name="fixed" value="http://host/picture.png"/>'
        '<BrushLabels name="b" toName="img"><Label value="Zebra"/><Label value="Ape" alias="ape"/></BrushLabels>'
        '<RectangleLabels name="r" toName="img"><Label value="Zebra"/><Label value="Bus"/></RectangleLabels>'
        '<Choices name="c" toName="img"><Choice value="day"/></Choices></View>'
    )
    assert config.media == (Medium("image", "img", "frames"), Medium("video", "v", "film", 12.5))
    assert config.labels == ("Zebra", "ape", "Bus")
    assert config.medium("v").key == "film"
    assert config.medium("w") is None


def test_what_is_no_configuration_is_refused():
    with pytest.raises(LabelConfigError, match="no well-formed XML"):
        parse_project_config("<View>")
