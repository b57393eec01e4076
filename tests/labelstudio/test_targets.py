from __future__ import annotations

import pytest

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.targets import Target, find_target

VIDEO = '<Video name="v" value="$clip"/>'
IMAGE = '<Image name="i" value="$picture"/>'


@pytest.mark.parametrize(
    ("xml", "expected"),
    [
        (VIDEO + '<VideoRectangle name="r" toName="v"/>', Target("r", "v", "clip", "video")),
        (
            VIDEO + '<VideoRectangle name="r" toName="v"/><VideoVectorLabels name="l" toName="v"/>',
            Target("l", "v", "clip", "video"),
        ),
        (VIDEO + '<VideoVector name="s" toName="v"/><Labels name="l" toName="v"/>', Target("s", "v", "clip", "video")),
        (
            IMAGE + '<PolygonLabels name="p" toName="i"/><BitmaskLabels name="b" toName="i"/>',
            Target("b", "i", "picture", "image"),
        ),
        (
            VIDEO + '<VideoRectangle name="r" toName="v"/>' + IMAGE + '<VectorLabels name="x" toName="i"/>',
            Target("x", "i", "picture", "image"),
        ),
        # An image without such a control does not count.
        (
            IMAGE + '<BrushLabels name="b" toName="i"/>' + VIDEO + '<VideoRectangle name="r" toName="v"/>',
            Target("r", "v", "clip", "video"),
        ),
    ],
)
def test_what_masks_are_for(xml: str, expected: Target) -> None:
    assert find_target(f"<View>{xml}</View>") == expected


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("", "empty"),
        ("<View>", "no well-formed XML"),
        ("<View/>", "VideoRectangle"),
        (f"<View>{VIDEO}</View>", "VideoRectangle"),
        (f'<View>{VIDEO}<VideoRectangle name="r" toName="other"/></View>', "VideoRectangle"),
        ('<View><Video name="v" value="a.mp4"/><VideoRectangle name="r" toName="v"/></View>', 'value="$video"'),
        ('<View><Video name="v"/><VideoRectangle name="r" toName="v"/></View>', "no value"),
        (
            '<View><Image name="i" valueList="$p"/><BitmaskLabels name="b" toName="i"/></View>',
            "no value",
        ),
        (f'<View>{VIDEO}<VideoRectangle toName="v"/></View>', "no name"),
    ],
)
def test_a_configuration_that_is_for_none_is_refused(xml: str, says: str) -> None:
    with pytest.raises(LabelConfigError, match=says.replace("$", "[$]")):
        find_target(xml)


def test_a_tasks_media() -> None:
    target = Target("r", "v", "clip", "video")
    assert target.address_of({"clip": "/data/upload/1/a.mp4"}) == "/data/upload/1/a.mp4"
    for data in ({}, {"clip": None}, {"clip": " "}, {"clip": ["a.mp4"]}):
        with pytest.raises(PayloadError, match=r"tasks\[0\].data.clip"):
            target.address_of(data)
