"""The same project of a real Label Studio by its API and by its own JSON export."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from label_studio_sdk.converter import brush

from backend.__main__ import main
from backend.demo.project import LABEL_CONFIG
from backend.demo.studio import Studio
from support.clips import coded_frames, make_clip
from support.exports import brush_region, keyframe, video_region, write_export, write_images

pytestmark = pytest.mark.slow

PICTURES = """<View><Image name="img" valueList="$frames"/>
<BrushLabels name="brushlabels" toName="img"><Label value="Person"/><Label value="Car"/></BrushLabels></View>"""
TRACK = [keyframe(2, x=5, y=5), keyframe(9, x=40, y=10, enabled=False), keyframe(12, x=30, y=60)]
SECOND = [keyframe(1, x=50, y=50, rotation=15), keyframe(15, x=60, y=40, rotation=45)]


@dataclass
class Given:
    """A project, its own JSON exports, and the directory of what was uploaded."""

    id: int
    exported: list[dict]
    interpolated: list[dict]
    media: Path


def upload(studio: Studio, project: int, path: Path, kind: str) -> str:
    with path.open("rb") as file:
        uploaded = studio.client.call(
            "POST",
            f"/api/projects/{project}/import",
            files={"file": (path.name, file, kind)},
            params={"commit_to_project": "false"},
        )
    found = studio.client.get(f"/api/import/file-upload/{uploaded['file_upload_ids'][0]}")
    return "/data/" + found["file"].lstrip("/").removeprefix("data/")


def make(
    studio: Studio, title: str, config: str, media: Path, data: list[dict], results: list[list[dict] | None]
) -> Given:
    project = studio.client.post("/api/projects", {"title": title, "label_config": config})["id"]
    for item in data:
        for key, value in item.items():
            if isinstance(value, Path):
                item[key] = upload(studio, project, value, "video/mp4")
            elif isinstance(value, list):
                item[key] = [upload(studio, project, path, "image/png") for path in value]
    body = [{"data": item} for item in data]
    tasks = studio.client.post(f"/api/projects/{project}/import", body, return_task_ids="true")["task_ids"]
    for number, result in zip(tasks, results, strict=True):
        if result is not None:
            studio.client.post(f"/api/tasks/{number}/annotations", {"result": result})
    path, options = f"/api/projects/{project}/export", {"exportType": "JSON", "download_all_tasks": "true"}
    plain = studio.client.get(path, **options)
    return Given(project, plain, studio.client.get(path, **options, interpolate_key_frames="true"), media)


@pytest.fixture(scope="module")
def videos(studio, tmp_path_factory) -> Given:
    """A clip of ten frames a second and one of a variable rate, each with objects; and a task that nobody did."""
    media = tmp_path_factory.mktemp("videos")
    first = make_clip(media / "a clip (1).mp4", coded_frames(20), fps=10)
    times = [index / 10 + (0.35 if index > 6 else 0) for index in range(20)]
    second = make_clip(media / "varying.mp4", coded_frames(20), timestamps=times)
    data = [{"video": path, "fps": 10} for path in (first, second, first)]
    timing = {"framesCount": 20, "duration": 2.0}
    result = [video_region("track", TRACK, **timing), video_region("turned", SECOND, "Animal", **timing)]
    return make(studio, "videos", LABEL_CONFIG.read_text("utf-8"), media, data, [result, [result[0]], None])


@pytest.fixture(scope="module")
def pictures(studio, tmp_path_factory) -> Given:
    media = tmp_path_factory.mktemp("pictures")
    images = write_images(media, 3)
    mask = np.zeros((30, 40), bool)
    mask[5:15, 8:20] = True
    by_sdk = brush_region("sdk", 2, mask, "Person")
    by_sdk["value"]["rle"] = brush.mask2rle((255 * mask).astype(np.uint8))
    result = [brush_region("ours", 0, mask), brush_region("ours2", 2, ~mask), by_sdk]
    return make(studio, "pictures", PICTURES, media, [{"frames": images}], [result])


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def by_api(studio: Studio, project: int, out: Path, formats: str, *options: str) -> dict[str, bytes]:
    access = ["--label-studio-url", studio.url, "--label-studio-token", studio.account.token]
    data = ["--data-dir", str(out.parent / "data")]
    assert main(["export", f"project:{project}", "--format", formats, "--out", str(out), *access, *data, *options]) == 0
    return files(out)


def by_file(tasks: list[dict], out: Path, formats: str, *options: str) -> dict[str, bytes]:
    source = write_export(out.with_suffix(".json"), tasks, indent=None)
    assert main(["export", str(source), "--format", formats, "--out", str(out), *options]) == 0
    return files(out)


def test_videos_by_the_api_and_by_the_file_are_the_same(studio, videos, tmp_path):
    formats = "coco,yolo-detect,mot"
    live = by_api(studio, videos.id, tmp_path / "live", formats)
    configured = ["--media", str(videos.media), "--label-config", str(LABEL_CONFIG)]
    assert by_file(videos.exported, tmp_path / "file", formats, *configured) == live
    first, second, _ = sorted(task["id"] for task in videos.exported)
    assert {name.split("/")[1] for name in live if name.startswith("mot/") and "/gt/" in name} == {
        f"{first}-a_clip_1",
        f"{second}-varying",
    }
    rows = [line.split(b",") for line in live[f"mot/{second}-varying/gt/gt.txt"].split()]
    # The file's 7th frame stays from Label Studio's 7 to 11: the keyframe at 9 is on it, and hides nothing of the file
    # before the next keyframe, at 12 on the 8th.
    assert [int(row[0]) for row in rows] == list(range(2, 21))
    assert [float(side) for side in rows[5][2:4]] == pytest.approx([1 + 0.4 * 160, 1 + 0.1 * 120])
    assert [float(side) for side in rows[6][2:4]] == pytest.approx([1 + 0.3 * 160, 1 + 0.6 * 120])


def test_what_label_studio_interpolates_itself_is_the_same(videos, tmp_path):
    """Its export with a keyframe on each frame, where each frame shows once."""
    options = ["--media", str(videos.media), "--pictures", "none"]
    plain = by_file(videos.exported, tmp_path / "plain", "mot", *options)
    keyframes = [len(item["value"]["sequence"]) for item in videos.interpolated[0]["annotations"][0]["result"]]
    assert keyframes[0] > 3
    dense = by_file(videos.interpolated, tmp_path / "dense", "mot", *options)
    assert dense.keys() == plain.keys()
    first = min(task["id"] for task in videos.exported)
    tables = [
        np.loadtxt(found[f"mot/{first}-a_clip_1/gt/gt.txt"].splitlines(), delimiter=",") for found in (plain, dense)
    ]
    assert tables[1] == pytest.approx(tables[0])


def test_pictures_by_the_api_and_by_the_file_are_the_same(studio, pictures, tmp_path):
    formats = "coco,davis,mots"
    live = by_api(studio, pictures.id, tmp_path / "live", formats)
    config = tmp_path / "config.xml"
    config.write_text(PICTURES, "utf-8")
    options = ["--media", str(pictures.media), "--label-config", str(config)]
    assert by_file(pictures.exported, tmp_path / "file", formats, *options) == live
    categories = json.loads(live["coco/annotations.json"])["categories"]
    assert [item["name"] for item in categories] == ["Person", "Car"]


def test_one_file_for_two_uploads_of_a_name(studio, videos, tmp_path, capsys):
    """The third task's video is the first one's, uploaded once more."""
    with_third = json.loads(json.dumps(videos.exported))
    with_third[2]["annotations"] = with_third[0]["annotations"]
    with_third[2]["data"]["video"] = "/data/upload/1/ffffffff-a_clip_1.mp4"
    source = write_export(tmp_path / "t.json", with_third)
    out = ["--out", str(tmp_path / "out"), "--media", str(videos.media)]
    assert main(["export", str(source), "--format", "mot", *out]) == 2
    assert "are different uploads" in capsys.readouterr().err
