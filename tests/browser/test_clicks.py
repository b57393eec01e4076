"""Clicks on pictures as an annotator makes them, in Chromium against a real Label Studio.

The tracker is a fake, so that what is right is known exactly on every picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.demo.studio import Studio
from backend.labelstudio.picture_config import parse_picture_config
from backend.labelstudio.picture_marks import parse_marks
from backend.tracks import Mask
from support.browser import LabelingPage, browser_page
from support.fake_tracker import PATIENCE, FakeTracker
from support.picture_page import PicturePage
from support.slides import ADDRESSES, CONFIG, COUNT, mask_of, write_slides
from support.studio import serving

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ACCURACY = 0.5  # of a click, in pixels of the picture, which is shown several times as large


@pytest.fixture
def tracker() -> FakeTracker:
    return FakeTracker()


@pytest.fixture
def task(studio: Studio, tmp_path: Path, tracker: FakeTracker) -> Iterator[tuple[int, int, int]]:
    """A project's, its task's and its backend's number: uploaded pictures, and that tracker."""
    write_slides(tmp_path)
    client = studio.client
    project = client.post("/api/projects", {"title": f"clicks {tmp_path.name}"[:50], "label_config": CONFIG})["id"]
    frames = []
    for address in ADDRESSES:
        name = address.rpartition("/")[2]
        with (tmp_path / address).open("rb") as file:
            uploaded = client.call(
                "POST",
                f"/api/projects/{project}/import",
                files={"file": (name, file, "image/png")},
                params={"commit_to_project": "false"},
            )
        upload = client.get(f"/api/import/file-upload/{uploaded['file_upload_ids'][0]}")
        frames.append("/data/" + upload["file"].lstrip("/").removeprefix("data/"))
    body = [{"data": {"frames": frames, "fps": 10}}]
    made = client.post(f"/api/projects/{project}/import", body, return_task_ids="true")
    with ExitStack() as stack:
        url = stack.enter_context(serving(studio, tmp_path / "backend", lambda: tracker, budget_seconds=PATIENCE))
        backend = client.post("/api/ml", {"url": url, "is_interactive": True, "title": "Keytrack", "project": project})
        yield project, made["task_ids"][0], backend["id"]


def saved_result(studio: Studio, task: int) -> list[dict[str, Any]]:
    (annotation,) = studio.client.get(f"/api/tasks/{task}/annotations")
    result: list[dict[str, Any]] = annotation["result"]
    return result


def test_clicks_make_a_mask_and_track_carries_it(
    studio: Studio, task: tuple[int, int, int], tracker: FakeTracker, shots: Path
) -> None:
    with browser_page() as tab:
        LabelingPage(tab, studio.url).sign_in(studio.account)
        page = PicturePage(tab)
        page.open(f"{studio.url}/projects/{task[0]}/data?task={task[1]}")
        page.switch_auto_annotation_on()
        page.take_smart_tool()

        (suggested,) = page.click("1", 50, 40)
        assert mask_of(suggested)[40, 50]
        page.screenshot(shots / "click.png")
        page.click("1", 70, 40)
        (refined,) = page.click("1", 60, 80, positive=False)
        page.screenshot(shots / "clicks.png")
        assert refined["id"] == suggested["id"]
        prompt, _ = tracker.clicks[-1]
        assert [one.positive for one in prompt.points] == [True, True, False]
        spots = [(one.x, one.y) for one in prompt.points]
        assert np.allclose(spots, [(50, 40), (70, 40), (60, 80)], atol=ACCURACY)
        page.accept()
        (accepted,) = page.regions()
        assert (accepted["id"], accepted["type"], accepted["labels"]) == (refined["id"], "brushregion", ["Car"])

        tracked = page.click("t", 140, 100)
        assert [item["item_index"] for item in tracked] == list(range(COUNT))
        page.screenshot(shots / "track-suggested.png")
        page.accept()
        page.next()
        page.next()
        page.screenshot(shots / "track-accepted.png")
        regions = page.regions()
        assert sorted(one["index"] for one in regions) == list(range(COUNT))
        assert {tuple(one["labels"]) for one in regions} == {("Car",)}

        again = page.click("t", 140, 100)
        page.accept()
        assert {item["id"] for item in again} == {one["id"] for one in page.regions()}

        page.paint("8", (20, 90), (60, 90))
        page.screenshot(shots / "painted.png")
        page.take_smart_tool()
        people: dict[int, dict[str, Any]] = {}
        for _ in range(12):  # what was painted comes with the draft, which Label Studio saves a while later
            both = page.click("t", 140, 100)
            page.accept()
            people = {item["item_index"]: item for item in both if item["value"]["brushlabels"] == ["Person"]}
            if people:
                break
        assert sorted(people) == list(range(2, COUNT))
        assert mask_of(people[2])[90, 22:58].all() and not mask_of(people[2])[:60].any()
        assert mask_of(people[7])[90, 27:63].all()
        assert len(page.regions()) == len(both) == 2 * COUNT - 2
        page.screenshot(shots / "painted-tracked.png")
        page.submit()

        marks = parse_marks(saved_result(studio, task[1]), parse_picture_config(CONFIG), COUNT).masks
        expected = {item["id"]: Mask.from_array(mask_of(item)) for item in both}
        assert {mark.id for mark in marks} == set(expected)
        assert {mark.object_id for mark in marks} == {refined["meta"]["track_id"], people[2]["id"]}
        assert all(mark.shows(expected[mark.id]) for mark in marks)

    # What the browser has drawn anew and saved is still the model's.
    asked = {**tracked[0], "id": "again", "from_name": "click", "type": "keypointlabels"}
    asked["value"] = {"x": 90, "y": 90, "width": 0.2, "keypointlabels": ["Track"]}
    reply = studio.client.post(
        f"/api/ml/{task[2]}/interactive-annotating", {"task": task[1], "context": {"result": [asked]}}
    )
    assert {item["id"] for item in reply["data"]["result"]} == set(expected)
    assert len(tracker.calls) == 2
    (start,) = tracker.calls[0].prompts
    assert start.mask is not None
    assert (start.mask == mask_of(refined)).all()
