"""The service with a fake tracker behind it, and requests as Label Studio sends them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient

from backend.model import Keytrack
from backend.service.app import create_app
from backend.settings import load_settings
from support.choices import LITE
from support.clips import coded_frames, make_clip
from support.fake_tracker import PATIENCE, FakeTracker

Item = dict[str, Any]

WIDTH, HEIGHT, FRAMES, FPS = 160, 120, 30, 10

CONFIG = """
<View>
  <Labels name="videoLabels" toName="video" allowEmpty="true"><Label value="Car"/><Label value="Person"/></Labels>
  <Labels name="cmd" toName="video"><Label value="Track" hotkey="t"/></Labels>
  <Choices name="mode" toName="video" perRegion="true" choice="single-radio">
    <Choice value="forward"/><Choice value="backward"/><Choice value="both"/>
  </Choices>
  <Video name="video" value="$video" frameRate="$fps"/>
  <VideoRectangle name="box" toName="video"/>
</View>
"""


def clip(directory: Path, name: str = "clip.mp4", frames: int = FRAMES) -> Path:
    """A short video whose frames are numbered."""
    directory.mkdir(parents=True, exist_ok=True)
    return make_clip(directory / name, coded_frames(frames, WIDTH, HEIGHT), fps=FPS)


def keyframe(frame: int, x: float, y: float, width: float, height: float, **further: Any) -> Item:
    """A keyframe; the box is in pixels here, for the test's sake."""
    return {
        "frame": frame,
        "enabled": True,
        "rotation": 0,
        "x": x / WIDTH * 100,
        "y": y / HEIGHT * 100,
        "width": width / WIDTH * 100,
        "height": height / HEIGHT * 100,
        "time": frame / FPS,
        **further,
    }


def region(name: str, *keyframes: Item, label: str = "Car", **further: Any) -> Item:
    """A result with a track, as the browser sends it."""
    return {
        "id": name,
        "from_name": "box",
        "to_name": "video",
        "type": "videorectangle",
        "origin": "manual",
        "value": {"framesCount": FRAMES, "duration": FRAMES / FPS, "labels": [label], "sequence": list(keyframes)},
        **further,
    }


def choice(of: Item, direction: str) -> Item:
    """The direction that was chosen for a region, which repeats the region's value."""
    value = {**of["value"], "choices": [direction]}
    return {
        "id": of["id"],
        "from_name": "mode",
        "to_name": "video",
        "type": "choices",
        "origin": "manual",
        "value": value,
    }


def sequence_of(item: Item) -> list[Item]:
    """A region's keyframes."""
    keyframes: list[Item] = item["value"]["sequence"]
    return keyframes


def notes_of(item: Item) -> list[str]:
    """The lines of a region's notes that are ours."""
    lines = "\n".join(item.get("meta", {}).get("text", [])).split("\n")
    return [line.removeprefix("Keytrack: ") for line in lines if line.startswith("Keytrack: ")]


def shown(item: Item) -> list[int]:
    """The frames on which Label Studio shows the region, by its rule for ``enabled``."""
    frames = []
    keyframes = {one["frame"]: one for one in sequence_of(item)}
    visible = False
    for frame in range(1, FRAMES + 1):
        if frame in keyframes:
            frames.append(frame)
            visible = keyframes[frame]["enabled"]
        elif visible:
            frames.append(frame)
    return frames


class Service:
    """A running service; ``tracker`` is what works behind it, ``built`` how often it was asked for. ``factories`` of
    workers stand in its place."""

    def __init__(
        self,
        root: Path,
        tracker: FakeTracker | None = None,
        *,
        budget: float = PATIENCE,
        factories: Sequence[Callable[[], Any]] = (),
        **settings: Any,
    ) -> None:
        self.tracker = tracker or FakeTracker()
        self.built = 0
        self.refuses: Exception | None = None
        self.closed = False
        media = root / "media"
        media.mkdir(exist_ok=True, parents=True)
        self.settings = load_settings(data_dir=root / "data", media_root=media, budget_seconds=budget, **settings)
        first, *others = factories or [self._build]
        self.keytrack = Keytrack(self.settings, first, LITE, *others)
        self.client: FlaskClient = create_app(self.keytrack).test_client()

    def _build(self) -> FakeTracker:
        self.built += 1
        if self.refuses is not None:
            raise self.refuses
        return self.tracker

    def budget(self, seconds: float) -> None:
        """How long presses may take from now on."""
        self.keytrack._settings = self.settings.model_copy(update={"budget_seconds": seconds})

    def close(self) -> None:
        """Stop; the data stays. A tracker that is held is cancelled, as when a process ends."""
        if not self.closed:
            self.closed = True
            self.keytrack.close()

    def predict(self, body: object) -> Any:
        """POST /predict: the status and the JSON."""
        reply = self.client.post("/predict", json=body)
        return reply.status_code, reply.get_json()

    def entry(self, *result: Item, **task: Any) -> Any:
        """A press with these regions, which must succeed: the prediction."""
        status, body = self.predict(press(*result, **task))
        assert status == 200, body
        (entry,) = body["results"]
        return entry

    def press(self, *result: Item, **task: Any) -> list[Item]:
        """A press with these regions, which must succeed: the results."""
        items: list[Item] = self.entry(*result, **task)["result"]
        return items

    def press_one(self, item: Item, **task: Any) -> Item:
        """A press with one region: what it became."""
        (only,) = self.press(item, **task)
        return only

    def batch(self, *tasks: Item) -> list[Any]:
        """A batch call for tasks: the entries."""
        status, body = self.predict({**press(), "tasks": list(tasks), "params": {"context": None}})
        assert status == 200, body
        entries: list[Any] = body["results"]
        return entries


class Background:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._outcome: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._outcome.append(call()))
        self._thread.start()

    def result(self) -> Any:
        """What the call returned, once it has."""
        self._thread.join(PATIENCE)
        assert self._outcome, "the call did not return"
        return self._outcome[0]


def task(number: int = 1, video: object = "clip.mp4", **further: Any) -> Item:
    """A task as /predict carries it."""
    return {
        "id": number,
        "data": {"video": video, "fps": FPS},
        "meta": {},
        "project": 1,
        "annotations": [],
        "predictions": [],
        "drafts": [],
        **further,
    }


def press(*result: Item, config: object = CONFIG, **of_task: Any) -> Item:
    """The body of an interactive call."""
    return {
        "tasks": [task(**of_task)],
        "project": "1.1795213732",
        "label_config": config,
        "params": {"login": None, "password": None, "context": {"result": copy.deepcopy(list(result))}},
    }


def replaced(body: Item, path: Sequence[str | int], value: object) -> Item:
    """A copy of ``body`` with another value at ``path``."""
    changed = copy.deepcopy(body)
    inner: Any = changed
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return changed


def without_notes(item: Mapping[str, Any]) -> Item:
    """A region without what a reply adds to it."""
    return {key: value for key, value in item.items() if key not in ("meta", "origin", "score")}


ALL = list(range(1, FRAMES + 1))
DRAWN = keyframe(10, 40, 30, 32, 24)


def box_at(item: Item, frame: int) -> tuple[float, float, float, float] | None:
    """The box (pixels) that Label Studio draws, by its rule: linear between keyframes."""
    if frame not in shown(item):
        return None
    keyframes = sequence_of(item)
    before = max((one for one in keyframes if one["frame"] <= frame), key=lambda one: one["frame"])
    after = min((one for one in keyframes if one["frame"] > frame), key=lambda one: one["frame"], default=before)
    gap = after["frame"] - before["frame"]
    t = (frame - before["frame"]) / gap if gap else 0.0
    x, y, w, h = (before[key] + t * (after[key] - before[key]) for key in ("x", "y", "width", "height"))
    return (x * WIDTH / 100, y * HEIGHT / 100, w * WIDTH / 100, h * HEIGHT / 100)


def moved(item: Item, frame: int, /, **changes: Any) -> Item:
    """The region with one keyframe changed or added, as an annotator does it."""
    keyframes = {one["frame"]: one for one in sequence_of(item)}
    keyframes[frame] = {**keyframes.get(frame, keyframe(frame, 0, 0, 20, 20)), **changes}
    value = {**item["value"], "sequence": [keyframes[number] for number in sorted(keyframes)]}
    return {**item, "value": value}


def advance(service: Service, frames: int) -> None:
    """Let the tracker do so many frames, and wait until they are dealt with."""
    before = sum(len(call.frames) for call in service.tracker.calls)
    service.tracker.allow(frames)
    service.tracker.until(lambda: sum(len(call.frames) for call in service.tracker.calls) == before + frames)


def finish(service: Service) -> None:
    """Let the tracker end its work."""
    service.tracker.release()
    service.tracker.until(lambda: all(call.ended for call in service.tracker.calls))
