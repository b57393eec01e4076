"""Whole sequences of detections, against MASA's released tracker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backend.association.greedy import GreedyMatcher, GreedyRules
from backend.association.matcher import Candidates
from support import golden

pytestmark = pytest.mark.golden


@dataclass
class Run:
    """What the reference says of a sequence, and what the matcher made of it."""

    expected: dict[str, np.ndarray]
    ids: list[int]
    sizes: list[int]
    matcher: GreedyMatcher


def rules_of(config: dict[str, Any]) -> GreedyRules:
    assert not config["with_cats"]
    return GreedyRules(
        begin=config["init_score_thr"],
        follow=config["obj_score_thr"],
        match=config["match_score_thr"],
        memory=config["memo_tracklet_frames"],
        momentum=config["memo_momentum"],
        weak=config["distractor_score_thr"],
        overlap=config["distractor_nms_thr"],
        distance=None if config["max_distance"] < 0 else config["max_distance"],
        fps=config["fps"],
    )


@pytest.fixture(scope="module", params=["demo", "no_gate", "short_memory"])
def config(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=["scripted", "random"])
def run(request: pytest.FixtureRequest, config: str, golden_dir: Path) -> Run:
    arrays, meta = golden.load(golden_dir, "masa_tracker")
    sequence = {
        name: arrays[f"{request.param}_{name}"] for name in ("frame_id", "ptr", "boxes", "scores", "embeddings")
    }
    matcher = GreedyMatcher(rules_of(meta["configs"][config]))
    ids: list[int] = []
    sizes: list[int] = []
    for place, frame in enumerate(sequence["frame_id"]):
        rows = slice(sequence["ptr"][place], sequence["ptr"][place + 1])
        candidates = Candidates(
            sequence["boxes"][rows].astype(np.float64),
            sequence["scores"][rows].astype(np.float64),
            torch.from_numpy(sequence["embeddings"][rows]),
        )
        ids += [-1 if number is None else number for number in matcher.step(int(frame), candidates)]
        sizes.append(len(matcher.tracks))
    prefix = f"{request.param}_{config}_"
    expected = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    return Run(expected, ids, sizes, matcher)


def test_every_detection_has_the_same_id(run: Run) -> None:
    assert run.ids == run.expected["ids"].tolist()
    assert max(run.ids) + 1 == run.expected["num_tracks"]


def test_as_much_is_remembered_after_every_frame(run: Run) -> None:
    assert run.sizes == run.expected["memory_size"].tolist()


def test_what_is_remembered_in_the_end(run: Run) -> None:
    tracks = run.matcher.tracks
    assert list(tracks) == run.expected["final_track_ids"].tolist()
    assert [track.frame for track in tracks.values()] == run.expected["final_track_last_frame"].tolist()
    embeddings = torch.stack([track.embedding for track in tracks.values()])
    np.testing.assert_allclose(embeddings.numpy(), run.expected["final_track_embeddings"], rtol=0, atol=1e-5)
