"""Which frames are taken of a video."""

import numpy as np
import pytest

from backend.errors import VideoError
from backend.video.pick import pick

STEADY = np.arange(20) / 10
FILM = np.arange(300) / 29.97
VARYING = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]
LATE = 0.35 + np.arange(10) / 10


@pytest.mark.parametrize(
    ("times", "options", "expected"),
    [
        pytest.param(STEADY, {}, range(20), id="all"),
        pytest.param(STEADY, {"every": 5}, [0, 5, 10, 15], id="every fifth"),
        pytest.param(STEADY, {"every": 99}, [0], id="the first alone"),
        pytest.param(STEADY, {"start": 0.5, "end": 0.8}, [5, 6, 7], id="without the end"),
        pytest.param(STEADY, {"start": 0.45}, range(5, 20), id="from the next frame on"),
        pytest.param(STEADY, {"start": 0.5, "every": 6}, [5, 11, 17], id="counted from the start"),
        pytest.param(STEADY, {"rate": 2}, [0, 5, 10, 15], id="two a second"),
        pytest.param(STEADY, {"rate": 4}, [0, 2, 5, 7, 10, 12, 15, 17], id="of two as near the earlier"),
        pytest.param(STEADY, {"rate": 60}, range(20), id="more than there are"),
        pytest.param(STEADY, {"rate": 0.1}, [0], id="less than one"),
        pytest.param(FILM, {"rate": 15}, range(0, 300, 2), id="half of 29.97"),
        pytest.param(VARYING, {"every": 4}, [0, 4, 8], id="every fourth, whatever its time"),
        pytest.param(VARYING, {"rate": 5}, [0, 2, 3, 5, 7, 8, 9, 11], id="by time, each once"),
        pytest.param(VARYING, {"rate": 2, "start": 0.6}, [3, 7, 9], id="by time from the start"),
        pytest.param(LATE, {"rate": 5}, [0, 2, 4, 6, 8], id="a late start"),
        pytest.param([4.5], {"rate": 25}, [0], id="a single frame"),
    ],
)
def test_the_frames_that_are_taken(times, options, expected):
    assert pick(times, **options) == list(expected)


@pytest.mark.parametrize("options", [{"start": 2}, {"end": 0}, {"start": 0.41, "end": 0.49}, {"start": 1, "end": 0.5}])
def test_where_no_frame_lies_it_is_said_where_they_are(options):
    with pytest.raises(VideoError, match=r"the first one is at 0\.000 s, the last one at 1\.900 s"):
        pick(STEADY, **options)
