"""The tracker of each choice of models; those that nobody trained find nothing worth looking at, but they run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.association.sam_features import SamFeatures
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.propagation.xmem import XMem
from backend.propagation.xmem_frames import FrameEncoder, XMemFrame
from backend.propagation.xmem_propagator import XMemPropagator
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Segmenter
from backend.settings import Settings, load_settings
from backend.tracking import build
from backend.tracking.build import Models, build_tracker, load_models
from backend.tracking.tracker import VideoTracker
from backend.tracks import Prompt
from backend.video.reader import VideoReader
from support.clips import Scene, SceneObject, make_clip, moving_boxes_scene

pytestmark = pytest.mark.slow


def settings(weights: Path, segmenter: str, propagator: str) -> Settings:
    return load_settings(weights_dir=weights, device="cpu", segmenter=segmenter, propagator=propagator)


def tracker_of(models: Models) -> VideoTracker:
    return VideoTracker(
        models.segmenter,
        lambda: models.new_propagator(models.segmenter),
        EncodingCache(1 << 20),
        encoder=models.encoder,
    )


def given(scene: Scene, name: str) -> Prompt:
    """An object's true mask on the first frame."""
    return Prompt(name, 0, mask=scene.masks[name][0])


def test_mobile_sam_alone_encodes_once(untrained: Path) -> None:
    models = load_models(settings(untrained, "mobile_sam", "sam_tokens"))
    assert models.encoder is None
    assert isinstance(models.new_propagator(models.segmenter), SamTokenPropagator)


def test_xmem_encodes_for_itself(untrained: Path) -> None:
    models = load_models(settings(untrained, "mobile_sam", "xmem"))
    assert isinstance(models.encoder, FrameEncoder)
    assert isinstance(models.new_propagator(models.segmenter), XMemPropagator)


def test_xmem_may_run_with_fixed_shapes(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoder and propagator share the one network; it is not run here, which would compile it."""
    made: list[tuple[XMem, str]] = []
    monkeypatch.setattr(build, "StaticXMem", lambda network, mode: made.append((network, mode)) or network)
    load_models(settings(untrained, "mobile_sam", "xmem"))
    assert made == []
    load_models(settings(untrained, "mobile_sam", "xmem").model_copy(update={"xmem_mode": "compile"}))
    ((network, mode),) = made
    assert isinstance(network, XMem)
    assert mode == "compile"


def test_tokens_are_mobile_sams_whatever_the_segmenter(untrained: Path, tmp_path: Path) -> None:
    """ViT-B makes the masks of prompts; MobileSAM, which here alone has learned anything, follows them."""
    chosen = settings(untrained, "sam_vit_b", "sam_tokens")
    models = load_models(chosen)
    assert isinstance(models.encoder, Segmenter)
    assert models.encoder is not models.segmenter
    scene = moving_boxes_scene(5)
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames)) as video:
        tracker = tracker_of(models)
        found = {one.frame: one.observations[0] for one in tracker.track(video, [given(scene, "red")])}
    assert sorted(found) == list(range(5))
    for frame, one in found.items():
        assert one.mask is not None
        mask, truth = one.mask.array(), scene.masks["red"][frame]
        assert (mask & truth).sum() / (mask | truth).sum() > 0.7, frame


def test_untrained_models_of_every_kind_run_together(untrained: Path, tmp_path: Path) -> None:
    scene = moving_boxes_scene(4, (128, 96))
    tracker = build_tracker(settings(untrained, "sam_vit_b", "xmem"))
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames)) as video:
        prompts = [given(scene, "red"), Prompt("blue", 0, box=scene.boxes["blue"][0])]
        results = {one.frame: one.observations for one in tracker.track(video, prompts)}
    assert sorted(results) == list(range(4))
    assert all([one.object_id for one in found] == ["blue", "red"] for found in results.values())
    assert np.array_equal(results[0][1].mask.array(), scene.masks["red"][0])


def test_4k_is_followed_at_480_rows_and_answered_at_4k(untrained: Path, tmp_path: Path) -> None:
    width, height = 3840, 2160
    scene = moving_boxes_scene(
        3, (width, height), [SceneObject("red", (220, 40, 30), (900, 700), (900, 600), (60, 40))]
    )
    models = load_models(settings(untrained, "mobile_sam", "xmem"))
    assert models.encoder is not None
    with VideoReader(make_clip(tmp_path / "clip.mp4", scene.frames)) as video:
        encoding = models.encoder.encode(video.frame(0))
        assert isinstance(encoding, XMemFrame)
        assert (encoding.size, encoding.scaled) == ((height, width), (480, 853))
        found = {one.frame: one.observations[0] for one in tracker_of(models).track(video, [given(scene, "red")])}
    assert sorted(found) == [0, 1, 2]
    masks = [one.mask for one in found.values() if one.mask is not None]
    assert {mask.size for mask in masks} == {(height, width)}
    assert len(masks) > 1


def test_mobile_sams_features_are_taken_where_they_are(untrained: Path) -> None:
    """By default; a frame is encoded by MobileSAM once, whoever else encodes it."""
    alone = load_models(settings(untrained, "mobile_sam", "sam_tokens")).looks
    assert alone is not None
    assert isinstance(alone.embedder, SamFeatures)
    assert alone.encoder is None
    beside = load_models(settings(untrained, "sam_vit_b", "sam_tokens"))
    assert beside.looks is not None
    assert beside.looks.encoder is beside.encoder
    apart = load_models(settings(untrained, "sam_vit_b", "xmem")).looks
    assert apart is not None
    assert isinstance(apart.encoder, Segmenter)


def test_nobody_is_told_apart_where_that_is_not_wanted(untrained: Path) -> None:
    chosen = settings(untrained, "mobile_sam", "sam_tokens").model_copy(update={"embedder": "off"})
    assert load_models(chosen).looks is None


@pytest.mark.parametrize(("segmenter", "shared"), [("sam_vit_b", True), ("mobile_sam", False)])
def test_masa_reads_what_the_same_vit_gave(untrained: Path, segmenter: str, shared: bool) -> None:
    chosen = settings(untrained, segmenter, "sam_tokens").model_copy(update={"embedder": "masa_sam_b"})
    models = load_models(chosen)
    assert models.looks is not None
    assert (models.looks.encoder is None) == shared
    image = np.zeros((90, 120, 3), np.uint8)
    image[20:60, 30:70] = 200
    encoder = models.segmenter if models.looks.encoder is None else models.looks.encoder
    boxes = torch.tensor([[30.0, 20, 70, 60], [0, 0, 120, 90]])
    for _ in range(2):  # nothing is left of the first frame on the second one
        found = models.looks.embedder.embed(encoder.encode(image), boxes)
        assert found.shape == (2, models.looks.embedder.dimensions)
        assert bool(found.isfinite().all())
