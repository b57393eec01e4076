"""MASA's networks (Li et al., CVPR 2024): embeddings of boxes that tell objects apart, learnt without labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from backend.association.masa_fusion import DeformableFusion, DynamicFusion
from backend.association.masa_head import TrackHead, look_up
from backend.association.masa_pyramid import FeaturePyramid, SimpleFeaturePyramid
from backend.association.masa_trunk import ResNet, SamTrunk
from backend.errors import WeightsError

Variant = Literal["masa_r50", "masa_sam_b", "masa_sam_h"]

_BLOCKS = 3
_NAMES = {
    "backbone.": "trunk.",
    "detector.backbone.": "trunk.",
    "masa_adapter.0.": "pyramid.",
    "masa_adapter.1.dyhead_blocks.": "fusion.",
    "track_head.embed_head.": "head.",
}
# What else is in the checkpoints: the heads of training, and the rest of the SAM that the adapter was trained on.
_UNUSED = ("rpn_head.", "roi_head.", "detector.backbone.neck.", "detector.mask_decoder.", "detector.prompt_encoder.")


class Masa(nn.Module):
    """One of the networks; :func:`load_masa` builds it with weights.

    Without a trunk it takes another's maps. Training left SAM as it was, so that the variants on it take those of any
    image encoder with SAM's own weights.
    """

    def __init__(self, variant: Variant, *, trunk: bool = True) -> None:
        super().__init__()
        self.trunk: nn.Module | None = _trunk(variant) if trunk else None
        self.pyramid: FeaturePyramid
        self.fusion: nn.Sequential
        if variant == "masa_r50":
            self.pyramid = FeaturePyramid(ResNet.channels)
            self.fusion = nn.Sequential(*(DeformableFusion() for _ in range(_BLOCKS)))
        else:
            self.pyramid = SimpleFeaturePyramid(_DIMS[variant])
            self.fusion = nn.Sequential(*(DynamicFusion() for _ in range(_BLOCKS)))
        self.head = TrackHead()
        self.variant = variant

    @property
    def square(self) -> bool:
        """Whether its trunk takes squares of one size only, as SAM does."""
        return isinstance(self.pyramid, SimpleFeaturePyramid)

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.head.fc_embed.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in; embeddings are float32 all the same."""
        return self.head.fc_embed.weight.dtype

    def maps(self, image: Tensor) -> tuple[Tensor, ...]:
        """The trunk's four maps of a normalised image (1, 3, H, W).

        Raises:
            ValueError: the network has no trunk.
        """
        if self.trunk is None:
            raise ValueError("the network was loaded without its trunk")
        image = image.to(self.device, self.dtype, memory_format=torch.channels_last)
        maps: tuple[Tensor, ...] = self.trunk(image)
        return maps

    def levels(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Five levels of features (1, 256, ...) of a trunk's maps: at 1/4 of the image's size, 1/8, ... 1/64."""
        maps = [one.to(self.device, self.dtype, memory_format=torch.channels_last) for one in maps]
        levels: tuple[Tensor, ...] = self.fusion(self.pyramid(maps))
        return levels

    def embed(self, levels: Sequence[Tensor], boxes: Tensor) -> Tensor:
        """Embeddings (N, 256), float32 and not normalised, of boxes (N, 4) in pixels of the image."""
        embeddings: Tensor = self.head(look_up(levels, boxes.to(self.device)).to(self.dtype))
        return embeddings.float()


_DIMS: Mapping[str, int] = {"masa_sam_b": 768, "masa_sam_h": 1280}


def _trunk(variant: Variant) -> nn.Module:
    if variant == "masa_r50":
        return ResNet()
    if variant == "masa_sam_b":
        return SamTrunk(_DIMS[variant], depth=12, heads=12, reading=(2, 5, 8, 11))
    return SamTrunk(_DIMS[variant], depth=32, heads=16, reading=(7, 15, 23, 31))


def load_masa(
    variant: Variant,
    state: Mapping[str, Tensor],
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    trunk: bool = True,
) -> Masa:
    """A network with the weights of an official checkpoint.

    Args:
        variant: which one.
        state: the checkpoint's tensors; those of heads that only training had are left out.
        device: where it runs.
        dtype: what it computes in.
        trunk: whether it has its own trunk, or takes another's maps.

    Raises:
        WeightsError: the tensors are not those of that network.
    """
    with torch.device("meta"):
        network = Masa(variant, trunk=trunk)
    try:
        network.load_state_dict(translate(state, trunk=trunk), strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"the checkpoint is not {variant}'s: {str(error)[:300]}; fetch it again") from error
    network.eval().requires_grad_(False)
    _fold(network)
    return network.to(torch.device(device), dtype).to(memory_format=torch.channels_last)


def translate(state: Mapping[str, Tensor], *, trunk: bool = True) -> dict[str, Tensor]:
    """The official tensors by our names, without those that have no part in embeddings, and the trunk's if asked."""
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith(_UNUSED):
            continue
        for theirs, ours in _NAMES.items():
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        if trunk or not name.startswith("trunk."):
            renamed[name] = value
    return renamed


def _fold(network: Masa) -> None:
    """Fold every batch normalisation into the convolution before it, and more in pyramids (exact up to rounding)."""
    pairs = {"conv": "bn", "conv1": "bn1", "conv2": "bn2", "conv3": "bn3", "0": "1"}
    for module in list(network.modules()):
        for conv, norm in pairs.items():
            before, after = getattr(module, conv, None), getattr(module, norm, None)
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(before, after))
                setattr(module, norm, nn.Identity())
        if isinstance(module, SimpleFeaturePyramid):
            module.fold()
