"""What a task says of the video that its images were cut from."""

import pytest

from backend.errors import LabelConfigError, PayloadError
from backend.labelstudio.cut_video import CutVideo, cut_video, was_cut

CUT = CutVideo(video="a clip.mp4", fps=29.97, times=[0.0, 0.5, 1.25], indices=[0, 15, 37], cut="c0ffee")
IMAGES = ["a/0.jpg", "a/15.jpg", "a/37.jpg"]


def test_what_is_written_is_read_again():
    data = CUT.task_data("frames", IMAGES)
    assert list(data)[:2] == ["video", "frames"]  # as people see them in the Data Manager
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


def test_the_images_do_not_take_the_place_of_anything_else():
    assert CUT.task_data("shots", IMAGES)["shots"] == IMAGES
    with pytest.raises(LabelConfigError, match=r'valueList="\$video", and "video" is something else'):
        CUT.task_data("video", IMAGES)
