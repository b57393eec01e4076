"""A video cut into a project of a real Label Studio, and what is drawn there exported as the video's."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.__main__ import main
from backend.demo.studio import STUDIO_SETTINGS, Studio
from backend.labelstudio import uploads
from support.clips import coded_frames, make_clip, read_code
from support.exports import brush_region

pytestmark = pytest.mark.slow

VARYING = [0, 0.1, 0.2, 0.6, 0.7, 0.8, 0.9, 1.0, 1.5, 1.6, 1.7, 1.8]
TAKEN = [1, 4, 7, 10]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A phone's: of a variable rate, and turned."""
    frames = (np.rot90(frame) for frame in coded_frames(len(VARYING)))
    return make_clip(tmp_path_factory.mktemp("clips") / "phone.mp4", frames, timestamps=VARYING, rotation=90)


@pytest.fixture
def access(studio: Studio) -> list[str]:
    return ["--label-studio-url", studio.url, "--label-studio-token", studio.account.token]


def frames(clip: Path, out: Path, *arguments: str) -> int:
    return main(["frames", str(clip), "--out", str(out), "--every", "3", "--start", "0.1", *arguments])


def number_of(studio: Studio, title: str) -> int:
    return next(one["id"] for one in studio.client.get("/api/projects", title=title)["results"])


def tasks_of(studio: Studio, project: int) -> list[dict]:
    return studio.client.get("/api/tasks", project=project, fields="all")["tasks"]


def served(studio: Studio, data: dict) -> list[int]:
    return [read_code(np.array(Image.open(io.BytesIO(studio.client.read(path))))) for path in data["frames"]]


def mask(index: int) -> np.ndarray:
    pixels = np.zeros((120, 160), bool)
    pixels[40:60, 4 * index : 4 * index + 30] = True
    return pixels


def test_what_is_drawn_on_uploaded_frames_is_exported_by_the_videos_own(
    studio, clip, access, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    assert frames(clip, tmp_path / "cuts", "--create-project", "A phone's video", *access) == 0
    project = number_of(studio, "A phone's video")
    (task,) = tasks_of(studio, project)
    assert served(studio, task["data"]) == task["data"]["indices"] == TAKEN
    assert frames(clip, tmp_path / "cuts", "--project", str(project), *access) == 0
    assert len(tasks_of(studio, project)) == 1
    assert "has these frames already" in capsys.readouterr().out

    drawn = [
        brush_region(f"a-{at}", at, mask(TAKEN[at]), from_name="brush", meta={"track_id": "a"}) for at in (0, 2, 3)
    ]
    studio.client.post(f"/api/tasks/{task['id']}/annotations", {"result": drawn})
    out = tmp_path / "out"
    data = ["--data-dir", str(tmp_path / "data")]
    assert main(["export", f"project:{project}", "--format", "davis,mots", "--out", str(out), *access, *data]) == 0
    name = f"{task['id']}-phone"
    for kind, suffix in (("Annotations", "png"), ("JPEGImages", "jpg")):
        found = sorted(path.name for path in (out / "davis" / kind / "480p" / name).iterdir())
        assert found == [f"{index:05d}.{suffix}" for index in TAKEN]
    for at, index in enumerate(TAKEN):
        picture = np.array(Image.open(out / f"davis/JPEGImages/480p/{name}/{index:05d}.jpg"))
        assert read_code(picture) == index
        painted = np.array(Image.open(out / f"davis/Annotations/480p/{name}/{index:05d}.png"))
        assert np.array_equal(painted == 1, mask(index) & (at != 1))
    assert (out / "mots" / name / "frames.csv").read_text().split() == ["frame,index", "1,1", "2,4", "3,7", "4,10"]


def test_frames_are_served_from_where_they_lie(studio, clip, access, tmp_path):
    root = Path(STUDIO_SETTINGS["LOCAL_FILES_DOCUMENT_ROOT"])
    arguments = ["--create-project", "Served from disk", "--local-files", str(root), *access]
    assert frames(clip, root / "my cuts", *arguments) == 0
    project = number_of(studio, "Served from disk")
    (task,) = tasks_of(studio, project)
    assert task["data"]["frames"][0] == "/data/local-files/?d=my%20cuts/phone/frames/phone-000001.jpg"
    assert served(studio, task["data"]) == TAKEN
    (storage,) = studio.client.get("/api/storages/localfiles", project=project)
    studio.client.post(f"/api/storages/localfiles/{storage['id']}/sync")
    assert len(tasks_of(studio, project)) == 1  # and no task of every image


def test_a_directory_that_label_studio_does_not_serve_from_is_told(studio, clip, access, tmp_path, capsys):
    arguments = ["--create-project", "Nowhere", "--local-files", str(tmp_path), *access]
    assert frames(clip, tmp_path / "cuts", *arguments) == 2
    said = capsys.readouterr().err
    assert f"LOCAL_FILES_DOCUMENT_ROOT={tmp_path}" in said
    assert "leave --local-files out" in said
    assert studio.client.get("/api/projects", title="Nowhere")["results"] == []
