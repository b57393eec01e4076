"""What MASA's features are made of: four maps of an image, by a ResNet-50 or by SAM's ViT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from segment_anything.modeling.image_encoder import ImageEncoderViT
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.resnet import Bottleneck


class ResNet(nn.Module):
    """A ResNet-50 whose stages are halved in size by their first convolution (as its first authors' was)."""

    channels = (256, 512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        for stage in (self.layer2, self.layer3, self.layer4):
            first = cast(Bottleneck, stage[0])
            first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, H, W), sides multiples of 32 -> (1, 256, H/4, W/4) to (1, 2048, H/32, W/32)."""
        first = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


class SamTrunk(nn.Module):
    """The blocks of SAM's image encoder (Kirillov et al., ICCV 2023), read where attention is global.

    Args:
        dim: channels.
        depth: blocks.
        heads: of the attention.
        reading: the blocks with global attention, by index.
        side: pixels of the image's sides.
    """

    def __init__(self, dim: int, depth: int, heads: int, reading: Sequence[int], side: int = 1024) -> None:
        super().__init__()
        vit = ImageEncoderViT(
            img_size=side,
            embed_dim=dim,
            depth=depth,
            num_heads=heads,
            norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=tuple(reading),
        )
        self.patch_embed, self.pos_embed, self.blocks = vit.patch_embed, vit.pos_embed, vit.blocks
        self._reading = frozenset(reading)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, side, side) -> (1, dim, side/16, side/16), one of each block that is read."""
        x = self.patch_embed(image) + self.pos_embed
        maps = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._reading:
                maps.append(x.permute(0, 3, 1, 2))
        return tuple(maps)
