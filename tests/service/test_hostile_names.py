"""Names that were made to do harm: of projects, tasks, regions, labels and videos, wherever they are shown or saved."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import quote

import pytest

from support.clips import coded_frames, make_clip
from support.service import DRAWN, FPS, FRAMES, Service, press, region

Start = Callable[..., Service]
BROWSER = {"Accept": "text/html"}

EVIL = [
    "<script>alert(1)</script>\"><img src=x onerror=alert(1)>' onmouseover='alert(1)",
    "</style></title><script>alert(1)</script>{{ 7 * 7 }}{% raw %}",
    "../../../../tmp/evil",
    "..\\..\\evil",
    "..",
    "C:\\evil\r\nX-Injected: yes",
    "a\"; filename=\"b.exe; filename*=UTF-8''b.exe",
    "%2e%2e%2fevil%00?a=b#c\u202egnp.exe",
    "javascript:alert(1)=cmd|'/c calc'!A1",
]


class Tags(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page_of(service: Service) -> str:
    reply = service.client.get("/", headers=BROWSER)
    assert reply.status_code == 200
    return str(reply.get_data(as_text=True))


@pytest.mark.parametrize("evil", EVIL)
def test_what_others_named_is_text_in_pages_and_plain_in_files(start: Start, tmp_path: Any, evil: str) -> None:
    service = start()
    assert service.settings.media_root is not None
    video = re.sub(r"[/?:]", "_", evil) + " of a video.mp4"
    make_clip(tmp_path / "clip.mp4", coded_frames(FRAMES), fps=FPS).rename(service.settings.media_root / video)
    body = press(region(f"region {evil}", DRAWN, label=f"label {evil}"), data={"video": video, "fps": FPS})
    body["tasks"][0]["id"] = f"task {evil}"
    status, _ = service.predict(body)
    assert status == 200
    service.keytrack.remember("1", "http://user:secret@studio/" + quote(evil), "s3cret")

    text = page_of(service)
    found = Tags(text).found
    tags = [tag for tag, _ in found]
    assert [tags.count(tag) for tag in ("article", "script", "style", "title", "img", "table", "tr")] == [1] * 7
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert not [one for _, one in found if (one.get("href") or one.get("src") or "").startswith(("javascript:", "x"))]
    assert "secret" not in text

    (track,) = service.client.get("/tracks").get_json()["tracks"]
    assert (track["task"], track["label"], track["state"]) == (f"task {evil}", f"label {evil}", "complete")
    place = f"/tracks/{quote(track['project'], safe='')}/{quote(track['task'], safe='')}"
    for kind in ("davis.zip", "coco.json", "mot.txt", "thumbnail.jpg"):
        reply = service.client.get(f"{place}/{kind}")
        assert "X-Injected" not in reply.headers
        assert "/" in evil or reply.status_code == 200, reply.get_data()
        if reply.status_code == 200 and kind != "thumbnail.jpg":
            assert re.fullmatch(r"attachment; filename=[\w.+-]+", reply.headers["Content-Disposition"])
        if reply.status_code == 200 and kind == "davis.zip":
            with zipfile.ZipFile(io.BytesIO(reply.get_data())) as archive:
                assert archive.namelist()
                for name in archive.namelist():
                    assert ".." not in PurePosixPath(name).parts and not PurePosixPath(name).is_absolute()
                    assert not PureWindowsPath(name).drive and "\\" not in name and name.isprintable()
