"""A worker without Ray around it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.cluster.actor import TrackerActor
from backend.cluster.calls import Call, PackedPrompt
from backend.cluster.footage import footage_of
from backend.tracking.click import Answer
from backend.tracks import Point, Prompt
from backend.video.reader import VideoReader
from support.fake_tracker import FakeTracker
from support.service import FRAMES, clip


class Refining(FakeTracker):
    """Its logits are tensors."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def click(self, video: Any, prompt: Prompt, logits: Any = None) -> Answer:
        """As the fake one does it."""
        found = super().click(video, prompt, logits)
        return Answer(found.mask, found.score, torch.full((2, 3), 0.25 * len(self.clicks), dtype=self.dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_a_click_goes_on_from_comes_back_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    tracker = Refining(dtype)
    actor = TrackerActor(lambda: tracker, 1 << 20)
    packed = PackedPrompt.of(Prompt("a", 3, points=(Point(30, 40),)))
    with VideoReader(clip(tmp_path)) as video:
        first = pickle.loads(pickle.dumps(actor.click(footage_of(video), packed, None)))
        actor.click(footage_of(video), packed, first.logits)
    (_, none), (_, given) = tracker.clicks
    assert none is None
    actor.close()
    assert isinstance(given, torch.Tensor)
    assert torch.equal(given, torch.full((2, 3), 0.25, dtype=dtype))


def test_a_prompts_mask_is_the_same_on_the_other_side() -> None:
    mask = np.eye(5, 7, dtype=bool)
    packed = pickle.loads(pickle.dumps(PackedPrompt.of(Prompt("a", 3, box=(1.0, 2.0, 3.0, 4.0), mask=mask, ends=True))))
    prompt = packed.unpack()
    assert (prompt.object_id, prompt.frame, prompt.box, prompt.ends) == ("a", 3, (1.0, 2.0, 3.0, 4.0), True)
    assert np.array_equal(prompt.mask, mask)


def test_calls_take_turns_and_what_is_cancelled_ends(tmp_path: Path) -> None:
    actor = TrackerActor(FakeTracker, 1 << 20)
    call = Call("track", {"span": None, "direction": "both"}, [PackedPrompt.of(Prompt("a", 3, (1.0, 2.0, 30.0, 40.0)))])
    with VideoReader(clip(tmp_path)) as video:
        footage = footage_of(video)
        actor.begin("one", footage, call)
        actor.begin("other", footage, call)
        portions = {name: [actor.pull(name)] for name in ("one", "other")}
        actor.cancel("other")
        while not portions["one"][-1].done:
            portions["one"].append(actor.pull("one"))
        assert sum(len(portion.results) for portion in portions["one"]) == FRAMES
        last = actor.pull("other")
        assert (last.results, last.done) == ([], True)
        with pytest.raises(KeyError):
            actor.pull("other")
    assert actor._folder._path.is_dir()
    actor.close()
    assert not actor._folder._path.exists()
