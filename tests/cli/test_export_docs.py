"""The commands in docs/export.md and in the README."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from backend.__main__ import main, make_parser
from backend.cli import track
from support.choices import LITE
from support.clips import coded_frames, make_clip
from support.exports import brush_region, keyframe, task, video_region, write_export, write_images
from support.fake_tracker import FakeTracker

ROOT = Path(__file__).parents[2]
CONFIG = """<View><Labels name="l" toName="video"><Label value="Person"/><Label value="Car"/></Labels>
<Video name="video" value="$video" frameRate="10"/><VideoRectangle name="box" toName="video"/></View>"""


def commands(name: str) -> list[list[str]]:
    """The arguments of every command that stands in a block of code."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("python -m backend ")]
    return [shlex.split(line)[3:] for line in lines]


@pytest.mark.parametrize("name", ["README.md", "docs/export.md"])
def test_every_option_is_there(name):
    found = commands(name)
    assert any(arguments[0] == "export" for arguments in found)
    for arguments in found:
        assert make_parser(arguments).parse_args(arguments).run


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A directory with what the commands name, which is the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: FakeTracker)
    (tmp_path / "videos").mkdir()
    (tmp_path / "labels.xml").write_text(CONFIG, "utf-8")
    make_clip("street.mp4", coded_frames(6), fps=10)
    tasks = []
    for number in range(1, 6):
        make_clip(f"videos/{number}.mp4", coded_frames(4), fps=10)
        data = {"video": f"/data/upload/3/0a1b2c3d-{number}.mp4", "fps": 10}
        tasks.append(task(number, data, [video_region("a", [keyframe(1), keyframe(4, x=30)])]))
    write_export(tmp_path / "project-3.json", tasks)
    images = write_images(tmp_path / "images", 3)
    regions = [brush_region(f"r{index}", index, np.ones((30, 40), bool)) for index in range(3)]
    data = {"frames": [f"/data/upload/4/0a1b2c3d-{path.name}" for path in images]}
    write_export(tmp_path / "project-4.json", task(9, data, regions))
    return tmp_path


def test_the_commands_work_one_after_the_other(files):
    for arguments in commands("docs/export.md"):
        if arguments[0] != "evaluate" and "project:3" not in arguments:
            assert main(arguments) == 0
    exports = [arguments for arguments in commands("README.md") if arguments[0] == "export"]
    (readme,) = (arguments for arguments in exports if "project:3" not in arguments)
    assert main([*readme, "--force"]) == 0
    for number, path in enumerate(sorted((files / "boxes" / "mot").glob("*/gt/gt.txt")), start=1):
        assert path.parts[-3] == f"{number}-{number}"
        assert len(path.read_text().split()) == 4
    assert sorted(path.name for path in (files / "dataset").iterdir()) == [
        "coco", "coco-video", "davis", "mot", "yolo-detect"
    ]  # fmt: skip
    assert len(list((files / "yolo" / "yolo-detect" / "images").glob("val/*.jpg"))) == 4
    assert len(list((files / "yolo" / "yolo-detect" / "images").glob("train/*.jpg"))) == 16
    rows = (files / "masks" / "mots" / "9-00000" / "gt" / "gt.txt").read_text().splitlines()
    assert [row.split()[:2] for row in rows] == [["1", "1001"], ["2", "1001"], ["3", "1001"]]
