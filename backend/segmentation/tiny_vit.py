"""TinyViT as MobileSAM's image encoder (Wu et al., ECCV 2022; Zhang et al. 2023, arXiv 2306.14289).

The blocks are timm's. MobileSAM arranges them for dense features: the last stage keeps the resolution of the
one before it, and a neck brings it to SAM's 256 channels on a 64 x 64 grid.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

import torch
from segment_anything.modeling.common import LayerNorm2d
from timm.models.tiny_vit import Attention, ConvLayer, ConvNorm, PatchEmbed, PatchMerging, TinyVitStage
from torch import Tensor, nn
from torch.nn import functional

SIDE = 1024
STRIDE = 16
# One attention window of the widest kind, in input pixels. An input cut at a multiple of it has the same
# windows as the full square, so that only convolutions at the cut can tell the difference.
WINDOW = 14 * STRIDE

_DIMS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_OUT = 256


class TinyViT(nn.Module):
    """MobileSAM's image encoder, a drop-in for ``segment_anything``'s ``Sam.image_encoder``."""

    img_size = SIDE

    def __init__(self) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(3, _DIMS[0], nn.GELU)
        stages: list[nn.Module] = [ConvLayer(_DIMS[0], _DEPTHS[0], nn.GELU)]
        for i in range(1, 4):
            stages.append(
                TinyVitStage(
                    dim=_DIMS[i - 1],
                    out_dim=_DIMS[i],
                    depth=_DEPTHS[i],
                    num_heads=_HEADS[i],
                    window_size=_WINDOWS[i],
                    downsample=PatchMerging,
                    act_layer=nn.GELU,
                )
            )
        cast(PatchMerging, stages[3].downsample).conv2.conv.stride = (1, 1)
        self.stages = nn.ModuleList(stages)
        self.neck = nn.Sequential(
            nn.Conv2d(_DIMS[3], _OUT, 1, bias=False),
            LayerNorm2d(_OUT),
            nn.Conv2d(_OUT, _OUT, 3, padding=1, bias=False),
            LayerNorm2d(_OUT),
        )

    def levels(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The embedding and what lies on the way to it.

        Args:
            image: (B, 3, H, W) normalised, H and W multiples of 16.

        Returns:
            the embedding (B, 256, H/16, W/16), the second stage (B, 128, H/8, W/8) and the first
            (B, 64, H/4, W/4).
        """
        fine = self.stages[0](self.patch_embed(image))
        middle = self.stages[1](fine)
        return self.neck(self.stages[3](self.stages[2](middle))), middle, fine

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) normalised -> (B, 256, H/16, W/16)."""
        return self.levels(image)[0]

    def fold(self) -> None:
        """Fold every batch normalisation into the convolution before it, and let attention be one kernel; both are
        exact up to rounding. The weights are those that are loaded, and stay."""
        for module in list(self.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, ConvNorm):
                    setattr(module, name, _fold(child))
                elif isinstance(child, Attention):
                    setattr(module, name, _FixedAttention(child))


class _FixedAttention(nn.Module):
    """Attention within windows, whose bias is looked up once and has the shape that torch's fused kernels take."""

    bias: Tensor

    def __init__(self, attention: Attention) -> None:
        super().__init__()
        self.norm, self.qkv, self.proj = attention.norm, attention.qkv, attention.proj
        self._heads = attention.num_heads
        self._sizes = [attention.key_dim, attention.key_dim, attention.val_dim]
        with torch.no_grad():
            # (1, heads, tokens, tokens); without the batch's dimension only the slowest kernel takes it.
            self.register_buffer("bias", attention.attention_biases[:, attention.attention_bias_idxs][None])

    def forward(self, x: Tensor) -> Tensor:
        """(windows, tokens, C) -> the same."""
        windows, tokens, _ = x.shape
        heads = self.qkv(self.norm(x)).view(windows, tokens, self._heads, -1).transpose(1, 2)
        query, key, value = heads.split(self._sizes, 3)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=self.bias)
        found: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return found


def _fold(pair: ConvNorm) -> nn.Conv2d:
    conv, norm = pair.conv, pair.bn
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    folded = nn.Conv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding, groups=conv.groups
    )
    with torch.no_grad():
        folded.weight.copy_(conv.weight * scale[:, None, None, None])
        folded.bias = nn.Parameter(norm.bias - norm.running_mean * scale)
    return folded.requires_grad_(False)


def translate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """MobileSAM's names (without the prefix ``image_encoder.``) -> ours.

    The classification head, which the checkpoint still carries, is left out.
    """
    renamed: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.startswith(("head.", "norm_head.")):
            continue
        name = name.replace("patch_embed.seq.0.", "patch_embed.conv1.")
        name = name.replace("patch_embed.seq.2.", "patch_embed.conv2.")
        name = re.sub(r"\.c\.", ".conv.", name)
        # timm opens a stage with the downsampling that MobileSAM closes the previous one with.
        name = re.sub(r"^layers\.(\d)\.downsample", lambda m: f"stages.{int(m[1]) + 1}.downsample", name)
        name = re.sub(r"^layers\.", "stages.", name)
        renamed[name] = value
    return renamed


def pad_to(image: Tensor, height: int, width: int) -> Tensor:
    """Zero-pad (B, C, H, W) at the bottom and the right to ``height`` x ``width``."""
    return functional.pad(image, (0, width - image.shape[-1], 0, height - image.shape[-2]))
