"""A task's tracks as files, by HTTP."""

from __future__ import annotations

import io
import json
import os
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from backend.__main__ import main
from backend.export.colours import davis_palette
from backend.service import archive, track_files, zipping
from backend.service.archive import Archive
from backend.service.records import Answer, Demand, TrackKey
from backend.service.store import DATABASE, Store
from backend.service.track_files import TrackFiles
from backend.service.zipping import zipped
from backend.tracks import Mask, Observation
from support.clips import coded_frames, make_clip
from support.exports import task as exported_task
from support.exports import write_export
from support.fake_tracker import PATIENCE, FakeTracker
from support.service import (
    DRAWN,
    FPS,
    FRAMES,
    HEIGHT,
    WIDTH,
    Background,
    Service,
    finish,
    keyframe,
    moved,
    region,
)

Start = Callable[..., Service]
PERSON = region("p", keyframe(5, 10, 80, 12, 30), label="Person")


def get(service: Service, kind: str, query: str = "", task: int = 1) -> Any:
    """A file that has to be there."""
    reply = service.client.get(f"/tracks/1/{task}/{kind}{query}")
    assert reply.status_code == 200, reply.get_data()
    return reply


def refused(service: Service, kind: str, query: str = "", task: int = 1) -> tuple[int, str, str]:
    """The status, the code and the message of a file that is not to be had."""
    reply = service.client.get(f"/tracks/1/{task}/{kind}{query}")
    error = reply.get_json()["error"]
    return reply.status_code, error["code"], error["message"]


def leftovers(service: Service) -> list[str]:
    directory = service.settings.data_dir / "outgoing"
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def unzipped(reply: Any) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(reply.get_data())) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def number_maps(files: dict[str, bytes]) -> dict[int, Any]:
    """DAVIS's masks by frame."""
    found = {}
    for name, data in files.items():
        if name.endswith(".png"):
            with Image.open(io.BytesIO(data)) as image:
                assert image.mode == "P"
                assert image.getpalette()[:6] == [*davis_palette()[0], *davis_palette()[1]]
                found[int(Path(name).stem)] = np.array(image)
    return found


# --- what is in them -----------------------------------------------------------------------------


def test_davis(start: Start) -> None:
    tracker = FakeTracker()
    tracker.absent = frozenset({25})
    service = start(tracker)
    service.press_one(region("a", DRAWN))
    service.press_one(PERSON)
    reply = get(service, "davis.zip")
    assert reply.mimetype == "application/zip"
    assert reply.headers["Content-Disposition"] == "attachment; filename=project-1-task-1-davis.zip"
    files = unzipped(reply)
    assert files["ImageSets/2017/train.txt"] == b"1-clip\n"
    meaning = json.loads(files["objects.json"])["1-clip"]["objects"]
    assert meaning == {"1": {"id": "a", "label": "Car"}, "2": {"id": "p", "label": "Person"}}
    maps = number_maps(files)
    assert list(maps) == list(range(FRAMES))
    for frame, found in maps.items():
        expected = np.zeros((HEIGHT, WIDTH), int)
        if frame != 25:
            expected[80:110, 6 + frame : 18 + frame] = 2
            expected[30:54, 31 + frame : 63 + frame] = 1
        np.testing.assert_array_equal(found, expected)
    assert leftovers(service) == []


def test_coco(service: Service) -> None:
    service.press_one(region("a", keyframe(10, 40.4, 30.4, 31.3, 23.3)))
    reply = get(service, "coco.json")
    assert reply.mimetype == "application/json"
    content = reply.get_json()
    (annotation,) = content["annotations"]
    assert [one["name"] for one in content["categories"]] == ["Car"]
    assert content["videos"][0]["frame_indices"] == list(range(FRAMES))
    assert annotation["attributes"] == {"region_id": "a"}
    # The box is the human's, the mask what was made of it.
    assert annotation["bboxes"][9] == pytest.approx([40.4, 30.4, 31.3, 23.3])
    one = annotation["segmentations"][9]
    decoded = coco.decode(coco.frPyObjects(one, *one["size"])).astype(bool)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[30:54, 40:72] = True
    np.testing.assert_array_equal(decoded, expected)
    assert leftovers(service) == []


def test_mot(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    reply = get(service, "mot.txt")
    assert reply.mimetype == "text/plain"
    rows = [line.split(",") for line in reply.get_data(as_text=True).splitlines()]
    assert [int(row[0]) for row in rows] == list(range(1, FRAMES + 1))
    assert [float(value) for value in rows[9][2:6]] == pytest.approx([41, 31, 32, 24])


def test_a_file_is_what_export_writes_of_the_task(service: Service, tmp_path: Path) -> None:
    items = [service.press_one(region("a", DRAWN)), service.press_one(PERSON)]
    source = write_export(tmp_path / "e.json", [exported_task(1, {"video": "clip.mp4"}, items, project=1)])
    places = ["--media", str(service.settings.media_root), "--data-dir", str(service.settings.data_dir)]
    options = ["--frame-rate", str(FPS), "--pictures", "none", "--masks-from-store", "--out", str(tmp_path / "out")]
    assert main(["export", str(source), "--format", "davis,coco-video,mot", *places, *options]) == 0
    written = {
        path.relative_to(tmp_path / "out" / "davis").as_posix(): path.read_bytes()
        for path in (tmp_path / "out" / "davis").rglob("*")
        if path.is_file()
    }
    assert unzipped(get(service, "davis.zip")) == written
    instances = tmp_path / "out" / "coco-video" / "train" / "instances.json"
    assert get(service, "coco.json").get_data() == instances.read_bytes()
    assert get(service, "mot.txt").get_data() == (tmp_path / "out" / "mot" / "1-clip" / "gt" / "gt.txt").read_bytes()


def test_one_region_alone(service: Service) -> None:
    service.press(region("a", DRAWN), region("b", keyframe(10, 100, 80, 20, 20)))
    (annotation,) = get(service, "coco.json", "?region=b").get_json()["annotations"]
    assert annotation["attributes"] == {"region_id": "b"}


def test_deleted_regions_are_left_out_unless_they_are_asked_for(service: Service) -> None:
    first, _ = service.press(region("a", DRAWN), region("deleted", DRAWN))
    service.press(first)
    for query, regions in [("", ["a"]), ("?region=deleted", ["deleted"])]:
        found = get(service, "coco.json", query).get_json()["annotations"]
        assert [one["attributes"]["region_id"] for one in found] == regions


def test_what_was_corrected_has_its_new_masks(service: Service) -> None:
    first = service.press_one(region("a", DRAWN))
    service.press_one(moved(first, 20, x=0.0, y=0.0))
    maps = number_maps(unzipped(get(service, "davis.zip")))
    assert maps[19][0, 0] == 1
    assert maps[9][30, 40] == 1


def test_frames_whose_masks_are_missing_are_left_out_and_told(service: Service) -> None:
    service.press_one(region("a\nb", DRAWN, label="Straße"))
    with service.keytrack._store._database.transaction() as db:
        db.execute("UPDATE observations SET counts = NULL, height = NULL, width = NULL WHERE frame = 7")
    reply = get(service, "davis.zip")
    assert sorted(number_maps(unzipped(reply))) == [frame for frame in range(FRAMES) if frame != 7]
    assert reply.headers.getlist("X-Keytrack-Note") == [
        "no mask on 1 frame, the first is Label Studio's frame 8 (Stra?e a b of task 1)",
        "1 frame left out: a box has no mask there (task 1)",
    ]
    assert len(get(service, "mot.txt").get_data().splitlines()) == FRAMES


def test_tracks_of_a_video_that_the_task_had_before_are_left_out(start: Start, tmp_path: Path) -> None:
    make_clip(tmp_path / "media" / "other.mp4", coded_frames(FRAMES, WIDTH, HEIGHT), fps=FPS)
    service = start()
    service.press_one(region("a", DRAWN))
    service.press_one(PERSON, data={"video": "other.mp4", "fps": FPS})
    (annotation,) = get(service, "coco.json").get_json()["annotations"]
    assert annotation["attributes"] == {"region_id": "p"}


# --- what is not to be had -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["davis.zip", "coco.json", "mot.txt"])
@pytest.mark.parametrize(("task", "query"), [(2, ""), (1, "?region=b")])
def test_what_is_not_kept_is_told(service: Service, kind: str, task: int, query: str) -> None:
    service.press_one(region("a", DRAWN))
    status, code, message = refused(service, kind, query, task)
    assert (status, code) == (404, "not-kept")
    assert f"of task {task} of project 1" in message and "GET /tracks" in message


def test_a_track_that_is_being_made_is_told(start: Start) -> None:
    service = start()
    service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    service.press_one(PERSON)
    status, code, message = refused(service, "davis.zip")
    assert (status, code) == (409, "unfinished")
    assert "the track Person p is being made" in message and "?unfinished=skip" in message
    for query in ("?unfinished=skip", "?region=a"):
        (annotation,) = get(service, "coco.json", query).get_json()["annotations"]
        assert annotation["attributes"] == {"region_id": "a"}
    assert refused(service, "davis.zip", "?region=p&unfinished=skip")[0] == 409
    finish(service)


def test_a_track_that_failed_is_told(start: Start) -> None:
    tracker = FakeTracker()
    tracker.fails_at = {12: ValueError("secret internals")}
    service = start(tracker)
    service.press_one(region("a", DRAWN))
    status, _, message = refused(service, "coco.json")
    assert status == 409
    assert "the track Car a is not complete (an internal error" in message and "secret" not in message


def test_a_correction_that_is_being_tracked_is_told(start: Start) -> None:
    service = start()
    first = service.press_one(region("a", DRAWN))
    service.tracker = FakeTracker(velocity=(0, 0), paced=True)
    service.keytrack._engine._trackers[0] = service.tracker
    service.budget(0.05)
    service.press_one(moved(first, 20, x=10.0))
    assert refused(service, "davis.zip")[:2] == (409, "unfinished")
    finish(service)


def test_a_video_that_is_gone_is_told(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    assert service.settings.media_root is not None
    (service.settings.media_root / "clip.mp4").unlink()
    status, code, message = refused(service, "davis.zip")
    assert (status, code) == (503, "unavailable")
    assert "the video that was tracked cannot be had: task 1: 'clip.mp4': there is no such file" in message
    assert leftovers(service) == []


def test_masks_of_pictures_are_label_studios(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    with service.keytrack._store._database.transaction() as db:
        db.execute("UPDATE tracks SET source = ?", (json.dumps([f"30 pictures {'0f' * 32}", 10, "m"]),))
    status, code, message = refused(service, "davis.zip")
    assert (status, code) == (404, "not-kept")
    assert "has pictures and no video" in message


def test_an_option_that_is_none_is_refused(service: Service) -> None:
    assert refused(service, "davis.zip", "?unfinished=maybe")[:2] == (400, "bad-payload")


# --- resources -----------------------------------------------------------------------------------


def test_to_ask_whether_it_is_there_makes_nothing(service: Service) -> None:
    reply = service.client.head("/tracks/1/1/davis.zip")
    assert (reply.status_code, reply.mimetype) == (200, "application/zip")
    assert leftovers(service) == []


def test_who_goes_away_early_leaves_nothing_behind(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    reply = service.client.get("/tracks/1/1/davis.zip", buffered=False)
    assert len(leftovers(service)) == 1
    reply.close()
    assert leftovers(service) == []


def test_what_a_killed_process_left_is_removed_after_a_day(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    directory = service.settings.data_dir / "outgoing"
    for name, age in [("old", 2 * 86_400), ("new", 60)]:
        (directory / name).mkdir(parents=True)
        os.utime(directory / name, times=(time.time() - age,) * 2)
    get(service, "mot.txt").close()
    assert leftovers(service) == ["new"]


def test_so_many_at_a_time(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    service.press_one(region("a", DRAWN))
    inside, go_on = threading.Semaphore(0), threading.Event()
    files = service.keytrack.overview.files
    made = files._made

    def held(*args: Any) -> Any:
        inside.release()
        assert go_on.wait(PATIENCE)
        return made(*args)

    monkeypatch.setattr(files, "_made", held)
    waiting = [Background(lambda: service.keytrack.overview.files.make("mot.txt", "1", "1")) for _ in range(4)]
    assert inside.acquire(timeout=PATIENCE)
    while files._places._value:  # type: ignore[attr-defined]
        time.sleep(0.01)
    assert refused(service, "mot.txt")[:2] == (503, "unavailable")
    go_on.set()
    for one in waiting:
        one.result().close()
    assert get(service, "mot.txt").status_code == 200


def test_the_end_of_the_service_ends_it(service: Service) -> None:
    service.press_one(region("a", DRAWN))
    service.keytrack.overview.close()
    assert refused(service, "davis.zip")[:2] == (503, "unavailable")
    assert leftovers(service) == []


def test_presses_go_on_meanwhile(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    service = start()
    service.press_one(region("a", DRAWN))
    inside, go_on = threading.Event(), threading.Event()
    files = service.keytrack.overview.files
    made = files._made

    def held(*args: Any) -> Any:
        inside.set()
        assert go_on.wait(PATIENCE)
        return made(*args)

    monkeypatch.setattr(files, "_made", held)
    waiting = Background(lambda: files.make("coco.json", "1", "1"))
    assert inside.wait(PATIENCE)
    service.press_one(PERSON)
    go_on.set()
    content = json.loads(b"".join(made := waiting.result()))
    made.close()
    # What was asked for before the press is what is in the file.
    assert [one["attributes"]["region_id"] for one in content["annotations"]] == ["a"]


def test_a_zip_file_is_sent_while_it_is_made(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02d}").write_bytes(os.urandom(100_000))
    chunks = list(zipped(tmp_path))
    assert len(chunks) > 5 and max(map(len, chunks)) < 500_000
    with zipfile.ZipFile(io.BytesIO(b"".join(chunks))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            path.name: path.read_bytes() for path in tmp_path.iterdir()
        }


@pytest.mark.parametrize("kind", ["davis.zip", "coco.json"])
def test_memory_does_not_grow_with_the_masks(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masks of noise take 1,500 bytes a frame in the store, and fifty times that as run lengths."""
    for module in (track_files, zipping):
        monkeypatch.setattr(module, "CHUNK", 1 << 14)
    monkeypatch.setattr(archive, "BLOCK", 8)
    count, size = 250, (48, 64)
    video = make_clip(tmp_path / "long.mp4", coded_frames(count, 64, 48), fps=FPS)
    store = Store(tmp_path / DATABASE)
    key = TrackKey("1", "1", "a")
    revision = store.begin(key, 1, Demand("Car", json.dumps(["long.mp4", FPS, "m"]), "both", ()), keep=False)
    random = np.random.default_rng(0)
    masks = [Mask.from_array(random.random(size) > 0.5) for _ in range(count)]
    store.add(key, revision, [Observation("a", frame, mask, 0.9) for frame, mask in enumerate(masks)])
    item = region("a", keyframe(1, 0, 0, 160, 120))
    store.finish(key, revision, Answer([item], 0.9, []), (), reach=range(count))
    store.close()
    files = TrackFiles(
        Archive(tmp_path / DATABASE), tmp_path / "outgoing", lambda *_: video, lambda _: False, lambda: False
    )
    kept = sum(len(mask.counts) for mask in masks)
    del masks
    files.make(kind, "1", "1").close()  # what is imported and cached the first time
    tracemalloc.start()
    made = files.make(kind, "1", "1")
    sent = sum(len(chunk) for chunk in made)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    made.close()
    assert sent > kept / 4
    assert peak < 0.9 * kept, f"{peak} bytes for masks of {kept}"
