"""``frames``: from the command line to images, a task, and a project."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.cli.frames import LABEL_CONFIG
from backend.labelstudio import uploads
from support.clips import coded_frames, make_clip, read_code
from support.frames_studio import PROJECT, FramesStudio, frames_studio

VARYING = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]
OTHER_KEY = LABEL_CONFIG.read_text("utf-8").replace("$frames", "$shots")


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("clips")
    return make_clip(directory / "a clip.mp4", coded_frames(len(VARYING)), timestamps=VARYING)


@pytest.fixture
def studio():
    with frames_studio(LABEL_CONFIG.read_text("utf-8")) as found:
        yield found


def frames(*arguments: str | Path) -> int:
    return main(["frames", *map(str, arguments)])


def codes(paths: list[Path]) -> list[int]:
    return [read_code(np.array(Image.open(path))) for path in paths]


def uploaded_codes(studio: FramesStudio, tmp_path: Path, addresses: list[str]) -> list[int]:
    """What the images show that a task's addresses lead to."""
    by_name = {f"/data/upload/{PROJECT}/{n:08x}-{name}": content for n, (name, content) in studio.uploads.items()}
    paths = []
    for number, address in enumerate(addresses):
        paths.append(tmp_path / f"{number}.jpg")
        paths[-1].write_bytes(by_name[address])
    return codes(paths)


def test_images_and_a_task_to_import(clip, tmp_path, capsys):
    out = tmp_path / "cuts"
    assert frames(clip, "--out", out, "--every", 5) == 0
    assert sorted(os.listdir(out / "a_clip")) == ["cut.json", "frames", "task.json"]
    (task,) = json.loads((out / "a_clip" / "task.json").read_text("utf-8"))
    data = task["data"]
    names = ["a_clip-000000.jpg", "a_clip-000005.jpg", "a_clip-000010.jpg"]
    assert data["frames"] == [f"/data/local-files/?d=cuts/a_clip/frames/{name}" for name in names]
    assert codes([out / "a_clip" / "frames" / name for name in names]) == data["indices"] == [0, 5, 10]
    assert data["times"] == pytest.approx([0, 0.8, 1.7], abs=1e-5)
    assert (data["video"], data["fps"]) == ("a clip.mp4", pytest.approx(11 / 1.8))
    said = capsys.readouterr().out
    assert f"a clip.mp4: 3 of 12 frames, 0.00 to 1.70 s, in {out / 'a_clip'}\n" in said
    assert "to import: each task.json" in said


def test_options_reach_the_cut(clip, tmp_path):
    out = tmp_path / "cuts"
    span = ["--start", "0:0.2", "--end", "0:00:01.6", "--fps", "2"]
    form = ["--format", "png", "--max-side", "80", "--local-files", tmp_path.parent]
    assert frames(clip, "--out", out, *span, *form) == 0
    (task,) = json.loads((out / "a_clip" / "task.json").read_text("utf-8"))
    assert task["data"]["indices"] == [2, 4, 7]
    found = sorted((out / "a_clip" / "frames").iterdir())
    assert {Image.open(path).size for path in found} == {(80, 60)}
    assert task["data"]["frames"][0].endswith(f"?d={tmp_path.name}/cuts/a_clip/frames/{found[0].name}")


def test_again_it_is_left_but_for_other_addresses(clip, tmp_path, capsys):
    out = tmp_path / "cuts"
    assert frames(clip, "--out", out) == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")}
    assert frames(clip, "--out", out, "--local-files", tmp_path.parent) == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.jpg")} == before
    assert f"?d={tmp_path.name}/cuts/" in (out / "a_clip" / "task.json").read_text("utf-8")
    assert "(from before)" in capsys.readouterr().out
    assert frames(clip, "--out", out, "--every", 2) == 2
    assert "--force" in capsys.readouterr().err
    assert frames(clip, "--out", out, "--every", 2, "--force") == 0
    assert len(list(out.rglob("*.jpg"))) == 6


def test_uploaded_images_are_the_frames(clip, studio, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(uploads, "MOST_FILES", 4)
    assert frames(clip, "--out", tmp_path / "cuts", "--project", PROJECT, *studio.arguments) == 0
    assert studio.batches == [4, 4, 4]
    (task,) = studio.tasks
    assert uploaded_codes(studio, tmp_path, task["data"]["frames"]) == task["data"]["indices"] == list(range(12))
    assert f"task 1: {studio.url}/projects/{PROJECT}/data?task=1" in capsys.readouterr().out
    assert studio.storages == []


def test_a_task_is_imported_once(clip, studio, tmp_path, capsys):
    to = ["--project", PROJECT, *studio.arguments]
    for out in ("one", "one", "two"):
        assert frames(clip, "--out", tmp_path / out, *to) == 0
    assert (len(studio.tasks), len(studio.uploads)) == (1, 12)
    assert capsys.readouterr().out.count("task 1 has these frames already") == 2
    assert frames(clip, "--out", tmp_path / "three", "--every", 2, *to) == 0
    assert len(studio.tasks) == 2


def test_two_cameras_with_the_same_names_are_two_tasks(clip, studio, tmp_path):
    other = make_clip(tmp_path / clip.name, coded_frames(len(VARYING), first=50), timestamps=VARYING)
    for number, path in enumerate((clip, other)):
        assert frames(path, "--out", tmp_path / str(number), "--project", PROJECT, *studio.arguments) == 0
    assert [task["data"]["video"] for task in studio.tasks] == ["a clip.mp4", "a clip.mp4"]


def test_local_files_are_served_and_looked_at(clip, studio, tmp_path, capsys):
    out = tmp_path / "media" / "cuts"
    arguments = [clip, "--out", out, "--every", 6, "--project", PROJECT, *studio.arguments]
    out.parent.mkdir()
    assert frames(*arguments, "--local-files", f"{out.parent}:/files") == 2
    assert "leave --local-files out" in capsys.readouterr().err
    assert studio.tasks == []
    first = out / "a_clip" / "frames" / "a_clip-000000.jpg"
    studio.served["cuts/a_clip/frames/a_clip-000000.jpg"] = first.read_bytes()
    assert frames(*arguments, "--local-files", f"{out.parent}:/files") == 0
    assert [storage["path"] for storage in studio.storages] == ["/files/cuts"]
    assert studio.tasks[0]["data"]["frames"][1] == "/data/local-files/?d=cuts/a_clip/frames/a_clip-000006.jpg"
    assert studio.uploads == {}


def test_a_new_project_gets_the_configuration_and_its_key(clip, studio, tmp_path, capsys):
    (tmp_path / "config.xml").write_text(OTHER_KEY, "utf-8")
    to = ["--create-project", "Street", "--label-config", tmp_path / "config.xml", *studio.arguments]
    assert frames(clip, "--out", tmp_path / "cuts", "--every", 6, *to) == 0
    assert (studio.title, studio.label_config) == ("Street", OTHER_KEY)
    assert len(studio.tasks[0]["data"]["shots"]) == 2
    assert f"project {PROJECT}: {studio.url}/projects/{PROJECT}/data" in capsys.readouterr().out
    assert frames(clip, "--out", tmp_path / "cuts", "--every", 6, *to) == 2
    assert f"give --project {PROJECT}" in capsys.readouterr().err


def test_no_project_is_made_for_a_video_that_cannot_be_read(studio, tmp_path, capsys):
    (tmp_path / "none.mp4").write_bytes(b"no video at all")
    to = ["--create-project", "Street", *studio.arguments]
    assert frames(tmp_path / "none.mp4", "--out", tmp_path / "cuts", *to) == 2
    assert "none.mp4" in capsys.readouterr().err
    assert studio.title == "A project"


def test_a_new_project_that_could_not_have_the_frames_is_not_left_behind(clip, studio, tmp_path, capsys):
    out = tmp_path / "served" / "cuts"
    to = ["--create-project", "Street", "--local-files", tmp_path, *studio.arguments]
    assert frames(clip, "--out", out, *to) == 2
    said = capsys.readouterr()
    assert "does not serve files" in said.err and "project 3" not in said.out
    assert (studio.deleted, studio.tasks) == ([PROJECT], [])
    for file in out.rglob("*.jpg"):
        studio.served[file.relative_to(tmp_path).as_posix()] = file.read_bytes()
    assert frames(clip, "--out", out, "--create-project", "Avenue", *to[2:]) == 0
    assert (studio.deleted, len(studio.tasks)) == ([PROJECT], 1)


def test_a_new_project_that_cannot_be_deleted_either_is_told_beside_the_reason(clip, studio, tmp_path, capsys):
    studio.refuses[f"DELETE /api/projects/{PROJECT}"] = 403
    to = ["--create-project", "Street", "--local-files", tmp_path, *studio.arguments]
    assert frames(clip, "--out", tmp_path / "served" / "cuts", *to) == 2
    said = capsys.readouterr().err
    assert "does not serve files" in said
    assert f"project {PROJECT}, which was made for it, could not be deleted" in said


def test_a_project_for_something_else_is_refused_before_anything_is_cut(clip, studio, tmp_path, capsys):
    studio.label_config = '<View><Video name="v" value="$video"/></View>'
    assert frames(clip, "--out", tmp_path / "cuts", "--project", PROJECT, *studio.arguments) == 2
    assert f"project {PROJECT} cannot have frames of a video" in capsys.readouterr().err
    assert not (tmp_path / "cuts").exists()


def test_an_upload_that_fails_leaves_no_task_and_no_file(clip, studio, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(uploads, "MOST_FILES", 5)
    send = uploads.Uploads._send

    def fail_at_the_second(self, paths):
        if studio.batches:
            studio.refuses[f"POST /api/projects/{PROJECT}/import"] = 500
        return send(self, paths)

    monkeypatch.setattr(uploads.Uploads, "_send", fail_at_the_second)
    assert frames(clip, "--out", tmp_path / "cuts", "--project", PROJECT, *studio.arguments) == 2
    assert "answered 500" in capsys.readouterr().err
    assert (studio.batches, studio.uploads, studio.tasks) == ([5], {}, [])


def test_an_import_whose_answer_is_lost_keeps_its_images(clip, studio, tmp_path, monkeypatch):
    """The task may have been made."""
    add = uploads.Uploads.add

    def refuse_what_follows(self, *arguments):
        found = add(self, *arguments)
        studio.refuses[f"POST /api/projects/{PROJECT}/import"] = 504
        return found

    monkeypatch.setattr(uploads.Uploads, "add", refuse_what_follows)
    assert frames(clip, "--out", tmp_path / "cuts", "--project", PROJECT, *studio.arguments) == 2
    assert len(studio.uploads) == 12


@pytest.mark.parametrize("moment", ["cutting", "uploading"])
def test_ctrl_c_keeps_the_videos_that_are_done(clip, studio, tmp_path, monkeypatch, capsys, moment):
    second = make_clip(tmp_path / "second.mp4", coded_frames(6), fps=10)
    asked = (
        (lambda self: (tmp_path / "cuts" / "a_clip").exists() and bool(studio.tasks))
        if moment == "cutting"
        else (lambda self: (tmp_path / "cuts" / "second").exists())
    )
    monkeypatch.setattr("backend.cli.interrupts.Interrupts.asked", property(asked))
    arguments = [clip, second, "--out", tmp_path / "cuts", "--project", PROJECT, *studio.arguments]
    assert frames(*arguments) == 130
    assert "interrupted at second.mp4; what was done before stays, and the same command goes" in capsys.readouterr().out
    assert [task["data"]["video"] for task in studio.tasks] == ["a clip.mp4"]
    assert len(studio.uploads) == 12
    assert (tmp_path / "cuts" / "second").exists() == (moment == "uploading")
    monkeypatch.undo()
    assert frames(*arguments) == 0
    assert [task["data"]["video"] for task in studio.tasks] == ["a clip.mp4", "second.mp4"]


def test_ctrl_c_in_a_new_project_says_which_it_is(clip, studio, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("backend.cli.interrupts.Interrupts.asked", property(lambda self: studio.title == "Street"))
    assert frames(clip, "--out", tmp_path / "cuts", "--create-project", "Street", *studio.arguments) == 130
    assert f"the same command with --project {PROJECT} goes on with it" in capsys.readouterr().out
    assert studio.tasks == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--project", "3"], "KEYTRACK_LABEL_STUDIO_TOKEN"),
        (["--start", "9"], "no frame lies at or after 9 s"),
        (["--label-config", "nowhere.xml"], "--label-config nowhere.xml: cannot be read"),
        (["--local-files", "/proc"], "is not in /proc, from which Label Studio serves files"),
    ],
)
def test_mistakes_are_named(clip, tmp_path, capsys, arguments, message):
    assert frames(clip, "--out", tmp_path / "cuts", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_projects_own_configuration_is_not_replaced(clip, studio, tmp_path, capsys):
    options = ["--label-config", LABEL_CONFIG, "--project", PROJECT, *studio.arguments]
    assert frames(clip, "--out", tmp_path / "cuts", *options) == 2
    assert "--label-config: a project has its own" in capsys.readouterr().err


def test_two_videos_of_a_name_are_refused(clip, tmp_path, capsys):
    assert frames(clip, tmp_path / "A clip.mov", "--out", tmp_path / "cuts") == 2
    assert "would go to one directory" in capsys.readouterr().err
    assert not (tmp_path / "cuts").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--every", "0"],
        ["--every", "2", "--fps", "5"],
        ["--fps", "-1"],
        ["--start", "1:2:3:4"],
        ["--start", "x:5"],
        ["--end", "-1"],
        ["--quality", "96"],
        ["--max-side", "0"],
        ["--project", "3", "--create-project", "A"],
        ["--local-files", "/nowhere/at/all"],
        ["--local-files", "/proc:relative"],
    ],
)
def test_values_that_cannot_be_used(clip, tmp_path, arguments, capsys):
    with pytest.raises(SystemExit) as end:
        frames(clip, "--out", tmp_path / "cuts", *arguments)
    assert end.value.code == 2
    assert arguments[0] in capsys.readouterr().err
