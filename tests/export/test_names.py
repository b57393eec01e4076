from __future__ import annotations

import pytest

from backend.export.names import file_names


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("clip_01.mp4", "clip_01.mp4"),
        ("../../etc/passwd", "etc_passwd"),
        ("C:\\videos\\my clip.mp4", "C_videos_my_clip.mp4"),
        ("видео №1", "видео_1"),
        ("e\u0301te\u0301", "été"),
        ("a\nb\tc", "a_b_c"),
        ('"a",b', "a_b"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("", "video"),
        ("///", "video"),
        ("100%", "100"),
    ],
)
def test_a_name_is_fit_for_a_file(title, name):
    assert file_names([title]) == [name]


def test_names_are_told_apart():
    assert file_names(["a", "A", "a/", "a_2", "b"], reserved=("B",)) == ["a", "A_2", "a_3", "a_2_2", "b_2"]


def test_long_names_are_cut_between_characters():
    (name,) = file_names(["й" * 300])
    assert name == "й" * 60
    first, second = file_names(["x" * 300, "x" * 299])
    assert (first, second) == ("x" * 120, "x" * 120 + "_2")
