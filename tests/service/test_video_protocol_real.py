"""The interactive video protocol with MobileSAM behind a real server."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waitress.server import create_server

from backend.model import Keytrack
from backend.service.app import create_app
from backend.service.engine import tracker_factory
from backend.settings import load_settings
from backend.tracks import BoolArray, Mask, mask_iou
from support.choices import LITE
from support.clips import Scene, make_clip, moving_boxes_scene
from support.service import Item
from support.video_client import Client, eventually, mask_of, point

pytestmark = pytest.mark.slow

FRAMES = 8
WIDTH, HEIGHT = 160, 120


@pytest.fixture(scope="module")
def scene() -> Scene:
    return moving_boxes_scene(FRAMES, (WIDTH, HEIGHT))


@pytest.fixture
def client(tmp_path: Path, mobile_sam_path: Path, scene: Scene) -> Iterator[Client]:
    (tmp_path / "media").mkdir()
    make_clip(tmp_path / "media" / "clip.mp4", scene.frames, fps=10)
    settings = load_settings(
        data_dir=tmp_path / "data", weights_dir=mobile_sam_path.parent, media_root=tmp_path / "media"
    )
    keytrack = Keytrack(settings, tracker_factory(settings, LITE), LITE)
    server: Any = create_server(create_app(keytrack), host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run)
    thread.start()
    address = f"http://127.0.0.1:{server.effective_port}/predict"

    def send(body: Item) -> tuple[int, Item]:
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    yield Client(send)
    keytrack.close()
    server.close()
    thread.join(10)


def overlap(found: BoolArray, truth: BoolArray) -> float:
    return mask_iou(Mask.from_array(found), Mask.from_array(truth))


def on(scene: Scene, name: str, frame: int, **further: Any) -> Item:
    """A click in the middle of an object."""
    x0, y0, x1, y1 = scene.boxes[name][frame] or (0, 0, 0, 0)
    return point((x0 + x1) / 2 / WIDTH * 100, (y0 + y1) / 2 / HEIGHT * 100, object=name, **further)


def test_clicks_and_tracks_of_two_objects(client: Client, scene: Scene) -> None:
    assert client.value("prewarm", "prewarm_ack", frame=4, window=2)["pending"] == [3, 4]
    red, blue = on(scene, "red", 3), on(scene, "blue", 3)
    shown = mask_of(client.predict(red, frame=4))
    assert overlap(shown, scene.masks["red"][3]) > 0.8
    beside = {**point(2, 2, False), "object": "red"}
    assert overlap(mask_of(client.predict(red, beside, frame=4)), scene.masks["red"][3]) > 0.8
    eventually(lambda: client.value("prewarm", "prewarm_ack", frame=4, window=2)["cached"] == [3, 4])

    value = client.track(red, beside, blue, frame=4, direction="both", max_frames=2)
    assert value["total_frames"] == 5
    frames, last = client.drain(value["session_id"])
    assert (last["produced"], last["error"]) == (10, None)
    found = {(one["object"], one["frame"]): mask_of(one) for one in frames}
    assert sorted(found) == [(name, frame) for name in ("blue", "red") for frame in range(1, 6)]
    assert min(overlap(mask, scene.masks[name][frame]) for (name, frame), mask in found.items()) > 0.7

    # A correction goes on from both marked frames, and only where it was asked to.
    again = client.tracked(on(scene, "red", 5), frame=6, max_frames=9)
    assert [one["frame"] for one in again] == [5, 6, 7]
    assert min(overlap(mask_of(one), scene.masks["red"][one["frame"]]) for one in again) > 0.7

    session = client.track(blue, frame=4)["session_id"]
    assert client.value("track_cancel", "track_cancel_ack", session_id=session) == {"status": "cancelled"}
    assert client.drain(session)[1]["done"]
    assert client.value("release", "release_ack") == {"status": "released"}
    assert client.value("prewarm", "prewarm_ack", frame=4, window=2)["cached"] == []
