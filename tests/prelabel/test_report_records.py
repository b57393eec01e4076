from __future__ import annotations

from pathlib import Path

import pytest

from backend.errors import OutputError
from backend.prelabel.report_records import About, Picture, Record, RecordFile
from backend.prelabel.summary import Summary, Thumbnail

ABOUT = About("project 3 of http://studio", "keytrack-1")
SUMMARY = Summary(
    by="2 boxes",
    frames=10,
    frame_rate=25.0,
    size=(320, 240),
    seconds=4.0,
    fetching=0.5,
    objects={"Car": 2, "": 1},
    score=0.25,
    doubtful=((2, 4), (9, 9)),
    worker="1",
)


def record(name: str, state="tracked", **further) -> Record:
    return Record(name, f"{name}.mp4", state, "2026-11-22T02:11:05Z", 1.5, **further)


def write(path: Path, *records: Record) -> dict[str, Record]:
    with RecordFile(path, ABOUT) as file:
        for one in records:
            file.add(one)
        return file.read()


def test_records_come_back_as_they_were(tmp_path):
    tracked = record("7", summary=SUMMARY, pictures=(Picture(3, 0.75, "pictures/a.jpg"),), link="http://studio/7")
    failed = record("8", "failed", reason="it is no video\n<b>")
    write(tmp_path / "r", tracked)
    assert write(tmp_path / "r", failed) == {"7": tracked, "8": failed}


def test_no_picture_goes_into_the_file(tmp_path):
    with_bytes = Summary(**{**vars(SUMMARY), "thumbnails": (Thumbnail(1, b"jpeg-jpeg", 0.5),)})
    assert write(tmp_path / "r", record("7", summary=with_bytes)) == {"7": record("7", summary=SUMMARY)}
    assert b"jpeg" not in (tmp_path / "r").read_bytes()


@pytest.mark.parametrize(
    ("states", "holds"),
    [
        (["tracked", "left"], "tracked"),
        (["failed", "left"], "left"),
        (["failed", "tracked"], "tracked"),
        (["tracked", "failed"], "failed"),
        (["tracked", "failed", "left"], "left"),
    ],
)
def test_what_holds_of_a_video_that_several_runs_came_to(tmp_path, states, holds):
    for state in states:
        found = write(tmp_path / "r", record("7", state))
    assert [one.state for one in found.values()] == [holds]


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_not_written_to_its_end_does_not_count(tmp_path, cut):
    path = tmp_path / "r"
    write(path, record("7"), record("8"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(write(path, record("9"))) == ["7", "9"]


def test_killed_at_the_first_line(tmp_path):
    path = tmp_path / "r"
    write(path)
    path.write_bytes(path.read_bytes()[:-5])
    assert list(write(path, record("7"))) == ["7"]


@pytest.mark.parametrize("size", [1000, 300])
def test_a_disk_that_was_full_loses_nothing(tmp_path, monkeypatch, size):
    path = tmp_path / "r"
    with RecordFile(path, ABOUT) as file:
        room = path.stat().st_size + size
        real = file._file

        class Full:
            """A file on a disk that holds so many bytes."""

            def write(self, data):
                fits = room - real.tell()
                if fits <= 0:
                    raise OSError(28, "No space left on device")
                return real.write(data[:fits])

            def __getattr__(self, name):
                return getattr(real, name)

        file._file = Full()
        refused = 0
        for number in range(10):
            try:
                file.add(record(str(number)))
            except OutputError as error:
                refused += 1
                assert "No space left" in str(error)
        assert refused > 0
        assert len(file.read()) < 10
        file._file = real
        file.flush()
        assert list(file.read()) == [str(number) for number in range(10)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"source": "project 4", "model_version": "keytrack-1"}\n', "another run (project 4, keytrack-1)"),
        ("notes\n", "line 1: this is no record of a run"),
        ("notes", "line 1: this is no record of a run"),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_as_it_is(tmp_path, text, told):
    path = tmp_path / "r"
    path.write_text(text)
    with pytest.raises(OutputError, match="give another directory") as error:
        RecordFile(path, ABOUT)
    assert told in str(error.value)
    assert path.read_text() == text


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "r"
    write(path, record("7"), record("8"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + '{"name": 7}\n' + lines[2])
    with pytest.raises(OutputError, match="line 2: this is no record"):
        write(path)
