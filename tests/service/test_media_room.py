"""Presses on more videos than there is room for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from PIL import Image

from backend.errors import VideoError
from backend.labelstudio.in_use import active, media_in_use
from backend.labelstudio.media import MediaLibrary
from backend.service.albums import Album, Albums
from backend.service.job import Job
from backend.service.jobs import Jobs
from backend.settings import load_settings
from support.fake_tracker import PATIENCE, FakeTracker
from support.http import Answer, WebServer, web_server
from support.service import DRAWN, Service, advance, notes_of, region
from support.video_client import eventually

NAMES = "abcde"


@pytest.fixture
def site(media: Path) -> Iterator[WebServer]:
    """The same video at several addresses."""
    video = Answer(200, (media / "clip.mp4").read_bytes())
    with web_server({f"/{name}.mp4": video for name in NAMES}) as running:
        yield running


def start(root: Path, media: Path, videos: float, tracker: FakeTracker | None = None, budget: float = 30) -> Service:
    """A service with room for so many of them."""
    room = int(videos * (media / "clip.mp4").stat().st_size)
    return Service(root, tracker, budget=budget, allowed_hosts=("127.0.0.1",), media_cache_bytes=room)


def fetched(root: Path) -> list[Path]:
    return [*(root / "data" / "media").glob("*.mp4")]


def test_every_press_is_tracked_and_the_videos_stay_below_the_limit(
    tmp_path: Path, media: Path, site: WebServer
) -> None:
    service = start(tmp_path, media, 2.5)
    for turn in range(2):
        for number, name in enumerate(NAMES, start=1):
            drawn = region("a", DRAWN if turn == 0 else {**DRAWN, "x": 30.0})
            item = service.press_one(drawn, number=number, video=f"{site.url}/{name}.mp4")
            assert notes_of(item) == ["tracked 1-30"]
            eventually(lambda: len(fetched(tmp_path)) <= 2)
    assert len(site.asked) == 2 * len(NAMES)
    size = (media / "clip.mp4").stat().st_size
    assert f"keytrack_media_bytes {float(2 * size)}" in service.client.get("/metrics").get_data(as_text=True)
    assert len(service.keytrack._readers._idle) == 2  # those of videos that went were closed
    service.close()


def test_what_waits_for_its_turn_is_read_however_many_videos_come_meanwhile(
    tmp_path: Path, media: Path, site: WebServer
) -> None:
    service = start(tmp_path, media, 1.5, FakeTracker(paced=True), budget=0.01)
    for number, name in enumerate(NAMES, start=1):
        service.press_one(region("a", DRAWN), number=number, video=f"{site.url}/{name}.mp4")
    eventually(lambda: service.keytrack.jobs()["preparing"] == 0)
    advance(service, 1)
    assert len(fetched(tmp_path)) == len(NAMES)  # they are all wanted
    service.tracker.release()
    eventually(lambda: len(service.keytrack._jobs) == 0)
    assert all(service.keytrack._store.tracks("1", str(number))[0].complete for number in range(1, 6))
    eventually(lambda: len(fetched(tmp_path)) == 1)
    assert len(site.asked) == len(NAMES)
    service.close()


class Keeps:
    """Work that has something in use from its beginning."""

    def __init__(self) -> None:
        self.kept = False

    def prepare(self, job: Job) -> None:
        uses = active()
        assert uses is not None
        uses.add("a file", nullcontext)

    def steps(self, job: Job) -> Iterator[None]:
        uses = active()
        self.kept = uses is not None and "a file" in uses._files
        yield


def test_a_job_has_what_it_found_in_use_until_its_end() -> None:
    jobs, work = Jobs(), Keeps()
    job = jobs.submit("keeps", work, ["key"])
    assert jobs.wait({"key": job}, time.monotonic() + PATIENCE)
    assert work.kept and not job.uses._files
    job.uses.add("a file", nullcontext)  # by a thread that has not heard of the end
    assert not job.uses._files
    assert active() is None
    jobs.close()


def test_pictures_that_made_room_are_fetched_again_and_those_that_changed_are_told(
    tmp_path: Path, site: WebServer
) -> None:
    addresses = [f"{site.url}/{number}.png" for number in range(4)]
    for number, address in enumerate(addresses):
        path = tmp_path / "picture.png"
        Image.new("RGB", (60, 40), (number, number, number)).save(path)
        site.routes["/" + address.rpartition("/")[2]] = Answer(200, path.read_bytes())
    settings = load_settings(data_dir=tmp_path, allowed_hosts=("127.0.0.1",), media_cache_bytes=300)
    library = MediaLibrary(settings)
    albums = Albums(use=library.use)
    for _ in range(2):
        with media_in_use():
            album = albums.open("1", addresses, library.resolve, 3)
            assert [album.frame(index)[0, 0, 0] for index in range(4)] == [0, 1, 2, 3]
            assert all(path.exists() for path in album.located().values())
        eventually(lambda: library.held() <= 300)
    assert len(site.asked) > 4
    with media_in_use():
        _lose(album, 2)
        assert album.frame(2)[0, 0, 0] == 2
        _lose(album, 1)
        site.routes["/1.png"] = Answer(200, path.read_bytes(), {"ETag": '"2"'})
        with pytest.raises(VideoError, match="picture 2 of the task has changed meanwhile"):
            album.frame(1)


def _lose(album: Album, index: int) -> None:
    album.located()[index].unlink(missing_ok=True)
