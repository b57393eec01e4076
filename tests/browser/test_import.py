"""What ``track`` writes, imported into a real Label Studio and opened there."""

import json
import os
from pathlib import Path

import pytest

from backend.__main__ import main
from backend.cli import track
from backend.demo.project import LABEL_CONFIG
from backend.demo.studio import STUDIO_SETTINGS
from support.browser import LabelingPage, browser_page
from support.choices import LITE
from support.clips import make_clip, moving_boxes_scene
from support.fake_tracker import FakeTracker

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDTH, HEIGHT, FRAMES, FPS = 320, 240, 30, 10


def test_an_imported_track_opens_as_keyframes(studio, monkeypatch, tmp_path):
    videos = Path(STUDIO_SETTINGS["LOCAL_FILES_DOCUMENT_ROOT"]) / "tracked"
    videos.mkdir()
    video = make_clip(videos / "a clip.mp4", moving_boxes_scene(FRAMES, (WIDTH, HEIGHT)).frames, fps=FPS)
    tracker = FakeTracker((3, 1))
    tracker.absent = frozenset({12, 13})
    monkeypatch.setattr(track, "choose", lambda settings: LITE)
    monkeypatch.setattr(track, "tracker_factory", lambda settings, choice: lambda: tracker)
    out = tmp_path / "out"
    prompt = "a car:Car@5 box=60,50,120,110"
    assert main(["track", str(video), "--prompt", prompt, "--out", str(out), "--span", "2-20"]) == 0

    config = LABEL_CONFIG.read_text("utf-8")
    project = studio.client.post("/api/projects", {"title": "Imported", "label_config": config})["id"]
    storage = {"project": project, "path": str(videos), "use_blob_urls": True}
    studio.client.post("/api/storages/localfiles", storage)
    tasks = json.loads((out / "label_studio.json").read_text("utf-8"))
    imported = studio.client.post(f"/api/projects/{project}/import", tasks, return_task_ids="true")
    assert imported["prediction_count"] == 1

    with browser_page() as tab:
        page = LabelingPage(tab, studio.url)
        page.sign_in(studio.account)
        page.open(f"{studio.url}/projects/{project}/data?task={imported['task_ids'][0]}")
        tab.wait_for_function("() => Htx.annotationStore.selected.regions.length === 1")
        page.screenshot(Path(os.environ.get("SCREENSHOTS_DIR") or tmp_path) / "imported.png")
        (region,) = page.regions()
        assert region["labels"] == ["Car"]
        assert region["note"] == ["Keytrack: tracked 3-21, absent 13-14"]
        for index in range(FRAMES):
            shown = page.shown_box(region["id"], index + 1, WIDTH, HEIGHT)
            if 2 <= index <= 20 and index not in tracker.absent:
                dx, dy = 3 * (index - 5), index - 5
                assert shown == pytest.approx((60 + dx, 50 + dy, 120 + dx, 110 + dy), abs=1.6), index
            else:
                assert shown is None, index
