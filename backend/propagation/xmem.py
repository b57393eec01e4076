"""XMem's network (Cheng and Schwing, ECCV 2022): an image's keys, an object's values, and masks of readouts.

Everything that only depends on the image is computed once a frame, however many objects there are; so the official
weights' two convolutions of image and object are taken apart (:func:`split_state`), which is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet18, resnet50

from backend.errors import WeightsError
from backend.propagation.winograd import use_winograd
from backend.propagation.xmem_blocks import (
    HIDDEN,
    FeatureFusion,
    HiddenReinforcer,
    HiddenUpdater,
    ImageHalf,
    Upsampling,
)

STRIDE = 16
"""Pixels of a token's side; images are padded to multiples of it."""
KEY = 64
"""Channels of keys."""
VALUE = 512
"""Channels of values."""

_IMAGE = 1024


@dataclass(frozen=True, eq=False)
class Features:
    """What the network knows of an image (1, 3, H, W), with h, w = H/16, W/16.

    ``image`` is the image itself, normalised; ``f16`` (1, 1024, h, w); ``key`` and ``selection`` (1, 64, h, w) and
    ``shrinkage`` (1, 1, h, w) are float32; the rest is the decoder's: ``fusion`` (1, 512, h, w) twice, ``skip8``
    (1, 512, 2h, 2w) and ``skip4`` (1, 256, 4h, 4w).
    """

    image: Tensor
    f16: Tensor
    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    fusion: ImageHalf
    skip8: Tensor
    skip4: Tensor

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        held = [getattr(self, field.name) for field in fields(self)]
        return sum(tensor.nbytes for one in held for tensor in (one if isinstance(one, tuple) else (one,)))


class KeyEncoder(nn.Module):
    """The first stages of a ResNet-50."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet50(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.res2, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, 3, H, W) -> (1, 1024, h, w), (1, 512, 2h, 2w), (1, 256, 4h, 4w)."""
        f4 = self.res2(self.maxpool(self.relu(self.bn1(self.conv1(image)))))
        f8 = self.layer2(f4)
        return self.layer3(f8), f8, f4


class KeyProjection(nn.Module):
    """Keys, and the two terms that make their distance anisotropic."""

    def __init__(self) -> None:
        super().__init__()
        self.key_proj = nn.Conv2d(_IMAGE, KEY, 3, padding=1)
        self.d_proj = nn.Conv2d(_IMAGE, 1, 3, padding=1)
        self.e_proj = nn.Conv2d(_IMAGE, KEY, 3, padding=1)

    def forward(self, f16: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Key (1, 64, h, w), shrinkage (1, 1, h, w) of at least 1, selection (1, 64, h, w) between 0 and 1."""
        return self.key_proj(f16), self.d_proj(f16) ** 2 + 1, torch.sigmoid(self.e_proj(f16))


class ValueEncoder(nn.Module):
    """The first stages of a ResNet-18 over image and masks, fused with the image's own features."""

    def __init__(self) -> None:
        super().__init__()
        resnet = resnet18(weights=None)
        # The image, the object's mask, and the sum of the other objects' masks.
        self.conv1 = nn.Conv2d(5, 64, 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu, self.maxpool = resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3
        self.fuser = FeatureFusion(_IMAGE, 256, VALUE)
        self.hidden_reinforce = HiddenReinforcer(VALUE)

    def forward(self, image: Tensor, masks: Tensor, others: Tensor, half: ImageHalf) -> Tensor:
        """(1, 3, H, W), (O, H, W) twice -> (O, 512, h, w)."""
        pictures = image.expand(len(masks), -1, -1, -1)
        x = torch.cat([pictures, torch.stack([masks, others], 1).to(image)], 1)
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        value: Tensor = self.fuser(half, self.layer3(self.layer2(self.layer1(x))))
        return value


class MaskDecoder(nn.Module):
    """Masks of what was read from memory."""

    def __init__(self) -> None:
        super().__init__()
        self.fuser = FeatureFusion(_IMAGE, VALUE + HIDDEN, 512)
        self.up_16_8 = Upsampling(512, 512, 256)
        self.up_8_4 = Upsampling(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)
        self.hidden_update = HiddenUpdater(512, 256, 256, 256)

    def forward(
        self, half: ImageHalf, skip8: Tensor, skip4: Tensor, readout: Tensor, hidden: Tensor, *, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """(O, 512, h, w), (O, 64, h, w) -> logits (O, 4h, 4w), and the new hidden state where it is asked for.

        The first three are an image's, see :class:`Features`.
        """
        g16 = self.fuser(half, torch.cat([readout, hidden.to(readout)], 1))
        g8 = self.up_16_8(skip8, g16)
        g4 = self.up_8_4(skip4, g8)
        logits = self.pred(functional.relu(g4))
        new = self.hidden_update(g16, g8, g4, logits, hidden) if update else None
        return logits[:, 0].float(), new


class XMem(nn.Module):
    """The network; :func:`load_xmem` builds it with weights."""

    def __init__(self) -> None:
        super().__init__()
        self.key_encoder = KeyEncoder()
        self.key_proj = KeyProjection()
        self.value_encoder = ValueEncoder()
        self.decoder = MaskDecoder()

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.decoder.pred.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in; keys, hidden states and logits are float32 all the same."""
        return self.decoder.pred.weight.dtype

    def encode(self, image: Tensor) -> Features:
        """Features of a normalised image (1, 3, H, W) whose sides are multiples of 16."""
        image = image.to(self.device, self.dtype, memory_format=torch.channels_last)
        f16, key, shrinkage, selection, conv1, downsample, skip8, skip4 = self.run_encoder(image)
        return Features(image, f16, key, shrinkage, selection, ImageHalf(conv1, downsample), skip8, skip4)

    def memorise(self, features: Features, masks: Tensor, others: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Values of objects, and their hidden states after the deep update.

        Args:
            features: of the image.
            masks: (O, H, W) probabilities.
            others: (O, H, W), for each object the sum of the other objects' masks.
            hidden: (O, 64, h, w).

        Returns:
            (O, 512, h, w) and (O, 64, h, w).
        """
        value, new = self.run_values(features.image, features.f16, masks, others, hidden)
        return value, new

    def decode(
        self, features: Features, readout: Tensor, hidden: Tensor, *, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        """Masks of objects, each by itself.

        Args:
            features: of the image.
            readout: (O, 512, h, w), read from memory.
            hidden: (O, 64, h, w).
            update: whether the hidden states take this frame in.

        Returns:
            logits (O, H, W) and, with ``update``, new hidden states.
        """
        run = self.run_updating_decoder if update else self.run_decoder
        logits, *new = run(*features.fusion, features.skip8, features.skip4, readout.to(self.dtype), hidden)
        return logits, new[0] if update else None

    # What the above do, as functions of tensors alone.

    def run_encoder(self, image: Tensor) -> tuple[Tensor, ...]:
        """An image's part of :class:`Features`, in their order, without the image itself."""
        f16, f8, f4 = self.key_encoder(image)
        half = self.decoder.fuser.block1.image_half(f16)
        skips = self.decoder.up_16_8.skip_conv(f8), self.decoder.up_8_4.skip_conv(f4)
        return f16, *self.key_proj(f16.float()), *half, *skips

    def run_values(
        self, image: Tensor, f16: Tensor, masks: Tensor, others: Tensor, hidden: Tensor
    ) -> tuple[Tensor, ...]:
        """Values and new hidden states."""
        value = self.value_encoder(image, masks, others, self.value_encoder.fuser.block1.image_half(f16))
        return value, self.value_encoder.hidden_reinforce(value, hidden)

    def run_decoder(
        self, conv1: Tensor, downsample: Tensor, skip8: Tensor, skip4: Tensor, readout: Tensor, hidden: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits (O, H, W)."""
        logits, _ = self.decoder(ImageHalf(conv1, downsample), skip8, skip4, readout, hidden, update=False)
        return (_enlarge(logits),)

    def run_updating_decoder(
        self, conv1: Tensor, downsample: Tensor, skip8: Tensor, skip4: Tensor, readout: Tensor, hidden: Tensor
    ) -> tuple[Tensor, ...]:
        """Logits (O, H, W) and new hidden states."""
        logits, new = self.decoder(ImageHalf(conv1, downsample), skip8, skip4, readout, hidden, update=True)
        return _enlarge(logits), new


def load_xmem(
    state: Mapping[str, Tensor], device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> XMem:
    """The network with the weights of an official checkpoint.

    In float32 on a CPU most of its time goes into 3x3 convolutions: they are Winograd's there.

    Args:
        state: its tensors; those of a network for single objects get a channel of zeros for the other objects' masks.
        device: where it runs.
        dtype: what the convolutions compute in; those of the keys are always float32.

    Raises:
        WeightsError: the tensors are not XMem's.
    """
    with torch.device("meta"):
        network = XMem()
    try:
        network.load_state_dict(split_state(state), strict=True, assign=True)
    except RuntimeError as error:
        raise WeightsError(f"the checkpoint is not XMem's: {str(error)[:300]}; fetch it again") from error
    network.eval().requires_grad_(False)
    _fold(network)
    for part in (network.key_encoder, network.value_encoder, network.decoder):
        part.to(dtype)
    if torch.device(device).type == "cpu" and dtype == torch.float32:
        use_winograd(network)
    return network.to(torch.device(device)).to(memory_format=torch.channels_last)


def split_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official tensors, those of image and object taken apart."""
    split: dict[str, Tensor] = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition(".")
        if stem.endswith(("fuser.block1.conv1", "fuser.block1.downsample")):
            if kind == "weight":
                split[f"{stem}.own.weight"] = value[:, _IMAGE:]
                value = value[:, :_IMAGE]
            name = f"{stem}.image.{kind}"
        elif name == "value_encoder.conv1.weight" and value.shape[1] == 4:
            value = torch.cat([value, torch.zeros_like(value[:, :1])], 1)
        split[name] = value
    return split


def aggregate(probabilities: Tensor) -> Tensor:
    """Let objects compete: (O, H, W), each by itself -> (O + 1, H, W) of which the first is the background.

    A softmax over the logits of all, the background's probability being that of no object (Oh et al., ICCV 2019).
    """
    background = (1 - probabilities).prod(0, keepdim=True)
    certain = 1e-7
    every = torch.cat([background, probabilities]).clamp(certain, 1 - certain)
    odds = every / (1 - every)
    return odds / odds.sum(0, keepdim=True)


def _enlarge(logits: Tensor) -> Tensor:
    """(O, h, w) -> (O, 4h, 4w)."""
    return functional.interpolate(logits[:, None], scale_factor=4, mode="bilinear", align_corners=False)[:, 0]


def _fold(network: XMem) -> None:
    """Fold every batch normalisation into the convolution before it (exact up to rounding)."""
    for module in list(network.modules()):
        pairs = [(f"conv{i}", f"bn{i}") for i in (1, 2, 3)]
        if isinstance(module, nn.Sequential):
            pairs = [("0", "1")]
        for conv, norm in pairs:
            before, after = getattr(module, conv, None), getattr(module, norm, None)
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(module, conv, fuse_conv_bn_eval(before, after))
                setattr(module, norm, nn.Identity())
