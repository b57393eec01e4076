"""What a task says of the video that its images were cut from."""

import pytest

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.cut_video import CutVideo, cut_video, frames_key, was_cut

CUT = CutVideo(video="a clip.mp4", fps=29.97, times=[0.0, 0.5, 1.25], indices=[0, 15, 37], cut="c0ffee")
IMAGES = ["a/0.jpg", "a/15.jpg", "a/37.jpg"]


def test_what_is_written_is_read_again():
    data = CUT.task_data("frames", IMAGES)
    assert data == {
        "frames": IMAGES,
        "video": "a clip.mp4",
        "fps": 29.97,
        "times": [0.0, 0.5, 1.25],
        "indices": [0, 15, 37],
        "cut": "c0ffee",
    }
    assert cut_video(data | {"camera": 4}, 3, "data") == CUT
    assert CUT.stem == "a clip"


@pytest.mark.parametrize("data", [{}, {"frames": IMAGES}, {"frames": IMAGES, "indices": "0,1"}, {"times": [0.5]}])
def test_images_of_no_video(data):
    assert not was_cut(data)
    assert cut_video(data, 3, "data") is None


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"indices": [0, 15]}, "[4].data.indices", "2 of them for 3 images"),
        ({"times": [0, 1, 2, 3]}, "[4].data.times", "4 of them for 3 images"),
        ({"indices": [0, 15, 15]}, "[4].data.indices[2]", "15 comes after 15"),
        ({"times": [0, 2, "1"]}, "[4].data.times[2]", "valid number"),
        ({"indices": [0, 1.5, 2]}, "[4].data.indices[1]", "valid integer"),
        ({"indices": [-1, 1, 2]}, "[4].data.indices[0]", "greater than or equal to 0"),
        ({"fps": 0}, "[4].data.fps", "greater than 0"),
        ({"video": None}, "[4].data.video", "valid string"),
    ],
)
def test_numbers_that_cannot_be_right_are_refused(change, path, message):
    data = CUT.task_data("frames", IMAGES) | change
    assert was_cut(data)
    with pytest.raises(PayloadError, match=message) as caught:
        cut_video(data, 3, "[4].data")
    assert caught.value.path == path


def test_the_key_of_the_images_is_the_configurations():
    assert frames_key('<View><Header value="$title"/><image NAME="i" valueList="$shots"/></View>') == "shots"
    assert frames_key('<View><Image name="a" value="$one"/><Image name="b" valueList="$frames"/></View>') == "frames"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        ('<Image name="i" value="$image"/>', "no <Image> tag with a valueList"),
        ('<Video name="v" value="$video"/>', "no <Image> tag with a valueList"),
        ('<View><Image name="a" valueList="$a"/><Image name="b" valueList="$b"/></View>', "2 <Image> tags"),
        ('<Image name="i" valueList="frames"/>', 'valueList="frames" names no key'),
        ('<Image name="i" valueList="$"/>', "names no key"),
        ('<Image name="i" valueList=""/>', "has no valuelist"),
        ('<Image name="i" valueList="$indices"/>', '"indices" is something else'),
        ("<View", "no well-formed XML"),
    ],
)
def test_configurations_without_a_list_of_images_are_refused(xml, message):
    with pytest.raises(LabelConfigError, match=message):
        frames_key(xml)
