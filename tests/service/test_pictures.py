"""What a task of pictures says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from backend.service.pictures import frame_rate

CUT: dict[str, Any] = {"video": "a.mp4", "fps": 25.0, "times": [0.0, 0.5, 1.0], "indices": [0, 12, 25], "cut": "c"}


@pytest.mark.parametrize(
    ("data", "rate"),
    [
        ({}, None),
        ({"fps": 10}, 10),
        ({"fps": "12.5"}, 12.5),
        ({"fps": 0}, None),
        ({"fps": -3}, None),
        ({"fps": "inf"}, None),
        ({"fps": [10]}, None),
        (CUT, 2.0),
        ({**CUT, "times": [0.0, 0.04, 0.08]}, 25.0),
        ({**CUT, "times": [1.0, 1.0, 1.0]}, 25.0),
        ({**CUT, "times": [1.0, 0.5, 0.0]}, 25.0),
        ({**CUT, "times": [0.0, 0.5]}, 25.0),
        ({**CUT, "times": [0.0, 0.5, "x"]}, 25.0),
        ({**CUT, "times": [0.0, 0.5, 5e-324]}, None),
    ],
)
def test_how_many_pictures_a_second(data: dict[str, Any], rate: float | None) -> None:
    assert frame_rate(data, 3) == pytest.approx(rate)


def test_a_single_picture_has_the_rate_of_its_video() -> None:
    assert frame_rate({**CUT, "times": [3.0], "indices": [75]}, 1) == 25.0
