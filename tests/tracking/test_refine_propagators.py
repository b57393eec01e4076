"""Refinement over the real propagators: on noise that stays the same, and with synthetic weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from backend.propagation.propagator import Cue, Propagator
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.propagation.xmem import load_xmem
from backend.propagation.xmem_frames import FrameEncoder
from backend.propagation.xmem_propagator import XMemPropagator
from backend.segmentation.segmenter import Encoding, Prompting, Segmentation, Segmenter
from backend.tracking.refine import Refiner, RefineRules
from backend.tracks import BoolArray
from support import golden
from support.encodings import noise_encoding

SIZE = (44, 70)


class Echo:
    """A propagator's decoder that answers with what it is told."""

    def segment(self, encoding: Encoding, prompts: Sequence[Cue], *, multimask: bool = True) -> Segmentation:
        told = [prompt.logits for prompt in prompts if prompt.logits is not None]
        return Segmentation(torch.stack(told)[:, None], torch.ones(len(told), 1))

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        scaled = torch.nn.functional.interpolate(logits[:, None], scale_factor=4, mode="bilinear")
        return scaled[:, 0, : encoding.size[0], : encoding.size[1]]


class Knowing:
    """A segmenter that knows the answer."""

    def __init__(self, mask: BoolArray) -> None:
        self.mask = mask
        self.encoded = 0

    def encode(self, frame: int, image: np.ndarray) -> Encoding:
        self.encoded += 1
        return noise_encoding(scaled=SIZE, size=SIZE)

    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        logits = torch.from_numpy(self.mask) * 12.0 - 6.0
        return Segmentation(logits.expand(len(prompts), 3, -1, -1), torch.full((len(prompts), 3), 0.95))

    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        return logits


@dataclass
class Room:
    propagator: Any
    frames: list[Any]


def tokens(golden_dir: Path) -> Room:
    encoding = noise_encoding(scaled=SIZE, size=SIZE)
    return Room(SamTokenPropagator(Echo(), torch.float32), [encoding] * 3)


def xmem(golden_dir: Path) -> Room:
    network = load_xmem(golden.golden_state(golden_dir, "xmem", 1))
    synth = golden.golden_weights(golden_dir).synth_frame
    encoder = FrameEncoder(network)
    return Room(XMemPropagator(network), [encoder.encode(synth(5, frame, *SIZE)[0]) for frame in range(3)])


@pytest.mark.parametrize("make", [tokens, xmem])
def test_what_is_accepted_enters_memory_and_is_gone_on_from(make: Any, golden_dir: Path) -> None:
    room = make(golden_dir)
    propagator = cast(Propagator, room.propagator)
    mask = np.zeros(SIZE, bool)
    mask[10:34, 12:44] = True
    propagator.step(0, room.frames[0], {"a": mask}, ())
    found = propagator.step(1, room.frames[1], {}, ["a"])
    propagated = found["a"].mask
    assert propagated is not None
    better = cv2.morphologyEx(propagated.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)) > 0
    better[:, :2] ^= True  # never what was propagated
    segmenter = Knowing(better)
    refiner = Refiner(cast(Segmenter, segmenter), segmenter.encode, RefineRules(2.0, agrees=0.3))
    refined = refiner.refine(propagator, 1, np.zeros((*SIZE, 3), np.uint8), room.frames[1], found)
    assert np.array_equal(refined["a"].mask, better)
    assert segmenter.encoded == 1
    memory = [one for one in room.propagator._bank.read(1) if not one.permanent]
    assert [(one.frame, list(one.values)) for one in memory] == [(1, ["a"])]
    believed = torch.nn.functional.interpolate(propagator.probabilities["a"][None, None], SIZE)[0, 0] > 0.5
    assert (believed.numpy() == better).mean() > 0.9
    other = room.propagator.fork()
    assert all(one.permanent for one in other._bank.read(1))
    assert propagator.step(2, room.frames[2], {}, ["a"]).keys() == {"a"}
