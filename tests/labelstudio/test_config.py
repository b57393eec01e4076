"""Labeling configurations: the recommended one, its variations, and what cannot be served."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.config import VideoConfig, parse_config
from backend.labelstudio.tags import MAX_CHARACTERS

RECOMMENDED = Path(__file__).parents[2] / "labelstudio_config" / "video_boxes.xml"

SPECIFIED = """
<View>
  <Labels name="videoLabels" toName="video" allowEmpty="true"><Label value="Car"/><Label value="Person"/></Labels>
  <Labels name="cmd" toName="video"><Label value="Track" hotkey="t" background="red"/></Labels>
  <Choices name="mode" toName="video" perRegion="true" choice="single-radio">
    <Choice value="forward"/><Choice value="backward"/><Choice value="both"/></Choices>
  <Video name="video" value="$video" frameRate="$fps" timelineHeight="120"/>
  <VideoRectangle name="box" toName="video"/>
</View>
"""


def config(before: str = "", video: str = '<Video name="video" value="$video"/>', after: str = "") -> VideoConfig:
    return parse_config(f'<View>{before}{video}<VideoRectangle name="box" toName="video"/>{after}</View>')


def test_the_specified_configuration() -> None:
    assert parse_config(SPECIFIED) == VideoConfig(
        region_name="box",
        video_name="video",
        video_key="video",
        frame_rate=None,
        frame_rate_key="fps",
        labels_name="videoLabels",
        labels=("Car", "Person"),
        command_labels=("Track",),
        direction_name="mode",
    )


def test_the_recommended_configuration_has_all_that_is_specified() -> None:
    recommended = parse_config(RECOMMENDED.read_text("utf-8"))
    assert {"Car", "Person"} <= set(recommended.labels)
    assert recommended.command_labels == ("Track",)
    assert (recommended.frame_rate_key, recommended.direction_name) == ("fps", "mode")


def test_choices_stand_above_the_video_where_they_can_be_reached() -> None:
    xml = RECOMMENDED.read_text("utf-8")
    assert xml.index("<Choices") < xml.index("<Video ")


def test_other_names_nesting_and_neighbours_do_not_matter() -> None:
    parsed = parse_config("""
        <?xml version="1.0" encoding="UTF-8"?>
        <View xmlns:x="urn:x" style="display: flex">
          <Style>.lsf-main { color: red }</Style>
          <Header value="Mark the animals"/>
          <HyperText name="help" value="$html"/>
          <Labels name="topics" toName="help"><Label value="Irrelevant"/></Labels>
          <View><View>
            <Filter toName="species" minlength="0" name="filter"/>
            <Labels name="species" toName="clip">
              <View><Label value="Fox" alias="vulpes"/></View><Label value="Hare"/>
            </Labels>
            <Choices name="weather" toName="clip"><Choice value="forward"/></Choices>
            <Choices name="certain" toName="clip" perRegion="true"><Choice value="yes"/><Choice value="both"/></Choices>
            <Choices name="way" toName="clip" perRegion="true"><Choice value="Forward"/><Choice value="Both"/></Choices>
          </View></View>
          <x:Video x:name="clip" value="$movie" FRAMERATE="29.97"></x:Video>
          <videorectangle name="rect" toname="clip, other"/>
          <Labels name="go" toName="clip"><Label value="Track"/></Labels>
          <Labels name="more" toName="clip"><Label value="Again"/></Labels>
          <TextArea name="note" toName="clip" perRegion="true"/>
        </View>
    """)
    assert parsed == VideoConfig(
        region_name="rect",
        video_name="clip",
        video_key="movie",
        frame_rate=29.97,
        frame_rate_key=None,
        labels_name="species",
        labels=("vulpes", "Hare"),
        command_labels=("Track", "Again"),
        direction_name="way",
    )


def test_only_video_and_boxes_are_needed() -> None:
    assert config() == VideoConfig(region_name="box", video_name="video", video_key="video")


@pytest.mark.parametrize(
    ("attribute", "data", "expected"),
    [
        ("", {"fps": 10}, None),
        ('frameRate=""', {}, None),
        ('frameRate="25"', {"fps": 10}, 25.0),
        ('frameRate="0.04"', {}, 0.04),
        ('frameRate="many"', {}, None),
        ('frameRate="$fps"', {"fps": 10}, 10.0),
        ('frameRate="$fps"', {"fps": 29.97}, 29.97),
        ('frameRate="$fps"', {"fps": " 12.5 "}, 12.5),
        ('frameRate="$fps"', {}, None),
        ('frameRate="$fps"', {"fps": None}, None),
        ('frameRate="$fps"', {"fps": "many"}, None),
        ('frameRate="$fps"', {"fps": float("nan")}, None),
        ('frameRate="$fps"', {"fps": True}, None),
        ('frameRate="$fps"', {"fps": [25]}, None),
        ('frameRate="$fps"', {"fps": 10**400}, None),
        ('framerate="$rate"', {"fps": 10, "rate": 50}, 50.0),
    ],
)
def test_frame_rate(attribute: str, data: dict[str, Any], expected: float | None) -> None:
    assert config(video=f'<Video name="video" value="$video" {attribute}/>').frame_rate_of(data) == expected


def test_video_of_a_task() -> None:
    parsed = config(video='<Video name="video" value="$movie"/>')
    assert parsed.video_of({"movie": "/data/upload/1/a.mp4", "video": "other"}) == "/data/upload/1/a.mp4"


@pytest.mark.parametrize("data", [{}, {"movie": None}, {"movie": ""}, {"movie": "  "}, {"movie": 5}, {"movie": ["a"]}])
def test_a_task_without_a_video(data: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match=r"data\.movie: expected the video's address.*value=\"\$movie\""):
        config(video='<Video name="video" value="$movie"/>').video_of(data)


BOXES = '<VideoRectangle name="box" toName="video"/>'
VIDEO = '<Video name="video" value="$video"/>'


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        pytest.param("", "it is empty", id="empty"),
        pytest.param(" \n", "it is empty", id="blank"),
        pytest.param("<View>", "no well-formed XML", id="unclosed"),
        pytest.param("Track the fox", "no well-formed XML", id="text"),
        pytest.param("<View>\x00</View>", "no well-formed XML", id="null character"),
        pytest.param("<View>\ud800</View>", "no well-formed XML", id="lone surrogate"),
        pytest.param(f"<View>{' ' * MAX_CHARACTERS}</View>", "characters", id="too large"),
        pytest.param(f"<View>{BOXES}</View>", "it has no <Video> tags", id="no video"),
        pytest.param(f"<View>{VIDEO}{VIDEO}{BOXES}</View>", "it has 2 <Video> tags", id="two videos"),
        pytest.param(f"<View>{VIDEO}</View>", 'it has no <VideoRectangle toName="video">', id="no boxes"),
        pytest.param(f"<View>{VIDEO}{BOXES}{BOXES}</View>", "it has 2 <VideoRectangle", id="two kinds of boxes"),
        pytest.param(
            f'<View>{VIDEO}<VideoRectangle name="box" toName="clip"/></View>',
            "it has no <VideoRectangle",
            id="elsewhere",
        ),
        pytest.param(
            f'<View>{VIDEO}<Labels name="l" toName="video"/><RectangleLabels name="r" toName="video"/></View>',
            "it has no <VideoRectangle",
            id="boxes for images",
        ),
        pytest.param(f'<View><Video value="$video"/>{BOXES}</View>', "<video> tag has no name", id="no name"),
        pytest.param(
            f'<View>{VIDEO}<VideoRectangle toName="video"/></View>',
            "<videorectangle> tag has no name",
            id="unnamed boxes",
        ),
        pytest.param(f'<View><Video name="video"/>{BOXES}</View>', "<video> tag has no value", id="no value"),
        pytest.param(
            f'<View><Video name="video" value="a.mp4"/>{BOXES}</View>', r'write value="\$video"', id="one video for all"
        ),
        pytest.param(
            f'<View><Labels name="cmd" toName="video"><Label value="Track"/></Labels>'
            f'<Labels name="l" toName="video"><Label value="Car"/></Labels>{VIDEO}{BOXES}</View>',
            "stands before the classes",
            id="the button first",
        ),
    ],
)
def test_what_cannot_be_served_says_what_to_do(xml: str, message: str) -> None:
    with pytest.raises(LabelConfigError, match=message) as refused:
        parse_config(xml)
    assert "labelstudio_config/video_boxes.xml" in str(refused.value)


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE View [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE View [<!ENTITY file SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE View SYSTEM "http://localhost/view.dtd">',
        "<!DOCTYPE View>",
    ],
)
def test_document_types_are_refused(declaration: str) -> None:
    with pytest.raises(LabelConfigError, match="DOCTYPE"):
        parse_config(f"{declaration}<View>{VIDEO}{BOXES}</View>")


def test_deep_nesting_is_read() -> None:
    depth = 50_000
    assert parse_config("<View>" * depth + VIDEO + BOXES + "</View>" * depth).region_name == "box"


def test_the_readme_tells_the_names_of_the_recommended_configuration() -> None:
    readme = (RECOMMENDED.parent / "README.md").read_text("utf-8")
    recommended = parse_config(RECOMMENDED.read_text("utf-8"))
    names = [recommended.labels_name, recommended.direction_name, *recommended.command_labels]
    assert [name for name in names if f"`{name}`" not in readme] == []
