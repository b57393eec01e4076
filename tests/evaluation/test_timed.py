"""A tracker on a stopwatch: which part's time goes where."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.association.identity import Calibration
from backend.evaluation.stages import ASSOCIATE, CUTS, DECODE, ENCODE, MASKS, PROMPTS, PROPAGATE, REFINE, WAIT
from backend.evaluation.stopwatch import REST, Stopwatch
from backend.evaluation.timed import timed_ahead, timed_frames, timed_looks, timed_propagator, timed_tracker
from backend.propagation.propagator import Cue, Decoder, Encoded, Propagation
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation
from backend.tracking.build import Models
from backend.tracking.looks import Looks
from backend.tracks import BoolArray, FloatArray, ImageArray, Prompt
from support.fake_rooms import FakePropagator, FakeSegmenter, FakeVideo

BOX = (8.0, 6.0, 40.0, 30.0)
ENCODING, SEGMENTING, SCALING, STEPPING, LOOKING = 1000.0, 100.0, 10.0, 1.0, 7.0


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowSegmenter(FakeSegmenter):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock

    def encode(self, image: ImageArray) -> Encoding:
        self.clock.now += ENCODING
        return super().encode(image)

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        self.clock.now += SEGMENTING
        return super().segment(encoding, prompts, multimask=multimask)

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        self.clock.now += SCALING
        return super().full_size(logits, encoding)


class SlowLooks:
    """An embedder."""

    dimensions = 2

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def embed(self, encoding: Encoding, boxes: Tensor, masks: Sequence[BoolArray | None] | None = None) -> Tensor:
        self.clock.now += LOOKING
        return torch.ones((len(boxes), 2))


class AskingPropagator(FakePropagator):
    """One that asks the decoder once a step, and has one mask scaled, as real ones do."""

    def __init__(self, clock: Clock, decoder: Decoder) -> None:
        super().__init__()
        self.clock, self.decoder = clock, decoder

    def step(
        self,
        frame: int,
        encoding: Encoded,
        given: Mapping[str, BoolArray],
        wanted: Collection[str],
        claims: FloatArray | None = None,
    ) -> dict[str, Propagation]:
        self.clock.now += STEPPING
        answer = self.decoder.segment(encoding, [Cue(BOX, (), None)])
        self.decoder.full_size(answer.logits[0, :1], encoding)
        return super().step(frame, encoding, given, wanted, claims)

    def fork(self) -> AskingPropagator:
        other = AskingPropagator(self.clock, self.decoder)
        other._masks = dict(self._masks)
        return other


def test_each_part_of_a_track_is_its_own_stage() -> None:
    clock = Clock()
    segmenter = SlowSegmenter(clock)
    models = Models(segmenter.as_segmenter, lambda decoder: AskingPropagator(clock, decoder))
    video, frames = FakeVideo(6), 6
    with Stopwatch(clock) as watch:
        tracker = timed_tracker(models, EncodingCache(10**9), watch)
        results = list(tracker.track(timed_frames(video.as_reader, watch), [Prompt("a", 0, box=BOX)]))
    assert [result.frame for result in results] == list(range(frames))
    assert watch.own[ENCODE] == ENCODING * frames
    # The prompt is segmented with several masks and with one, then scaled.
    assert watch.own[PROMPTS] == 2 * SEGMENTING
    # Every frame is a step, and the prompted one is given a second time where its pass begins.
    steps = frames + 1
    assert watch.own[PROPAGATE] == STEPPING * steps
    assert watch.own[REFINE] == SEGMENTING * steps
    assert watch.own[MASKS] == SCALING * (steps + 1)
    assert sum(watch.own.values()) == watch.wall


def test_looks_are_a_stage_and_their_own_encoder_is_encoding() -> None:
    clock = Clock()
    for own in (False, True):
        looks = Looks(SlowLooks(clock), Calibration(0.5, 10.0, 10.0), SlowSegmenter(clock) if own else None)
        with Stopwatch(clock) as watch:
            timed = timed_looks(looks, watch)
            encoder = SlowSegmenter(clock) if timed.encoder is None else timed.encoder
            encoding = encoder.encode(FakeVideo(1).frame(0))
            assert len(timed.embedder.embed(encoding, torch.ones(3, 4))) == 3
        assert watch.own[ASSOCIATE] == LOOKING
        assert watch.own.get(ENCODE, 0.0) == (ENCODING if own else 0.0)
        assert timed.calibration is looks.calibration


class SlowReading:
    """A video of which each frame takes a second."""

    def __init__(self, clock: Clock) -> None:
        self.inner, self.clock = FakeVideo(4), clock

    def __len__(self) -> int:
        return len(self.inner)

    def frame(self, index: int) -> ImageArray:
        self.clock.now += 1
        return self.inner.frame(index)


def test_frames_are_decoded_where_they_are_asked_for() -> None:
    clock = Clock()
    with Stopwatch(clock) as watch:
        frames = timed_frames(SlowReading(clock), watch)  # type: ignore[arg-type]
        frames.frame(0)
        ahead = timed_ahead(watch)(frames, [1, 2, 3])
        assert [index for index, _ in ahead] == [1, 2, 3]
    assert watch.own[DECODE] == 1
    assert watch.beside == {DECODE: 3}


def test_waiting_for_a_frame_is_not_decoding_it() -> None:
    clock = Clock()
    with Stopwatch(clock) as watch:
        frames = timed_frames(SlowReading(clock), watch)  # type: ignore[arg-type]
        assert [index for index, _ in timed_ahead(watch)(frames, [2])] == [2]
    assert watch.own[WAIT] == watch.beside[DECODE] == 1
    assert DECODE not in watch.own


def test_the_consumer_s_wait_is_apart_from_what_it_does_next() -> None:
    clock = Clock()
    with Stopwatch(clock) as watch:
        for _ in timed_ahead(watch)(FakeVideo(3), range(3)):
            clock.now += 2
    assert watch.own[CUTS] == 6
    assert watch.own[WAIT] == 0
    assert watch.own[REST] == 0


def test_masks_are_encoded_after_a_step() -> None:
    clock = Clock()
    with Stopwatch(clock) as watch:
        propagator = timed_propagator(FakePropagator(), watch)
        mask = np.ones((4, 4), bool)
        encoding = SlowSegmenter(clock).encode(FakeVideo(1).frame(0))
        propagator.step(0, encoding, {"a": mask}, ["a"])
        clock.now += 3
    assert watch.own[MASKS] == 3


def test_what_comes_of_a_propagator_is_timed_too() -> None:
    clock = Clock()
    segmenter = SlowSegmenter(clock)
    encoding = segmenter.encode(FakeVideo(1).frame(0))
    with Stopwatch(clock) as watch:
        origin = AskingPropagator(clock, segmenter)
        propagator = timed_propagator(origin, watch)
        propagator.lose()
        for one in (propagator, propagator.fork(), propagator.branch()):
            one.step(0, encoding, {"a": np.ones((4, 4), bool)}, [])
    assert origin.log[0] == ("lose",)
    # The branch of this fake asks nobody.
    assert watch.own[PROPAGATE] == 2 * (STEPPING + SEGMENTING + SCALING)


def test_attributes_of_a_video_are_its_own() -> None:
    video = FakeVideo(7)
    frames = timed_frames(video.as_reader, Stopwatch())
    assert (len(frames), frames.width, frames.height, frames.identity()) == (
        7,
        video.width,
        video.height,
        video.identity(),
    )
