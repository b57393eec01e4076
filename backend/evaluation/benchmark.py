"""What a press of ``t`` costs, stage by stage, and what a click costs; without Label Studio and without its HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from backend.evaluation.benchmark_report import Case, Clicks, Figure, Measured, Memory
from backend.evaluation.moving_scene import scene_of
from backend.evaluation.stages import ASSOCIATE, DECODE, ENCODE, MASKS, PROMPTS, SERIALISE, STAGES, THIN
from backend.evaluation.stopwatch import REST, Stopwatch
from backend.evaluation.timed import timed_frames, timed_segmenter, timed_tracker
from backend.labelstudio.edits import Item
from backend.labelstudio.picture_config import PictureConfig
from backend.labelstudio.picture_marks import mask_region
from backend.labelstudio.regions import RECTANGLE, Region, from_keyframe, replace_sequence, to_box
from backend.memory import peak_bytes, resident_bytes
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding
from backend.tracking.build import Models
from backend.tracking.click import answer
from backend.tracking.corrections import carry_margins
from backend.tracking.keyframes import thin
from backend.tracks import Box, Keyframe, Mask, Point, Prompt
from backend.video.clock import FrameClock
from backend.video.reader import VideoReader

# Frames that are clicked on.
_CLICKED = 10
_CLICKS = PictureConfig("img", "frames", "brush", ("Object",), ("click",))
_MILLI = 1000.0


@dataclass(frozen=True, eq=False)
class Bench:
    """A profile's models on one clip.

    Args:
        models: what is measured.
        profile: its name.
        clip: the file that :func:`scene_of` the case wrote.
        case: what it shows.
        keyframe_iou: how far tracks are thinned.
        cache_bytes: for encodings, as the service has them; each press begins with none.
    """

    models: Models
    profile: str
    clip: Path
    case: Case
    keyframe_iou: float
    cache_bytes: int

    def measure(self, *, warm_up: int, repeats: int, clicks: bool) -> Measured:
        """Track ``warm_up`` frames, press ``repeats`` times, and click if asked to.

        To be called in a process that has done nothing but load the models: its peak of memory is part of the result.
        """
        device = self.models.segmenter.device
        loaded = resident_bytes()
        self.press(Stopwatch(), last=min(warm_up, self.case.frames) - 1)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        wait = waiter(device)
        presses = [self.press(Stopwatch(synchronise=wait)) for _ in range(repeats)]
        # Where every stage waits for the device nothing overlaps: the whole is timed without.
        whole = presses if device.type == "cpu" else [self.press(Stopwatch()) for _ in range(repeats)]
        memory = Memory(
            loaded=loaded,
            peak=peak_bytes(),
            device=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        )
        missing = {ASSOCIATE} if self.models.looks is None else set()
        return Measured(
            case=self.case,
            wall=self._per_frame(press.wall for press in whole),
            stages={
                stage: None if stage in missing else self._per_frame(press.own[stage] for press in presses)
                for stage in STAGES
            },
            beside={DECODE: self._per_frame(press.beside[DECODE] for press in presses)},
            found=presses[-1].found,
            memory=memory,
            clicks=self.click(wait) if clicks else None,
        )

    def press(self, watch: Stopwatch, last: int | None = None) -> Pressed:
        """Track every object from a box on the first frame to ``last``, up to the regions for Label Studio."""
        scene = scene_of(self.case)
        drawn = {name: scene.box(number, 0) for number, name in enumerate(scene.names())}
        prompts = [Prompt(name, 0, box=box) for name, box in drawn.items()]
        tracker = timed_tracker(self.models, EncodingCache(self.cache_bytes), watch)
        boxes: dict[str, dict[int, Box | None]] = {name: {} for name in drawn}
        with watch:
            with watch.stage(DECODE, then=REST):
                video = VideoReader(self.clip)
            with video:
                span = None if last is None else (0, last)
                for result in tracker.track(timed_frames(video, watch), prompts, span=span):
                    with watch.stage(MASKS, then=REST):
                        for one in result.observations:
                            boxes[one.object_id][one.frame] = one.box
                clock = FrameClock(video.timestamps, video.duration, video.fps)
            regions = [self._region(name, box, boxes[name], clock, watch) for name, box in drawn.items()]
        every = [box for of_object in boxes.values() for box in of_object.values()]
        found = sum(box is not None for box in every) / len(every)
        return Pressed(watch.wall, watch.own, watch.beside, found, regions)

    def click(self, synchronise: Callable[[], None]) -> Clicks:
        """Click on the first object on frames all over the clip, and once more beside it."""
        scene = scene_of(self.case)
        frames = np.unique(np.linspace(0, self.case.frames - 1, _CLICKED).round().astype(int))
        # Not in their order: a frame that is looked for is not the one after the last.
        order = np.random.default_rng(3).permutation(frames).tolist()
        firsts: list[Stopwatch] = []
        followings: list[Stopwatch] = []
        with VideoReader(self.clip, cache_bytes=1) as video:
            for frame in [order[-1], *order]:
                x0, y0, x1, y1 = scene.box(0, frame)
                points = (Point((x0 + x1) / 2, (y0 + y1) / 2), Point(x0 + 1, y0 + 1, positive=False))
                with Stopwatch(synchronise=synchronise) as first:
                    segmenter = timed_segmenter(self.models.segmenter, first)
                    encoding = segmenter.encode(timed_frames(video, first).frame(frame))
                    logits = self._answer(first, encoding, Prompt("clicked", frame, points=points[:1]))
                with Stopwatch(synchronise=synchronise) as following:
                    self._answer(following, encoding, Prompt("clicked", frame, points=points), logits)
                firsts.append(first)
                followings.append(following)
        del firsts[0], followings[0]  # they warmed up
        return Clicks(
            first=_figure(watch.wall for watch in firsts),
            stages={
                stage: _figure(watch.own[stage] for watch in firsts)
                for stage in (DECODE, ENCODE, PROMPTS, MASKS, SERIALISE, REST)
            },
            following=_figure(watch.wall for watch in followings),
        )

    def _answer(
        self, watch: Stopwatch, encoding: Encoding, prompt: Prompt, logits: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What a click on an image brings, up to the text that is sent; its logits."""
        found = answer(timed_segmenter(self.models.segmenter, watch), encoding, prompt, logits)
        with watch.stage(MASKS):
            Mask.from_array(found.mask)
        with watch.stage(SERIALISE):
            json.dumps(mask_region(prompt.object_id, prompt.frame, found.mask, "Object", _CLICKS, score=found.score))
        return found.logits

    def _region(
        self, name: str, box: Box, boxes: Mapping[int, Box | None], clock: FrameClock, watch: Stopwatch
    ) -> Item:
        """What ``labelstudio.regions.format_region`` makes of a track, in steps that can be timed apart."""
        size = self.case.width, self.case.height
        with watch.stage(SERIALISE):
            drawn = Keyframe(0, box)
            first = from_keyframe(drawn, 1, clock.frame_rate, size)
            value = {"labels": ["Object"], "sequence": [first]}
            raw = {"id": name, "from_name": "box", "to_name": "video", "type": RECTANGLE, "value": value}
            region = Region(name, ("Object",), (first,), "both", raw)
            shown = clock.shown().tolist()
        with watch.stage(THIN):
            fitted = carry_margins(boxes, {0: to_box(first, size)}, size)
            keyframes = thin([fitted.get(index) for index in shown], iou=self.keyframe_iou, fixed={0: drawn})
        with watch.stage(SERIALISE):
            later = [from_keyframe(one, one.position + 1, clock.frame_rate, size) for one in keyframes[1:]]
            item = replace_sequence(
                region,
                [first, *later],
                frame_count=clock.frame_count,
                duration=clock.frame_count / clock.frame_rate,
            )
            json.dumps(item)
        return item

    def _per_frame(self, seconds: Iterable[float]) -> Figure:
        return _figure(value / self.case.frames for value in seconds)


@dataclass(frozen=True, eq=False)
class Pressed:
    """One press: its seconds as :class:`Stopwatch` has them, in what part of all observations the object was found, and
    the regions that Label Studio would get."""

    wall: float
    own: Mapping[str, float]
    beside: Mapping[str, float]
    found: float
    regions: Sequence[Item]


def waiter(device: torch.device) -> Callable[[], None]:
    """Waits until a device has done what it was asked to."""
    waits: dict[str, Callable[[], None]] = {
        "cuda": lambda: torch.cuda.synchronize(device),
        "xpu": lambda: torch.xpu.synchronize(device),
        "mps": torch.mps.synchronize,
    }
    return waits.get(device.type, lambda: None)


def _figure(seconds: Iterable[float]) -> Figure:
    return Figure(values=tuple(round(_MILLI * value, 4) for value in seconds))
