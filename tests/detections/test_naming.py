from __future__ import annotations

import pytest

from backend.detections.naming import choose, fitting
from backend.errors import PayloadError


def test_a_name_fits_by_itself_or_at_the_end_of_a_path() -> None:
    names = ["dog", "videos/dog", "dog/videos", "cat"]
    assert fitting(names, {"dog"}) == ["dog", "videos/dog"]
    assert fitting(names, {"dog/videos", "cat"}) == ["dog/videos", "cat"]


def test_the_only_one_is_meant_whatever_it_is() -> None:
    assert choose(["cat"], "dog", "images") == "cat"
    assert choose(["cat", "a/dog"], "dog", "images") == "a/dog"


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a/dog", "b/dog"], r"images: of its videos \('a/dog', 'b/dog'\) 2 has the name 'dog'"),
        ([f"cat{number}" for number in range(7)], r"'cat4' and 2 more\) none has the name 'dog'"),
    ],
)
def test_of_several_none_or_more_than_one(names: list[str], says: str) -> None:
    with pytest.raises(PayloadError, match=says):
        choose(names, "dog", "images")
