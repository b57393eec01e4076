"""MASA's networks, number by number, against the released implementation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from backend.association.masa import Masa, load_masa
from backend.association.masa_embedder import MasaEmbedder, MasaEncoder, MasaFrame
from backend.association.masa_head import level_of, look_up
from support import golden
from support.masa import masa_r50

pytestmark = pytest.mark.golden

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("full_0", "full_1")]


@dataclass
class Reference:
    """What a file says under a prefix."""

    arrays: dict[str, np.ndarray]
    prefix: str

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[self.prefix + name]

    def check(self, name: str, found: Tensor, atol: float = 1e-3) -> None:
        np.testing.assert_allclose(found.numpy(), self[name], rtol=0, atol=atol, err_msg=self.prefix + name)

    def check_levels(self, name: str, found: Sequence[Tensor]) -> None:
        """Channel means, statistics, and slices where the file has them."""
        assert len(found) == 5
        for number, level in enumerate(found):
            self.check_stats(f"{name}{number}", level)
            self.check(f"{name}{number}_channel_mean", level[0].mean((1, 2)))
            if f"{self.prefix}{name}{number}_slice" in self.arrays:
                channels, rows, columns = self[f"{name}{number}_step"]
                self.check(f"{name}{number}_slice", level[0, ::channels, ::rows, ::columns])

    def check_stats(self, name: str, found: Tensor) -> None:
        """Mean and extremes within 1e-3; standard deviation and sums within a thousandth of them."""
        x = found.double()
        stats = torch.stack([x.mean(), x.std(), x.abs().sum(), (x * x).sum(), x.min(), x.max()]).numpy()
        np.testing.assert_allclose(stats, self[f"{name}_stats"], rtol=1e-3, atol=1e-3, err_msg=self.prefix + name)

    def check_embeddings(self, found: Tensor) -> None:
        expected = torch.from_numpy(self["embeddings"])
        self.check("embeddings", found)
        assert torch.cosine_similarity(found.double(), expected.double()).min() >= 0.99999


class Seen:
    """What goes into parts of a network and comes out of them, the last time that it runs."""

    def __init__(self, network: Masa) -> None:
        self.into: dict[str, Any] = {}
        self.out: dict[str, Any] = {}
        self._hooks = [
            part.register_forward_hook(self._keep(name)) for name, part in network.named_children() if name != "head"
        ]

    def _keep(self, name: str) -> Any:
        def keep(_: nn.Module, given: tuple[Any, ...], made: Any) -> None:
            self.into[name], self.out[name] = given[0], made

        return keep

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()


@dataclass
class Run:
    """One frame through a network."""

    reference: Reference
    network: Masa
    seen: Seen
    encoded: MasaFrame


@pytest.fixture(scope="module", params=["small_0", "small_1", *SLOW])
def resnet(request: pytest.FixtureRequest, golden_dir: Path) -> Run:
    size, _, frame = request.param.partition("_")
    arrays, meta = golden.load(golden_dir, "masa_r50")
    image, _ = golden.golden_weights(golden_dir).synth_frame(
        meta["frame_seed"], meta["frames"][int(frame)], meta["height"], meta["width"]
    )
    network = masa_r50(golden_dir)
    with Seen(network) as seen:
        encoded = MasaEncoder(network, meta["sizes"][size]).encode(image)
    return Run(Reference(arrays, f"{request.param}_"), network, seen, encoded)


def test_what_the_resnet_is_given(resnet: Run) -> None:
    given = resnet.seen.into["trunk"]
    assert given.shape == tuple(resnet.reference["input_shape"])
    assert resnet.encoded.scaled == tuple(resnet.reference["img_shape"])
    resnet.reference.check_stats("input", given)
    resnet.reference.check("input_rows", given[0][:, [0, 1, given.shape[2] // 2]], 1e-4)


def test_the_resnet(resnet: Run) -> None:
    maps = resnet.seen.out["trunk"]
    assert len(maps) == 4
    for number, one in enumerate(maps):
        resnet.reference.check_stats(f"backbone{number}", one)


def test_the_adapter_on_the_resnet(resnet: Run) -> None:
    resnet.reference.check_levels("fpn", resnet.seen.out["pyramid"])
    resnet.reference.check_levels("adapter", resnet.seen.out["fusion"])


def test_embeddings_on_the_resnet(resnet: Run) -> None:
    boxes = torch.from_numpy(resnet.reference["boxes"])
    resnet.reference.check_embeddings(MasaEmbedder(resnet.network).embed(resnet.encoded, boxes))


@pytest.mark.parametrize("resnet", ["small_0"], indirect=True)
def test_boxes_on_their_levels(resnet: Run) -> None:
    boxes = torch.from_numpy(resnet.reference["boxes_resized"])
    assert level_of(boxes).tolist() == resnet.reference["roi_levels"].tolist()
    resnet.reference.check("roi_feats_sub", look_up(resnet.encoded.levels, boxes)[:, ::16])


@dataclass
class Blocks:
    """What SAM's image encoder leaves, of a square."""

    blocks: list[Tensor]

    @property
    def size(self) -> tuple[int, int]:
        return 16 * self.blocks[0].shape[2], 16 * self.blocks[0].shape[3]

    @property
    def scaled(self) -> tuple[int, int]:
        return self.size


@pytest.mark.parametrize("size", ["small", pytest.param("full", marks=pytest.mark.slow)])
def test_on_sam(golden_dir: Path, size: str) -> None:
    arrays, meta = golden.load(golden_dir, "masa_sam_vitb")
    seed, reference = meta["weight_seed"], Reference(arrays, f"{size}_")
    state = golden.golden_state(golden_dir, "masa_sam_vitb", seed, ("masa_adapter.", "track_head."))
    assert golden.state_crc32(golden_dir, state) == meta["weights_crc32_adapter_and_track_head"]
    network = load_masa("masa_sam_b", state, trunk=False)
    make = golden.golden_weights(golden_dir).golden_map
    names = [meta["map_name"].format(i=i, tag=size) for i in range(4)]
    blocks = [torch.from_numpy(make(name, meta["map_shape"][size], seed, coarse=meta["coarse"])) for name in names]

    with Seen(network) as seen:
        encoded = MasaEncoder(network).fuse(Blocks(blocks))
    reference.check_levels("fpn", seen.out["pyramid"])
    reference.check_levels("adapter", seen.out["fusion"])
    reference.check_embeddings(MasaEmbedder(network).embed(encoded, torch.from_numpy(reference["boxes"])))
