"""The status page, the list of tracks, and pictures of tasks."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.service import thumbnails
from backend.service.store import DATABASE
from support.clips import coded_frames, make_clip
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import DRAWN, FPS, FRAMES, Background, Service, advance, finish, keyframe, moved, region
from support.slides import COUNT, Annotator, write_slides

Start = Callable[..., Service]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PERSON = region("p", keyframe(5, 10, 80, 12, 30), label="Person")


class Text(HTMLParser):
    """What a page says, its styles and scripts aside, and the addresses in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.progress: list[dict[str, str | None]] = []
        self._hidden = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "script")
        self.addresses += [value for name, value in attrs if name in ("href", "src") and value]
        if tag == "progress":
            self.progress.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += data.split()

    def __str__(self) -> str:
        return " ".join(self.words)


def page(service: Service) -> Text:
    reply = service.client.get("/", headers=BROWSER)
    assert (reply.status_code, reply.mimetype) == (200, "text/html")
    return Text(reply.get_data(as_text=True))


# --- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (BROWSER["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("image/png", "application/json"),
        (None, "application/json"),
    ],
)
def test_browsers_get_the_page_and_programs_the_health(service: Service, accept: str | None, mimetype: str) -> None:
    reply = service.client.get("/", headers={} if accept is None else {"Accept": accept})
    assert reply.mimetype == mimetype
    if mimetype == "application/json":
        assert reply.get_json() == service.client.get("/health", headers=BROWSER).get_json()


def test_before_anything_was_tracked(service: Service) -> None:
    said = str(page(service))
    assert "profile lite device cpu models mobile_sam + sam_tokens, not loaded yet" in said
    assert "Nothing to do. Tracks Nothing was tracked yet." in said
    assert service.built == 0


def test_complete_tracks_have_their_notes_their_files_and_a_picture(service: Service) -> None:
    service.keytrack.remember("1", "http://studio:8080/", "s3cret-token")
    service.tracker.absent = frozenset({25})
    service.press_one(region("a", DRAWN))
    service.press_one(PERSON)
    found = page(service)
    assert "models mobile_sam + sam_tokens, loaded" in str(found)
    assert (
        "clip.mp4 task 1 of project 1 masks: DAVIS COCO boxes: MOT Car a complete tracked 1-30, absent 26 Person p"
        in str(found)
    )
    assert "http://studio:8080/projects/1/data?task=1" in found.addresses
    assert "/tracks/1/1/davis.zip" in found.addresses
    (picture,) = [address for address in found.addresses if "thumbnail" in address]
    assert service.client.get(picture).mimetype == "image/jpeg"


def test_what_changes_in_the_page_can_be_had_alone(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    live = service.client.get("/?live", headers=BROWSER).get_data(as_text=True)
    assert live in service.client.get("/", headers=BROWSER).get_data(as_text=True)
    assert "complete" in live and "<style" not in live and "<script" not in live


def test_work_that_is_under_way(start: Start) -> None:
    service = start(FakeTracker(paced=True))
    waiting = Background(lambda: service.press_one(region("a", DRAWN)))
    advance(service, 12)
    service.keytrack._store.flush()
    found = page(service)
    assert "At work task 1 of project 1 tracking, somebody waits for it, 12 of 30 frames" in str(found)
    assert "Car a tracking 12 of 30 frames" in str(found)
    assert [(one["value"], one["max"]) for one in found.progress] == [("12", "30"), ("12", "30")]
    assert not any("davis.zip" in address for address in found.addresses)
    service.tracker.release()
    waiting.result()


def test_the_progress_of_one_direction_is_of_its_frames(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    drawn = region("a", DRAWN)
    service.press(drawn, {**drawn, "from_name": "mode", "type": "choices", "value": {"choices": ["backward"]}})
    advance(service, 4)
    service.keytrack._store.flush()
    assert [(one["value"], one["max"]) for one in page(service).progress] == [("4", "10")] * 2


def test_of_a_correction_only_the_frames_that_are_done_are_known(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(velocity=(0, 0), paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    service.press_one(moved(first, 20, x=10.0))
    advance(service, 3)
    service.keytrack._store.flush()
    found = page(service)
    assert "task 1 of project 1 tracking, 3 frames" in str(found)
    assert found.progress == []
    finish(service)


def test_why_a_track_was_not_made(start: Start) -> None:
    tracker = FakeTracker()
    tracker.fails_at = {12: ValueError("secret internals")}
    service = start(tracker)
    service.press_one(region("a", DRAWN))
    said = str(page(service))
    assert "Car a stopped an internal error; the log of the backend has the details." in said
    assert "secret" not in said


def test_a_track_that_a_restart_interrupted(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    service.close()
    assert "Car a interrupted the next press takes it up again" in str(page(start()))


def test_what_others_wrote_is_text_and_no_page(start: Start, tmp_path: Any) -> None:
    name = "<img src=x onerror=alert(1)>.mp4"
    make_clip(tmp_path / "media" / name, coded_frames(FRAMES), fps=FPS)
    service = start()
    service.keytrack.remember("1", "javascript:alert(1)", "s3cret-token")
    evil = '"><script>alert(1)</script>'
    service.press_one(region(evil, DRAWN, label="<b>Car</b>"), data={"video": name, "fps": FPS})
    reply = service.client.get("/", headers=BROWSER)
    text = reply.get_data(as_text=True)
    assert "<script>alert" not in text and "<b>Car" not in text and "<img src=x" not in text
    assert "javascript:" not in text
    assert f"{name} task 1 of project 1" in str(Text(text)) and f"<b>Car</b> {evil}" in str(Text(text))
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_tokens_and_signatures_are_not_shown(service: Service) -> None:
    service.keytrack.remember("1", "http://studio:8080", "s3cret-token", {"key": "s3cret-token"})
    service.press_one(region("a", DRAWN))
    signed = "https://media.example.org/film.mp4?X-Amz-Signature=s3cret"
    with sqlite3.connect(service.settings.data_dir / DATABASE) as db:
        db.execute("UPDATE tracks SET source = ?", (f'["{signed}", 10, "m"]',))
    for reply in (service.client.get("/", headers=BROWSER), service.client.get("/tracks")):
        assert "film.mp4" in reply.get_data(as_text=True)
        assert "s3cret" not in reply.get_data(as_text=True)


@pytest.mark.parametrize(
    ("video", "title", "files"),
    [
        ("/data/upload/1/0a1b2c3d-a%20street.mp4", "a street.mp4", True),
        ("/data/local-files/?d=videos/street.mp4", "street.mp4", True),
        ("https://media.example.org/", "video", True),
        (f"30 pictures {'0f' * 32}", "30 pictures", False),
    ],
)
def test_what_was_tracked_is_called_as_its_owner_calls_it(
    service: Service, video: str, title: str, files: bool
) -> None:
    service.press_one(region("a", DRAWN))
    with sqlite3.connect(service.settings.data_dir / DATABASE) as db:
        db.execute("UPDATE tracks SET source = ?", (json.dumps([video, 10, "m"]),))
    found = page(service)
    assert f"Tracks no picture {title} task 1" in str(found)
    assert ("/tracks/1/1/davis.zip" in found.addresses) == files
    assert service.client.get("/tracks").get_json()["tracks"][0]["video"] == title


def test_tracks_over_pictures_are_shown_without_files(service: Service) -> None:
    assert service.settings.media_root is not None
    write_slides(service.settings.media_root)
    annotator = Annotator(service)
    annotator.box(2, (40, 30, 80, 60), "Car")
    annotator.accept()
    annotator.track(2)
    found = page(service)
    assert f"no picture {COUNT} pictures task 1 of project 1 Car" in str(found)
    assert "complete tracked 3-12" in str(found)
    assert not any("davis.zip" in address for address in found.addresses)
    reply = service.client.get("/tracks/1/1/davis.zip")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "not-kept")


def test_the_page_answers_while_a_track_is_stuck_and_while_models_are_loaded(start: Start) -> None:
    service = start(FakeTracker(paced=True))
    waiting = Background(lambda: service.press_one(region("a", DRAWN)))
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    # The worker is inside the tracker, and holds what it holds.
    assert "tracking, somebody waits for it" in str(page(service))
    service.tracker.release()
    waiting.result()


def test_of_many_tasks_the_last_are_shown(service: Service) -> None:
    for number in range(1, 15):
        service.press_one(region("a", DRAWN), number=number)
    said = str(page(service))
    assert "The last 12 of 14 tasks." in said
    assert said.index("task 14 of") < said.index("task 3 of")
    assert "task 2 of" not in said


# --- the list ------------------------------------------------------------------------------------


def test_the_list_of_tracks(service: Service) -> None:
    assert service.client.get("/tracks").get_json() == {"tracks": []}
    first, _ = service.press(region("a", DRAWN), region("b", DRAWN))
    service.press_one(PERSON, number=2)
    service.press(first)
    found = service.client.get("/tracks").get_json()["tracks"]
    assert found[0] == {
        "project": "1",
        "task": "1",
        "region": "a",
        "label": "Car",
        "state": "complete",
        "frames": FRAMES,
        "revision": 1,
        "video": "clip.mp4",
        "problem": None,
    }
    assert [(one["task"], one["region"]) for one in found] == [("1", "a"), ("2", "p")]
    for query, regions in [("task=2", ["p"]), ("project=1&tasks=1", ["a"]), ("project=2", []), ("task=3", [])]:
        assert [one["region"] for one in service.client.get(f"/tracks?{query}").get_json()["tracks"]] == regions


@pytest.mark.parametrize("number", ["0", "1001", "-1", "x", "", "1e3", "²"])
def test_a_number_of_tasks_that_cannot_be_is_refused(service: Service, number: str) -> None:
    reply = service.client.get("/tracks", query_string={"tasks": number})
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (400, "bad-payload")


def test_the_states_of_tracks_in_the_list(start: Start) -> None:
    service = start(FakeTracker(paced=True), budget=0.05)
    service.press_one(region("a", DRAWN))
    (track,) = service.client.get("/tracks").get_json()["tracks"]
    assert (track["state"], track["revision"]) == ("tracking", 1)
    service.close()
    (track,) = start().client.get("/tracks").get_json()["tracks"]
    assert track["state"] == "interrupted"


# --- pictures ------------------------------------------------------------------------------------


def picture(service: Service, query: str = "") -> Any:
    reply = service.client.get(f"/tracks/1/1/thumbnail.jpg{query}")
    assert (reply.status_code, reply.mimetype) == (200, "image/jpeg"), reply.get_data()
    with Image.open(io.BytesIO(reply.get_data())) as image:
        return np.array(image).astype(int)


def test_a_picture_is_the_frame_that_shows_most_objects(service: Service) -> None:
    """The second object is there on the frames 25 to 29 alone; the middle one is 27."""
    drawn = region("b", keyframe(28, 20, 80, 24, 24))
    service.tracker.velocity = (0, 0)
    service.press_one(region("p", keyframe(28, 90, 20, 30, 24), label="Person"))
    service.tracker.absent = frozenset(range(25))
    service.press_one(drawn)
    shown = picture(service)
    assert shown.shape == (120, 160, 3)
    plain = next(image for number, image in enumerate(coded_frames(FRAMES)) if number == 27)
    difference = np.abs(shown - plain).max(axis=2) > 60
    assert difference[20:44, 90:120].any() and difference[80:104, 20:44].any()
    difference[20:44, 90:120] = difference[80:104, 20:44] = False
    assert not difference.any()


def test_a_large_picture_is_made_small(start: Start, tmp_path: Any) -> None:
    make_clip(tmp_path / "media" / "large.mp4", coded_frames(4, 1280, 720), fps=FPS)
    service = start()
    service.press_one(region("a", keyframe(1, 40, 30, 32, 24)), data={"video": "large.mp4", "fps": FPS})
    assert picture(service).shape == (144, 256, 3)


def test_a_picture_is_made_once_and_anew_after_a_change(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    first = service.press_one(region("a", DRAWN))
    before = picture(service)
    opened: list[Any] = []
    reader = thumbnails.VideoReader
    monkeypatch.setattr(thumbnails, "VideoReader", lambda *args, **more: opened.append(1) or reader(*args, **more))
    np.testing.assert_array_equal(picture(service), before)
    assert opened == []
    service.press_one(moved(first, 10, x=5.0))
    assert np.abs(picture(service) - before).max() > 60
    assert opened == [1]


def test_no_more_than_so_many_pictures_are_kept(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnails, "MOST_KEPT", 2)
    for number in (1, 2, 3):
        service.press_one(region("a", DRAWN), number=number)
        service.client.get(f"/tracks/1/{number}/thumbnail.jpg")
    assert len(service.keytrack.overview.thumbnails._kept) == 2


@pytest.mark.parametrize(("query", "cached"), [("", "no-store"), ("?v=1.1", "private, max-age=3600")])
def test_a_picture_is_cached_under_the_address_of_its_version(service: Service, query: str, cached: str) -> None:
    service.press_one(region("a", DRAWN))
    assert service.client.get(f"/tracks/1/1/thumbnail.jpg{query}").headers["Cache-Control"] == cached


def test_where_the_video_is_gone_there_is_no_picture(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    assert service.settings.media_root is not None
    (service.settings.media_root / "clip.mp4").unlink()
    assert not any("thumbnail" in address for address in page(service).addresses)
    reply = service.client.get("/tracks/1/1/thumbnail.jpg")
    assert (reply.status_code, reply.get_json()["error"]["code"]) == (404, "not-kept")


def test_a_video_that_cannot_be_read_has_no_picture(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    assert service.settings.media_root is not None
    (service.settings.media_root / "clip.mp4").write_bytes(b"no video")
    assert service.client.get("/tracks/1/1/thumbnail.jpg").status_code == 404


@pytest.mark.parametrize("path", ["/tracks/1/1/thumbnail.jpg", "/tracks/1/1/other.zip", "/tracks/1"])
def test_what_is_not_there(service: Service, path: str) -> None:
    reply = service.client.get(path)
    assert (reply.status_code, set(reply.get_json()["error"])) == (404, {"code", "message"})


def test_pictures_do_not_wait_for_the_worker(start: Start) -> None:
    service = start()
    service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    service.press_one(PERSON)
    service.tracker.until(lambda: len(service.tracker.calls) == 1)
    assert picture(service).shape == (120, 160, 3)
    service.tracker.release()
    service.budget(PATIENCE)
