from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.evaluation import benchmark
from backend.evaluation.benchmark import Bench
from backend.evaluation.benchmark_report import Case
from backend.evaluation.moving_scene import scene_of
from backend.evaluation.stages import ASSOCIATE, DECODE, ENCODE, PROPAGATE, STAGES
from backend.evaluation.stopwatch import Stopwatch
from backend.labelstudio.regions import Region, format_region, to_keyframe
from backend.propagation.propagator import Decoder, Encoded, Propagation
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.build import fast_dtype
from backend.segmentation.segmenter import Encoding, Segmenter
from backend.tracking.build import Models
from backend.tracking.keyframes import interpolate
from backend.tracks import BoolArray, FloatArray, ImageArray, Mask, box_iou
from backend.video.clock import FrameClock
from backend.video.reader import VideoReader
from support.fake_rooms import FakeSegmenter

CASE = Case(objects=3, resolution="tiny", width=96, height=64, frames=10)
KEYFRAME_IOU = 0.95


class Flat(FakeSegmenter):
    """A segmenter of the CPU that fills boxes, whatever the picture shows."""

    device = torch.device("cpu")

    def encode(self, image: ImageArray) -> Encoding:
        self.encoded.append(len(self.encoded))
        return Encoding(torch.zeros((1, 4, 3, 4)), None, None, (image.shape[0], image.shape[1]), (64, 96))


class Drifting:
    """A propagator that moves every mask on by a pixel a frame, and loses ``lost`` objects."""

    def __init__(self, decoder: Decoder, lost: Collection[str] = ()) -> None:
        self.decoder, self.lost, self.masks = decoder, lost, dict[str, BoolArray]()

    def step(
        self,
        frame: int,
        encoding: Encoded,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        self.masks |= given
        for name in wanted:
            self.masks[name] = np.roll(self.masks[name], 1, axis=1)
        return {name: Propagation(None if name in self.lost else self.masks[name], 0.9) for name in wanted}

    def lose(self) -> None:
        pass

    def fork(self) -> Drifting:
        other = Drifting(self.decoder, self.lost)
        other.masks = dict(self.masks)
        return other

    branch = fork


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "clip.mp4"
    scene_of(CASE).write(path)
    return path


def bench(clip: Path, segmenter: FakeSegmenter | None = None, lost: Collection[str] = ()) -> Bench:
    models = Models((segmenter or Flat()).as_segmenter, partial(Drifting, lost=lost))
    return Bench(models, "lite", clip, CASE, KEYFRAME_IOU, 10**6)


def test_every_stage_is_measured_as_often_as_asked(clip: Path) -> None:
    found = bench(clip).measure(warm_up=4, repeats=3, clicks=False)
    assert list(found.stages) == list(STAGES)
    assert found.stages[ASSOCIATE] is None
    figures = [found.wall, *found.beside.values(), *(figure for figure in found.stages.values() if figure is not None)]
    assert [len(figure.values) for figure in figures] == [3] * len(figures)
    assert found.clicks is None
    assert found.case == CASE


def test_the_stages_are_the_whole(clip: Path) -> None:
    found = bench(clip).measure(warm_up=4, repeats=2, clicks=False)
    for turn in range(2):
        total = sum(figure.values[turn] for figure in found.stages.values() if figure is not None)
        assert total == pytest.approx(found.wall.values[turn], abs=0.01)


def test_every_press_begins_without_encodings(clip: Path) -> None:
    segmenter = Flat()
    bench(clip, segmenter).measure(warm_up=4, repeats=2, clicks=False)
    assert len(segmenter.encoded) == 4 + 2 * CASE.frames


def test_nothing_is_warmed_up_beyond_the_clip(clip: Path) -> None:
    segmenter = Flat()
    bench(clip, segmenter).measure(warm_up=100, repeats=1, clicks=False)
    assert len(segmenter.encoded) == 2 * CASE.frames


def test_what_was_lost_is_told(clip: Path) -> None:
    assert bench(clip).measure(warm_up=2, repeats=1, clicks=False).found == 1
    found = bench(clip, lost=["object 02"]).measure(warm_up=2, repeats=1, clicks=False).found
    # Of three objects on ten frames one is gone after the first.
    assert found == pytest.approx(1 - 9 / 30)


def test_regions_are_what_a_press_returns(clip: Path) -> None:
    pressed = bench(clip).press(Stopwatch())
    with VideoReader(clip) as video:
        clock = FrameClock(video.timestamps, video.duration, video.fps)
    scene = scene_of(CASE)
    assert [region["id"] for region in pressed.regions] == scene.names()
    for number, region in enumerate(pressed.regions):
        mask = np.zeros((CASE.height, CASE.width), bool)
        x0, y0, x1, y1 = (round(side) for side in scene.box(number, 0))
        mask[y0:y1, x0:x1] = True
        boxes = {frame: Mask.from_array(np.roll(mask, frame, axis=1)).solid_box for frame in range(CASE.frames)}
        drawn = region["value"]["sequence"][0]
        raw = {**region, "value": {"labels": region["value"]["labels"], "sequence": [drawn]}}
        asked = Region(region["id"], ("Object",), (drawn,), "both", raw)
        size = CASE.width, CASE.height
        assert region == format_region(asked, boxes, clock, size, human=[drawn], keyframe_iou=KEYFRAME_IOU)
        json.dumps(region)


def test_clicks_on_frames_that_were_not_seen_and_on_the_same_again(clip: Path) -> None:
    segmenter = Flat()
    found = bench(clip, segmenter).measure(warm_up=2, repeats=1, clicks=True)
    assert found.clicks is not None
    assert len(found.clicks.first.values) == len(found.clicks.following.values) == CASE.frames
    # Each frame is encoded once for two clicks, and one more warms up.
    assert len(segmenter.encoded) == 2 + CASE.frames + CASE.frames + 1
    for turn, whole in enumerate(found.clicks.first.values):
        assert sum(figure.values[turn] for figure in found.clicks.stages.values()) == pytest.approx(whole, abs=0.01)


def test_memory_is_this_process_s(clip: Path) -> None:
    memory = bench(clip).measure(warm_up=2, repeats=1, clicks=False).memory
    assert 10 << 20 < memory.loaded <= memory.peak
    assert memory.device is None


class Elsewhere(Flat):
    """A segmenter of a device that works asynchronously."""

    device = torch.device("xpu")


def test_on_an_asynchronous_device_the_whole_is_timed_without_waiting(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 0

    def wait() -> None:
        nonlocal waits
        waits += 1

    watches: list[tuple[Stopwatch, int]] = []
    press = Bench.press

    def note(self: Bench, watch: Stopwatch, last: int | None = None) -> benchmark.Pressed:
        before = waits
        pressed = press(self, watch, last)
        watches.append((watch, waits - before))
        return pressed

    monkeypatch.setattr(benchmark, "waiter", lambda device: wait)
    monkeypatch.setattr(Bench, "press", note)
    found = bench(clip, Elsewhere()).measure(warm_up=2, repeats=2, clicks=False)
    _, *stages, first, second = watches
    assert [waited > 0 for _, waited in watches] == [False, True, True, False, False]
    assert found.wall.values == tuple(round(1000 * one.wall / CASE.frames, 4) for one, _ in (first, second))
    encode = found.stages[ENCODE]
    assert encode is not None
    assert encode.values == tuple(round(1000 * one.own[ENCODE] / CASE.frames, 4) for one, _ in stages)


@pytest.mark.slow
def test_the_built_in_models_follow_the_scene(tmp_path: Path, mobile_sam: Segmenter) -> None:
    case = Case(objects=3, resolution="480p", width=854, height=480, frames=4)
    scene = scene_of(case)
    scene.write(tmp_path / "clip.mp4")
    models = Models(mobile_sam, partial(SamTokenPropagator, dtype=fast_dtype("cpu")))
    watch = Stopwatch()
    pressed = Bench(models, "lite", tmp_path / "clip.mp4", case, KEYFRAME_IOU, 10**9).press(watch)
    assert pressed.found == 1
    for number, region in enumerate(pressed.regions):
        keyframes = [
            to_keyframe(item, item["frame"] - 1, (case.width, case.height)) for item in region["value"]["sequence"]
        ]
        for frame in range(case.frames):
            shown = interpolate(keyframes, frame)
            assert shown is not None
            assert box_iou(shown.box, scene.box(number, frame)) > 0.8
    assert watch.own[ENCODE] > watch.own[DECODE]
    assert watch.own[PROPAGATE] > 0
    assert all(
        earlier["frame"] < later["frame"] for earlier, later in pairwise(pressed.regions[0]["value"]["sequence"])
    )
