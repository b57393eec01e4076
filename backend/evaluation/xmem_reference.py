"""XMem as its paper writes it (Cheng and Schwing, ECCV 2022): what the fast form is timed and tested against.

Nothing is rewritten: each object's convolutions see the image's channels and its own, batch normalisations stand by
themselves, similarities are made of three terms, and the affinity is a dense matrix that all values are multiplied
with. Modules that the fast form does not rewrite either are taken from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import resnet18

from backend.propagation.xmem import KEY, VALUE, KeyEncoder, KeyProjection
from backend.propagation.xmem_blocks import HIDDEN, Attention, recur

_IMAGE = 1024
_TOP = 30


class ReferenceFeatures(NamedTuple):
    """Of an image (1, 3, H, W): ``f16``, ``f8`` and ``f4`` of the ResNet, and keys (1, C, h, w) of its tokens."""

    image: Tensor
    f16: Tensor
    f8: Tensor
    f4: Tensor
    key: Tensor
    shrinkage: Tensor
    selection: Tensor


class _ResidualBlock(nn.Module):
    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.downsample = nn.Conv2d(inside, out, 3, padding=1) if inside != out else nn.Identity()
        self.conv1 = nn.Conv2d(inside, out, 3, padding=1)
        self.conv2 = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        grown: Tensor = self.conv2(functional.relu(self.conv1(functional.relu(x))))
        shortcut: Tensor = self.downsample(x)
        return grown + shortcut


class _Fusion(nn.Module):
    def __init__(self, image: int, own: int, out: int) -> None:
        super().__init__()
        self.block1 = _ResidualBlock(image + own, out)
        self.attention = Attention(out)
        self.block2 = _ResidualBlock(out, out)

    def forward(self, image: Tensor, own: Tensor) -> Tensor:
        g = self.block1(torch.cat([image.expand(len(own), -1, -1, -1), own], 1))
        fused: Tensor = self.block2(g + self.attention(g))
        return fused


class _Upsampling(nn.Module):
    def __init__(self, skip: int, inside: int, out: int) -> None:
        super().__init__()
        self.skip_conv = nn.Conv2d(skip, inside, 3, padding=1)
        self.out_conv = _ResidualBlock(inside, out)

    def forward(self, skip: Tensor, g: Tensor) -> Tensor:
        g = functional.interpolate(g, scale_factor=2, mode="bilinear", align_corners=False)
        finer: Tensor = self.out_conv(self.skip_conv(skip) + g)
        return finer


class _HiddenReinforcer(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.transform = nn.Conv2d(channels + HIDDEN, 3 * HIDDEN, 3, padding=1)

    def forward(self, g: Tensor, hidden: Tensor) -> Tensor:
        return recur(self.transform(torch.cat([g, hidden], 1)), hidden)


class _HiddenUpdater(nn.Module):
    def __init__(self, g16: int, g8: int, g4: int, inner: int) -> None:
        super().__init__()
        self.g16_conv = nn.Conv2d(g16, inner, 1)
        self.g8_conv = nn.Conv2d(g8, inner, 1)
        self.g4_conv = nn.Conv2d(g4 + 1, inner, 1)
        self.transform = nn.Conv2d(inner + HIDDEN, 3 * HIDDEN, 3, padding=1)

    def forward(self, g16: Tensor, g8: Tensor, g4: Tensor, logits: Tensor, hidden: Tensor) -> Tensor:
        eighth = functional.interpolate(g8, scale_factor=1 / 2, mode="area")
        quarter = functional.interpolate(torch.cat([g4, logits], 1), scale_factor=1 / 4, mode="area")
        g = self.g16_conv(g16) + self.g8_conv(eighth) + self.g4_conv(quarter)
        return recur(self.transform(torch.cat([g, hidden], 1)), hidden)


class _ValueEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        resnet = resnet18(weights=None)
        self.conv1 = nn.Conv2d(5, 64, 7, stride=2, padding=3, bias=False)
        self.bn1, self.relu, self.maxpool = resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3 = resnet.layer1, resnet.layer2, resnet.layer3
        self.fuser = _Fusion(_IMAGE, 256, VALUE)
        self.hidden_reinforce = _HiddenReinforcer(VALUE)

    def forward(self, features: ReferenceFeatures, masks: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        others = torch.stack([masks.sum(0) - mask for mask in masks])
        x = torch.cat([features.image.expand(len(masks), -1, -1, -1), masks[:, None], others[:, None]], 1)
        x = self.relu(self.maxpool(self.bn1(self.conv1(x))))
        value = self.fuser(features.f16, self.layer3(self.layer2(self.layer1(x))))
        return value, self.hidden_reinforce(value, hidden)


class _MaskDecoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fuser = _Fusion(_IMAGE, VALUE + HIDDEN, 512)
        self.up_16_8 = _Upsampling(512, 512, 256)
        self.up_8_4 = _Upsampling(256, 256, 256)
        self.pred = nn.Conv2d(256, 1, 3, padding=1)
        self.hidden_update = _HiddenUpdater(512, 256, 256, 256)

    def forward(
        self, features: ReferenceFeatures, readout: Tensor, hidden: Tensor, *, update: bool
    ) -> tuple[Tensor, Tensor | None]:
        g16 = self.fuser(features.f16, torch.cat([readout, hidden], 1))
        g8 = self.up_16_8(features.f8, g16)
        g4 = self.up_8_4(features.f4, g8)
        logits = self.pred(functional.relu(g4))
        new = self.hidden_update(g16, g8, g4, logits, hidden) if update else None
        return functional.interpolate(logits, scale_factor=4, mode="bilinear", align_corners=False)[:, 0], new


class ReferenceXMem(nn.Module):
    """The network, with the official checkpoints' names."""

    def __init__(self) -> None:
        super().__init__()
        self.key_encoder = KeyEncoder()
        self.key_proj = KeyProjection()
        self.value_encoder = _ValueEncoder()
        self.decoder = _MaskDecoder()

    @classmethod
    def of(cls, state: Mapping[str, Tensor], device: torch.device | str = "cpu") -> ReferenceXMem:
        """With a checkpoint's tensors, whose first convolution of values sees the other objects; float32."""
        with torch.device("meta"):
            network = cls()
        network.load_state_dict(dict(state), strict=True, assign=True)
        return network.eval().requires_grad_(False).to(device)

    def encode(self, image: Tensor) -> ReferenceFeatures:
        """Of a normalised image (1, 3, H, W) whose sides are multiples of 16."""
        f16, f8, f4 = self.key_encoder(image)
        return ReferenceFeatures(image, f16, f8, f4, *self.key_proj(f16))


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Weights for timing, with the shapes and names of the official ones; what they find means nothing.

    Their variances keep activations from growing from layer to layer.
    """
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in ReferenceXMem().state_dict().items()}
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.zeros(shape, dtype=torch.long)
        elif len(shape) == 1:
            state[name] = torch.ones(shape) if name.endswith(("weight", "running_var")) else torch.zeros(shape)
        else:
            state[name] = torch.randn(shape, generator=generator) * shape[1:].numel() ** -0.5
    return state


@dataclass(frozen=True, eq=False)
class Tokens:
    """N tokens of memory: keys (1, 64, N), shrinkages (1, 1, N) and values (O, 512, N) of O objects."""

    key: Tensor
    shrinkage: Tensor
    value: Tensor

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            torch.cat([self.key, other.key], 2),
            torch.cat([self.shrinkage, other.shrinkage], 2),
            torch.cat([self.value, other.value], 2),
        )


@dataclass(frozen=True, eq=False)
class ReferenceState:
    """Where a video of O objects stands: memory, hidden states (O, 64, h, w), and the frame it was last added to.

    Without long-term memory: nothing is ever forgotten.
    """

    network: ReferenceXMem
    memory: Tokens
    hidden: Tensor
    frame: int
    remembered: int
    every: int = 5

    @classmethod
    @torch.inference_mode()
    def start(cls, network: ReferenceXMem, image: Tensor, masks: Tensor, every: int = 5) -> ReferenceState:
        """From the first image (1, 3, H, W) and its masks (O, H, W), one at most of which is 1 anywhere, the rest 0."""
        features = network.encode(image)
        blank = image.new_zeros(len(masks), HIDDEN, *features.key.shape[-2:])
        value, hidden = network.value_encoder(features, aggregate_plainly(masks)[1:], blank)
        return cls(network, _tokens(features, value), hidden, 0, 0, every)

    @torch.inference_mode()
    def step(self, image: Tensor) -> tuple[ReferenceState, Tensor]:
        """The next frame: where the video then stands, and probabilities (O + 1, H, W), the background's first."""
        frame = self.frame + 1
        due = frame - self.remembered >= self.every
        features = self.network.encode(image)
        affinity = affinity_of(
            similarity(self.memory.key, self.memory.shrinkage, features.key.flatten(2), features.selection.flatten(2))
        )
        readout = (self.memory.value @ affinity).view(-1, VALUE, *features.key.shape[-2:])
        logits, updated = self.network.decoder(features, readout, self.hidden, update=not due)
        probabilities = aggregate_plainly(torch.sigmoid(logits))
        if updated is not None:
            return replace(self, hidden=updated, frame=frame), probabilities
        value, hidden = self.network.value_encoder(features, probabilities[1:], self.hidden)
        memory = self.memory + _tokens(features, value)
        return replace(self, memory=memory, hidden=hidden, frame=frame, remembered=frame), probabilities


def similarity(key: Tensor, shrinkage: Tensor, query: Tensor, selection: Tensor) -> Tensor:
    """Of N memory tokens and n queries: keys (1, 64, N), shrinkages (1, 1, N); (1, 64, n) twice -> (1, N, n)."""
    rows = key.transpose(1, 2)
    squared = rows**2 @ selection
    mixed = 2 * rows @ (query * selection)
    constant = (selection * query**2).sum(1, keepdim=True)
    found: Tensor = (-squared + mixed - constant) * shrinkage.transpose(1, 2) / KEY**0.5
    return found


def affinity_of(similarities: Tensor) -> Tensor:
    """A softmax of (1, N, n) over the 30 best of N, as a matrix in which the others are 0."""
    values, index = torch.topk(similarities, min(_TOP, similarities.shape[1]), dim=1)
    weights = values.exp()
    weights = weights / weights.sum(1, keepdim=True)
    return torch.zeros_like(similarities).scatter_(1, index, weights)


def aggregate_plainly(probabilities: Tensor) -> Tensor:
    """(O, H, W), each object by itself -> (O + 1, H, W) of the background and all, as a softmax of their logits."""
    background = (1 - probabilities).prod(0, keepdim=True)
    every = torch.cat([background, probabilities]).clamp(1e-7, 1 - 1e-7)
    return torch.softmax(torch.log(every / (1 - every)), 0)


def _tokens(features: ReferenceFeatures, value: Tensor) -> Tokens:
    return Tokens(features.key.flatten(2), features.shrinkage.flatten(2), value.flatten(2))
