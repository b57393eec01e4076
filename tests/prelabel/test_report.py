from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from backend.errors import OutputError
from backend.prelabel.report import EVERY, Report
from backend.prelabel.report_page import duration
from backend.prelabel.report_records import About
from backend.prelabel.summary import Summary, Thumbnail

ABOUT = About("project 3 of http://studio", "keytrack-1")
NOW = datetime(2026, 11, 22, 2, 11, 5, tzinfo=UTC)
JPEG = b"\xff\xd8 a picture"


def summary(score: float = 0.75, **further) -> Summary:
    given = {
        "by": "2 boxes",
        "frames": 100,
        "frame_rate": 25.0,
        "size": (320, 240),
        "seconds": 40.0,
        "fetching": 0.5,
        "objects": {"Car": 2},
        "score": score,
        "doubtful": ((20, 24), (90, 90)),
        "worker": "1",
        "thumbnails": (Thumbnail(1, JPEG, 0.1), Thumbnail(22, JPEG, 0.9)),
    }
    return Summary(**given | further)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(directory: Path, clock=None, about: About = ABOUT) -> Report:
    return Report(directory, about, clock=clock or Clock(), now=lambda: NOW)


class Page(HTMLParser):
    """What a browser would show: the text, the addresses, and of each tag how often it is there."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def values(self, tag: str, attribute: str) -> list[str | None]:
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


def read(directory: Path) -> Page:
    return Page((directory / "index.html").read_text("utf-8"))


def test_a_run_in_figures(tmp_path):
    clock = Clock()
    with make(tmp_path, clock) as report:
        report.expect(5)
        clock.now += 50
        report.tracked("7", "street.mp4", summary(), "http://studio/projects/3/data?task=7")
        report.tracked("8", "yard.mp4", summary(0.5, objects={"Car": 1, "Person": 3}, worker="2"))
        report.left("9", "old.mp4", "it is annotated")
        clock.now += 50
        report.failed("10", "gone.mp4", "it cannot be fetched")
    text = read(tmp_path).text
    for said in (
        "Prelabelled: project 3 of http://studio keytrack-1 · ended 2026-11-22 02:11 UTC",
        "tracked 2 left 1 failed 1 not tried 1 objects 6 frames 200 time 1 min 40 s frames a second 2 2 workers",
        "Failed gone.mp4 10 : it cannot be fetched",
        "Objects by class Car 3 Person 3",
        "1 video left as it is it is annotated: 1",
        "street.mp4 7 0.25 2 2 Car 100 2.5 20-24 , 90",
    ):
        assert said in text
    page = read(tmp_path)
    assert page.values("a", "href").count("http://studio/projects/3/data?task=7") == 1
    for file in page.values("img", "src"):
        assert (tmp_path / str(file)).read_bytes() == JPEG
    assert len(page.values("img", "src")) == 4


def test_the_most_doubtful_come_first(tmp_path):
    with make(tmp_path) as report:
        report.tracked("1", "sure.mp4", summary(0.9))
        report.tracked("2", "empty.mp4", summary(0.0, objects={}, thumbnails=(), doubtful=()))
        report.tracked("3", "poor.mp4", summary(0.1))
    page = read(tmp_path)
    assert page.values("tbody", "data-name") == ["empty.mp4", "poor.mp4", "sure.mp4"]
    assert "empty.mp4 2 nothing found" in page.text


@pytest.mark.parametrize(
    "video",
    [
        "street.mp4",
        "/videos/a/street.mp4",
        "/data/upload/3/street.mp4",
        "/data/local-files/?d=a/street.mp4",
        "https://a.b/street.mp4?key=secret",
    ],
)
def test_a_video_is_called_as_its_file(tmp_path, video):
    with make(tmp_path) as report:
        report.tracked("task 7", video, summary())
    page = read(tmp_path)
    assert "street.mp4 task 7 0.25" in page.text
    assert page.values("tbody", "data-name") == ["street.mp4"]
    assert not any(b"secret" in path.read_bytes() for path in tmp_path.iterdir() if path.is_file())


def test_names_are_text_and_nothing_else(tmp_path):
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    with make(tmp_path, about=About(evil, evil)) as report:
        report.tracked(evil, evil, summary(objects={evil: 1}), evil)
        report.failed("2", evil, evil)
        report.left("3", evil, evil)
    page = read(tmp_path)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert all(str(file).startswith("pictures/") for file in page.values("img", "src"))
    assert page.text.count("<script>alert(1)</script>") >= 6


def test_a_link_is_http_or_none(tmp_path):
    with make(tmp_path) as report:
        report.tracked("1", "a.mp4", summary(), "javascript:alert(1)")
    assert "javascript:" not in (tmp_path / "index.html").read_text("utf-8")


def test_the_page_is_written_now_and_then(tmp_path):
    clock = Clock()
    with make(tmp_path, clock) as report:
        report.expect(3)
        assert "the run goes on, or was killed" in read(tmp_path).text
        report.tracked("1", "a.mp4", summary())
        assert "a.mp4" not in read(tmp_path).text
        clock.now += EVERY
        report.tracked("2", "b.mp4", summary())
        text = read(tmp_path).text
        assert "a.mp4" in text and "b.mp4" in text and "not tried yet 1" in text
        report.tracked("3", "c.mp4", summary())
        assert "c.mp4" not in read(tmp_path).text
    assert "c.mp4" in read(tmp_path).text
    assert not list(tmp_path.glob(".*.part"))


def test_a_run_that_goes_on_tells_of_what_was_done_before(tmp_path):
    clock = Clock()
    killed = make(tmp_path, clock)
    killed.tracked("1", "a.mp4", summary())
    killed.failed("2", "b.mp4", "it cannot be fetched")
    clock.now += 10
    killed.tracked("3", "c.mp4", summary())
    killed._stack.close()  # as the kernel does it
    with Report(tmp_path, ABOUT, clock=clock, now=lambda: NOW.replace(hour=3)) as again:
        again.left("1", "a.mp4", "it has a prediction of keytrack-1")
        again.tracked("2", "b.mp4", summary())
        clock.now += 5
        again.left("3", "c.mp4", "it has a prediction of keytrack-1")
    text = read(tmp_path).text
    assert "tracked 3 left 0 failed 0 objects 6 frames 300 time 10 s" in text
    assert "cannot be fetched" not in text


def test_pictures_of_what_was_tracked_anew_replace_the_others(tmp_path):
    with make(tmp_path) as report:
        report.tracked("1", "a.mp4", summary())
    with make(tmp_path) as report:
        report.tracked("1", "a.mp4", summary(thumbnails=(Thumbnail(50, JPEG, 0.1),)))
    (file,) = read(tmp_path).values("img", "src")
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == [Path(str(file)).name]


@pytest.mark.parametrize("name", ["../../../etc/passwd", "a/b.mp4", "\udcff.mp4", "x" * 5000])
def test_pictures_stay_in_their_directory_whatever_the_video_is_called(tmp_path, name):
    with make(tmp_path / "report") as report:
        report.tracked(name, "a.mp4", summary())
    assert {path.name for path in tmp_path.iterdir()} == {"report"}
    assert len(list((tmp_path / "report" / "pictures").iterdir())) == 2


def test_what_is_no_text_is_told_all_the_same(tmp_path):
    odd = "\udcff\ud800.mp4"
    for _ in range(2):
        with make(tmp_path, about=About(odd, "keytrack-1")) as report:
            report.tracked(odd, odd, summary(by=odd, objects={odd: 1}))
            report.failed("2", "b.mp4", odd)
    text = read(tmp_path).text
    assert "Prelabelled: ??.mp4" in text
    assert "tracked 1 left 0 failed 1" in text
    assert "b.mp4 2 : ??.mp4" in text


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="a page that is no report"):
        make(tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"


def test_another_runs_report_is_refused(tmp_path):
    make(tmp_path).close()
    with pytest.raises(OutputError, match="the report of another run"):
        make(tmp_path, about=replace(ABOUT, model_version="keytrack-2"))
    make(tmp_path).close()


def test_two_runs_do_not_write_one_report(tmp_path):
    with make(tmp_path), pytest.raises(OutputError, match="a run that goes on"):
        make(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        make(tmp_path / "file" / "report")


def test_a_report_that_cannot_be_written_does_not_end_the_run(tmp_path, caplog):
    clock = Clock()
    report = make(tmp_path, clock)
    pictures = tmp_path / "pictures"
    pictures.rmdir()
    with caplog.at_level(logging.WARNING):
        report.tracked("1", "a.mp4", summary())
        report.tracked("2", "b.mp4", summary())
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        pictures.mkdir()
        report.tracked("3", "c.mp4", summary())
        report.close()
    assert len(caplog.records) == 1
    text = read(tmp_path).text
    assert "tracked 3" in text  # without their pictures, but not forgotten
    assert len(read(tmp_path).values("img", "src")) == 2


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations(seconds, said):
    assert duration(seconds) == said
