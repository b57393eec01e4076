from __future__ import annotations

import pytest

from backend.errors import OutputError
from backend.export.results import ResultsDirectory, replace_text

NAMES = ("a.txt", "b", "c.txt")


def contents(directory):
    return {
        str(path.relative_to(directory)): path.read_text() for path in sorted(directory.rglob("*")) if path.is_file()
    }


def publish(target, files, **options):
    with ResultsDirectory(target, NAMES, **options) as results:
        for name, text in files.items():
            path = results.path(name.split("/")[0])
            if "/" in name:
                path.mkdir()
                path = path / name.split("/")[1]
            path.write_text(text)
        results.publish()


@pytest.mark.parametrize("empty", [False, True])
def test_results_appear_at_once(tmp_path, empty):
    target = tmp_path / "deep" / "out"
    if empty:
        target.mkdir(parents=True)
    with ResultsDirectory(target, NAMES) as results:
        results.path("a.txt").write_text("new")
        assert not target.exists() or not any(target.iterdir())
        results.publish()
    assert contents(tmp_path) == {"deep/out/a.txt": "new"}
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_without_publishing_nothing_is_left(tmp_path):
    def fail():
        with ResultsDirectory(tmp_path / "out", NAMES) as results:
            results.path("a.txt").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty; give another, or --force"):
        ResultsDirectory(tmp_path / "out", NAMES)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="is a file"):
        ResultsDirectory(tmp_path / "file", NAMES, force=True)
    with pytest.raises(OutputError, match="cannot be made"):
        ResultsDirectory(tmp_path / "file" / "out", NAMES)
    assert contents(tmp_path) == {"file": "mine", "out/notes.txt": "mine"}


def test_force_replaces_earlier_results_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    publish(out, {"a.txt": "old", "b/1.png": "old", "c.txt": "old"})
    (out / "notes.txt").write_text("mine")
    publish(out, {"a.txt": "new", "b/2.png": "new"}, force=True)
    assert contents(tmp_path) == {"out/a.txt": "new", "out/b/2.png": "new", "out/notes.txt": "mine"}


def test_a_place_that_was_taken_meanwhile_loses_nothing(tmp_path):
    with ResultsDirectory(tmp_path / "out", NAMES) as results:
        results.path("a.txt").write_text("an hour's work")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.txt").write_text("another's")
        with pytest.raises(OutputError, match=r"is not empty.*the results are in .*\.kept"):
            results.publish()
    assert sorted(contents(tmp_path).values()) == ["an hour's work", "another's"]


def test_only_declared_names_are_written(tmp_path):
    with ResultsDirectory(tmp_path / "out", NAMES) as results, pytest.raises(ValueError, match="other"):
        results.path("other")


def test_a_file_with_the_longest_name_is_replaced_and_a_longer_one_is_told(tmp_path):
    for text in ("old", "new"):
        replace_text(tmp_path / ("x" * 255), text)
    assert contents(tmp_path) == {"x" * 255: "new"}
    with pytest.raises(OutputError, match="cannot write"):
        replace_text(tmp_path / ("y" * 256), "new")
    assert contents(tmp_path) == {"x" * 255: "new"}
