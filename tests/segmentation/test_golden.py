"""MobileSAM, number by number, against its released implementation."""

from __future__ import annotations

import importlib.util
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend import checkpoints
from backend.segmentation.build import build_segmenter
from backend.segmentation.segmenter import Encoding, MaskPrompt, Segmenter
from backend.tracks import Point

pytestmark = pytest.mark.golden

PROMPTS = ["point", "two_points", "box", "box_multi", "point_box", "mask", "point_box_mask"]
RESIZED_ROWS = [0, 100, 300, 575]


@pytest.fixture(scope="module")
def golden(golden_dir: Path) -> Mapping[str, np.ndarray]:
    with np.load(golden_dir / "mobile_sam.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def meta(golden: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return json.loads(str(golden["meta"]))


@pytest.fixture(scope="module")
def image(golden_dir: Path, meta: dict[str, Any]) -> np.ndarray:
    frame, _ = _load(golden_dir / "golden_weights.py").synth_frame(
        meta["frame_seed"], meta["t"], meta["height"], meta["width"]
    )
    return frame


@pytest.fixture(scope="module")
def state(mobile_sam_path: Path) -> dict[str, torch.Tensor]:
    return checkpoints.load_state(mobile_sam_path)


@pytest.fixture(scope="module")
def exact(state: dict[str, torch.Tensor]) -> Segmenter:
    return build_segmenter("mobile_sam", state, exact=True)


@pytest.fixture(scope="module")
def encoded(exact: Segmenter, image: np.ndarray) -> tuple[Encoding, np.ndarray]:
    """The encoding, and what the frame was resized to on the way."""
    seen: list[np.ndarray] = []
    resize = Image.Image.resize

    def noted(self: Image.Image, *args: Any, **kwargs: Any) -> Image.Image:
        resized = resize(self, *args, **kwargs)
        seen.append(np.array(resized))
        return resized

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image.Image, "resize", noted)
        encoding = exact.encode(image)
    (resized,) = seen
    return encoding, resized


@pytest.fixture(scope="module")
def encoding(encoded: tuple[Encoding, np.ndarray]) -> Encoding:
    return encoded[0]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def prompt_of(golden: Mapping[str, np.ndarray], meta: dict[str, Any], name: str) -> tuple[MaskPrompt, bool]:
    said = meta["prompts"][name]
    points: list[Point] = []
    if "point_coords" in said:
        places, labels = golden[f"{name}_point_coords"], golden[f"{name}_point_labels"]
        points = [Point(float(x), float(y), bool(label)) for (x, y), label in zip(places, labels, strict=True)]
    box = tuple(golden[f"{name}_box"].tolist()) if "box" in said else None
    logits = torch.from_numpy(golden["mask_input_f32"]) if "mask_input" in said else None
    return MaskPrompt(box, tuple(points), logits), said["multimask_output"]


def masks_of(golden: Mapping[str, np.ndarray], meta: dict[str, Any], name: str) -> np.ndarray:
    height, width = meta["height"], meta["width"]
    bits = np.unpackbits(golden[f"{name}_mask_packed"], axis=1)[:, : height * width]
    return bits.reshape(-1, height, width).astype(bool)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else 1.0


def test_these_are_the_weights(mobile_sam_path: Path, meta: dict[str, Any]) -> None:
    assert checkpoints.sha256_of(mobile_sam_path) == meta["checkpoint_sha256"]


def test_every_prompt_is_tested(meta: dict[str, Any]) -> None:
    assert sorted(meta["prompts"]) == sorted(PROMPTS)


def test_the_resized_frame(encoded: tuple[Encoding, np.ndarray], golden: Mapping[str, np.ndarray]) -> None:
    resized = encoded[1]
    assert list(resized.shape) == golden["resized_shape"].tolist()
    assert np.array_equal(resized[RESIZED_ROWS], golden["resized_u8_rows"])
    assert zlib.crc32(resized.tobytes()) == int(golden["resized_crc32"])


def test_the_embedding(encoding: Encoding, golden: Mapping[str, np.ndarray]) -> None:
    found = encoding.embedding.numpy()
    assert found.shape == golden["embedding_f16"].shape
    np.testing.assert_allclose(found, golden["embedding_f16"].astype(np.float32), rtol=0, atol=2e-3)
    np.testing.assert_allclose(found[0, ::32, ::4, ::4], golden["embedding_slice_f32"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", PROMPTS)
def test_masks(
    exact: Segmenter, encoding: Encoding, golden: Mapping[str, np.ndarray], meta: dict[str, Any], name: str
) -> None:
    prompt, multimask = prompt_of(golden, meta, name)
    found = exact.segment(encoding, [prompt], multimask=multimask)
    expected = golden[f"{name}_low_res_logits"]
    assert found.logits[0].shape == expected.shape
    np.testing.assert_allclose(found.logits[0].numpy(), expected, rtol=0, atol=5e-3)
    np.testing.assert_allclose(found.iou[0].numpy(), golden[f"{name}_iou"], rtol=0, atol=1e-4)
    masks = (exact.full_size(found.logits[0], encoding) > 0).numpy()
    for mask, known in zip(masks, masks_of(golden, meta, name), strict=True):
        assert iou(mask, known) >= 0.999


def test_what_serves_makes_almost_the_same_masks(
    mobile_sam: Segmenter, image: np.ndarray, golden: Mapping[str, np.ndarray], meta: dict[str, Any]
) -> None:
    encoding = mobile_sam.encode(image)
    for name in ("box", "box_multi", "point_box"):
        prompt, multimask = prompt_of(golden, meta, name)
        found = mobile_sam.segment(encoding, [prompt], multimask=multimask)
        masks = (mobile_sam.full_size(found.logits[0], encoding) > 0).numpy()
        best = int(golden[f"{name}_iou"].argmax())
        assert iou(masks[best], masks_of(golden, meta, name)[best]) >= 0.95, name
