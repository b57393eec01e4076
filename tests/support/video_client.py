"""A client of the interactive video protocol."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from backend.service.video_protocol import VideoProtocol
from backend.service.video_sessions import Limits
from backend.tracks import BoolArray, Box, Mask
from support.fake_tracker import PATIENCE
from support.service import CONFIG, Item, Service, press


def point(x: float, y: float, positive: bool = True, **further: Any) -> Item:
    """A click, in percent."""
    value = {"x": x, "y": y, "positive": positive, "keypointlabels": ["Car"]}
    return {"id": "p", "type": "keypointlabels", "from_name": "kp", "to_name": "video", "value": value, **further}


def box(x: float, y: float, width: float, height: float, **further: Any) -> Item:
    """A box, in percent."""
    value = {"x": x, "y": y, "width": width, "height": height}
    return {"id": "b", "type": "rectanglelabels", "from_name": "r", "to_name": "video", "value": value, **further}


def mask_of(value: Item) -> BoolArray:
    """The mask of a picture, which must be what the protocol says."""
    head, _, data = value["imageDataURL"].partition(",")
    assert head == "data:image/png;base64"
    image = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.dtype == np.uint8
    assert image.shape == (value["height"], value["width"])
    assert set(np.unique(image)) <= {0, 255}
    return image == 255


def box_of(value: Item) -> Box | None:
    """The box around the mask of a picture."""
    return Mask.from_array(mask_of(value)).box


class Client:
    """Speaks to a service about one task; ``send`` posts a body and returns the status and the JSON."""

    def __init__(self, send: Callable[[Item], tuple[int, Item]], config: str | None = CONFIG, **task: Any) -> None:
        self._send = send
        self._config = config
        self._task = task

    @classmethod
    def of(cls, service: Service, config: str | None = CONFIG, **task: Any) -> Client:
        """One that speaks to a service under test."""
        return cls(service.predict, config, **task)

    def post(self, **context: Any) -> tuple[int, Item]:
        """The status and the JSON."""
        return self._send({**press(config=self._config, **self._task), "params": {"context": context}})

    def result(self, **context: Any) -> list[Item]:
        """The results of a call that must succeed."""
        status, body = self.post(**context)
        assert status == 200, body
        (entry,) = body["results"]
        results: list[Item] = entry["result"]
        return results

    def value(self, event: str | None, kind: str, **context: Any) -> Item:
        """The value of the one result, which must be of a kind."""
        (item,) = self.result(**({} if event is None else {"event": event}), **context)
        assert item["type"] == kind, item
        value: Item = item["value"]
        return value

    def error(self, **context: Any) -> tuple[int, str, str]:
        """The status, the code and the message of a call that must fail."""
        status, body = self.post(**context)
        return status, body["error"]["code"], body["error"]["message"]

    def predict(self, *marks: Item, **context: Any) -> Item:
        """The value of the mask of one object."""
        return self.value("predict", "bitmask", result=list(marks), **context)

    def track(self, *marks: Item, **context: Any) -> Item:
        """The value of a track that must start."""
        return self.value("track", "track_started", result=list(marks), **context)

    def progress(self, session: str) -> Item:
        """The value of a poll."""
        return self.value("track_progress", "track_progress", session_id=session)

    def drain(self, session: str) -> tuple[list[Item], Item]:
        """All frames until it is done, and the last value."""
        frames: list[Item] = []
        while True:
            value = self.progress(session)
            frames += value["frames"]
            if value["done"]:
                return frames, value

    def tracked(self, *marks: Item, **context: Any) -> list[Item]:
        """All frames of a track."""
        frames, last = self.drain(self.track(*marks, **context)["session_id"])
        assert last["error"] is None
        return frames


def eventually(condition: Callable[[], object]) -> None:
    """Wait for something that comes about by itself."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.002)


def limit(service: Service, *, clock: Callable[[], float] = time.monotonic, **limits: Any) -> None:
    """Give a service other limits, and another clock."""
    keytrack = service.keytrack
    keytrack._video_protocol = VideoProtocol(
        keytrack._jobs,
        keytrack._readers,
        keytrack._engine,
        model_version=keytrack.model_version,
        limits=Limits(**limits),
        clock=clock,
    )
