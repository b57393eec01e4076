"""The report on effort: its sentences, the page and the plot."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from backend.errors import OutputError, UnavailableError
from backend.evaluation.effort_page import page
from backend.evaluation.effort_plot import WIDTH, height, write_plot
from backend.evaluation.effort_report import LOOKS, headline, label_levels, lowest, scope, summary, table
from backend.evaluation.effort_results import Effort
from support.effort import make_effort, make_sequence, runs

VOID = {"meta", "br", "line", "polyline", "polygon"}


def one(keytrack: int, linear: int, **options) -> Effort:
    return make_effort(make_sequence("bear", 100, runs(100, keytrack, linear, keytrack + 1, **options)))


def several() -> Effort:
    return make_effort(
        make_sequence("bear", 50, runs(50, 2, 10, 4), runs(50, 4, 12, 4)), make_sequence("boat", 20, runs(20, 1, 3, 2))
    )


@pytest.mark.parametrize(
    ("keytrack", "linear", "most", "expected"),
    [
        pytest.param(4, 21, None, "5.2× fewer keyframes than linear interpolation", id="fewer"),
        pytest.param(20, 20, None, "As many keyframes as linear interpolation", id="as many"),
        pytest.param(9, 6, None, "1.5× as many keyframes as linear interpolation", id="more"),
        pytest.param(4, 30, 20, "At least 5.0× fewer keyframes than linear interpolation", id="linear capped"),
        pytest.param(30, 10, 20, "At least 2.0× as many keyframes as linear interpolation", id="keytrack capped"),
    ],
)
def test_the_headline(keytrack, linear, most, expected):
    assert headline(one(keytrack, linear, most=most)) == expected


def test_where_both_are_capped_the_ratio_is_a_guess():
    effort = make_effort(
        make_sequence("bear", 100, runs(100, 2, 30, 2, most=20)),
        make_sequence("boat", 100, runs(100, 30, 90, 2, most=22)),
    )
    assert headline(effort) == "About 1.8× fewer keyframes than linear interpolation"
    assert "≈ 1.8×" in table(effort)


def test_sentences():
    assert summary(one(4, 21)) == (
        "Until the mean box IoU is 0.9, an annotator who corrects Keytrack's tracks needs 4.0 keyframes per object per "
        "100 frames; with Label Studio's linear interpolation it is 21.0."
    )
    assert "it is at least 20.0." in summary(one(4, 30, most=20))
    assert scope(several()) == (
        "2 sequences, 3 objects, 70 frames, corrections by box, profile lite on cpu (mobile_sam + sam_tokens)"
    )
    clicks = make_effort(make_sequence("bear", 100, runs(100, 4, 20, 5)), by="click")
    assert headline(clicks) == "5.0× fewer interactions than linear interpolation"


def test_labels_hang_lower_the_further_left_they_are():
    levels = label_levels(one(4, 21))
    assert levels["keytrack"] < levels["reprompt"] < levels["linear"]


def test_the_axis_begins_at_a_tenth_below_all_curves():
    assert lowest(one(2, 3)) == 0.5
    assert lowest(make_effort(make_sequence("bear", 9, runs(9, 1, 1, 1)))) == 0.8


def test_the_table():
    lines = table(several()).split("\n")
    assert lines[2].split() == ["bear", "50", "6.0", "22.0", "8.0", "3.7×", "6.0", "22.0", "8.0", "3.7×"]
    assert lines[4].split()[:7] == ["all", "objects", "70", "5.7", "19.7", "8.7", "3.5×"]
    assert "≥ 20.0" in table(one(4, 30, most=20))


# --- the page ----------------------------------------------------------------------------------


class Checker(HTMLParser):
    """Every element is closed in its turn; notes the tags and the attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(effort: Effort) -> Checker:
    checker = Checker()
    checker.feed(page(effort))
    checker.close()
    assert not checker.open
    return checker


def test_the_page_is_well_formed_and_says_what_was_found():
    found = checked(several())
    assert headline(several()) in found.text
    assert summary(several()) in found.text
    for text in (
        "bear",
        "boat",
        "All objects",
        "19.7",
        "3.5×",
        "How it was measured",
        *(look.name for look in LOOKS.values()),
    ):
        assert text in found.text
    assert "Incomplete" not in found.text
    drawings = re.findall(r"<svg.*?</svg>", page(several()))
    assert len(drawings) == 3  # the mean and each sequence
    for drawing in drawings:
        tree = ElementTree.fromstring(drawing)
        assert len(tree.findall("polyline")) == 3
        assert len(tree.findall("polygon")) == 3


def test_the_curves_lie_within_their_drawing():
    for drawing in re.findall(r"<svg.*?</svg>", page(several())):
        tree = ElementTree.fromstring(drawing)
        _, _, wide, high = map(float, tree.attrib["viewBox"].split())
        for line in tree.findall("polyline"):
            points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
            assert len(points) >= 1
            assert all(0 <= x <= wide and 0 <= y <= high for x, y in points)


def test_the_page_needs_nothing_else():
    text = page(several())
    found = checked(several())
    assert {tag for tag, _ in found.seen}.isdisjoint({"script", "link", "img", "iframe", "object", "image", "use"})
    assert not {name for _, attributes in found.seen for name in attributes} & {"src", "href", "srcset", "onload"}
    assert not re.search(r"https?:|url\(|@import|//", text)
    assert "prefers-color-scheme: dark" in text


def test_names_and_reasons_are_escaped():
    nasty = '<script>alert("1")</script>&amp;'
    effort = make_effort(make_sequence(nasty, 20, runs(20, 1, 3, 2)), missing={"<b>cat": "<i>gone</i> & lost"})
    found = checked(effort)
    assert "script" not in {tag for tag, _ in found.seen}
    assert {tag for tag, _ in found.seen}.isdisjoint({"i"})
    assert found.text.count(nasty) >= 3
    assert "<b>cat is missing: <i>gone</i> & lost" in found.text
    for drawing in re.findall(r"<svg.*?</svg>", page(effort)):
        ElementTree.fromstring(drawing)


def test_what_was_capped_is_marked():
    assert "≥ 20.0" in checked(one(4, 30, most=20)).text
    assert "≥" not in checked(one(4, 30)).text


def test_corrections_by_clicks_are_told():
    text = checked(make_effort(make_sequence("bear", 100, runs(100, 4, 20, 5)), by="click")).text
    assert "A click is an interaction." in text
    assert "keyframes per object" not in text


def test_an_object_that_needed_no_correction():
    assert "–" in checked(one(1, 1)).text


# --- the plot ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sequences", [1, 4, 13])
def test_the_plot_has_its_size(tmp_path, sequences):
    effort = make_effort(*(make_sequence(f"$x_{i}$ <b>", 30, runs(30, 1 + i, 9 + i, 3)) for i in range(sequences)))
    write_plot(tmp_path / "plot.png", effort)
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG"
        assert image.size == (WIDTH, height(sequences))
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 24) or []}
    assert {tuple(bytes.fromhex(look.light[1:])) for look in LOOKS.values()} <= colours


def test_more_sequences_make_the_plot_higher():
    assert height(1) == height(3) < height(4) == height(8) < height(9) == height(13) < height(16)


def test_a_plot_of_what_was_capped(tmp_path):
    write_plot(tmp_path / "plot.png", one(30, 40, most=20))
    assert (tmp_path / "plot.png").stat().st_size > 10_000


def test_the_plot_is_the_same_again(tmp_path):
    for name in ("a.png", "b.png"):
        write_plot(tmp_path / name, several())
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UnavailableError, match=r"pip install -r requirements-eval\.txt"):
        write_plot(tmp_path / "plot.png", several())


def test_a_plot_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write plot\.png"):
        write_plot(Path(tmp_path / "nowhere" / "plot.png"), several())
