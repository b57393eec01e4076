"""A correction with the real models behind the service: what it touches, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.demo.clip import Actor, Scene
from backend.service.engine import tracker_factory
from backend.settings import load_settings
from backend.tracks import Box, FrameResult
from support.choices import LITE
from support.service import Item, Service, moved, notes_of, region, sequence_of

pytestmark = pytest.mark.slow

SCENE = Scene((Actor("car", "car", (190, 40, 36), (90, 316), (330, 308)),), frames=20, fps=10)


class Counting:
    """A tracker that counts the frames that were propagated, in each call."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self.propagated: list[set[int]] = []

    def track(self, *args: Any, **kwargs: Any) -> Iterator[FrameResult]:
        self.propagated.append(set())
        for result in self._tracker.track(*args, **kwargs):
            if not all(one.human for one in result.observations):
                self.propagated[-1].add(result.frame)
            yield result


@pytest.fixture
def service(tmp_path: Path, mobile_sam_path: Path) -> Iterator[Service]:
    (tmp_path / "media").mkdir()
    SCENE.write(tmp_path / "media" / "clip.mp4")
    settings = load_settings(data_dir=tmp_path, weights_dir=mobile_sam_path.parent)
    running = Service(tmp_path, Counting(tracker_factory(settings, LITE)()), budget=90)  # type: ignore[arg-type]
    yield running
    running.close()


def keyframe(frame: int, box: Box) -> Item:
    x0, y0, x1, y1 = box
    width, height = SCENE.width / 100, SCENE.height / 100
    place = {"x": x0 / width, "y": y0 / height, "width": (x1 - x0) / width, "height": (y1 - y0) / height}
    return {"frame": frame, "enabled": True, "rotation": 0, "time": frame / SCENE.fps, **place}


def up_to(item: Item, frame: int) -> list[Item]:
    return [one for one in sequence_of(item) if one["frame"] <= frame]


def test_a_correction_redoes_what_it_touches_and_nothing_else(service: Service) -> None:
    truth = SCENE.true_boxes()["car"]
    first = service.press_one(region("a", keyframe(1, truth[0]), keyframe(12, truth[11])))
    assert notes_of(first)[0] == "tracked 1-20"
    x0, y0, x1, y1 = truth[16]
    margin = moved(first, 17, **keyframe(17, (x0 - 8, y0 - 6, x1 + 8, y1 + 6)))
    second = service.press_one(margin)
    assert notes_of(second)[0] == "tracked 1-20"
    assert up_to(second, 12) == up_to(first, 12)
    everything, correction = service.tracker.propagated  # type: ignore[attr-defined]
    assert len(everything) == 18
    assert correction <= set(range(12, 20))
    assert 0 < len(correction) < len(everything) / 2
    off = service.press_one(moved(second, 17, enabled=False))
    assert max(one["frame"] for one in sequence_of(off) if one["enabled"]) < 17 or sequence_of(off)[-1]["frame"] > 17
    assert up_to(off, 12) == up_to(first, 12)
    # What follows is looked for; what lies before stays.
    *_, search = service.tracker.propagated  # type: ignore[attr-defined]
    assert search == set(range(17, 20))
