"""Frames as XMem takes them: not larger than it was trained for, normalised, padded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backend.propagation.xmem import STRIDE, Features, XMem
from backend.tracks import BoolArray, FloatArray, ImageArray

SHORT_SIDE = 480
"""Frames whose short side is longer are scaled down to it."""

# ImageNet's, of RGB in 0 to 1.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, eq=False)
class XMemFrame:
    """One encoded frame.

    ``size`` is the frame's (height, width), ``scaled`` the same as it was encoded, without padding.
    """

    features: Features
    size: tuple[int, int]
    scaled: tuple[int, int]

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        return self.features.nbytes

    def mask(self, mask: BoolArray) -> Tensor:
        """How much of each pixel of the padded frame a mask ``bool (H, W)`` covers: float32."""
        return self._place(torch.from_numpy(mask))

    def map(self, values: FloatArray) -> Tensor:
        """A map float32 (H, W) of the frame on the padded one, 0 in the padding."""
        return self._place(torch.from_numpy(values))

    def _place(self, values: Tensor) -> Tensor:
        whole = values.to(self.features.image.device).float()
        return _pad(_scale(whole[None, None], self.scaled))[0, 0]

    def unpad(self, maps: Tensor) -> Tensor:
        """Maps (N, ...) of the padded frame -> (N, rows, columns) of ``scaled``."""
        (top, _), (left, _) = _padding(self.scaled[0]), _padding(self.scaled[1])
        return maps[:, top : top + self.scaled[0], left : left + self.scaled[1]]

    def labels(self, probabilities: Tensor) -> Tensor:
        """The likeliest of (O + 1, rows, columns) at each pixel of the whole frame: integers (H, W).

        One of them is enlarged at a time, so that large frames take no memory for each object.
        """
        best, label = None, torch.zeros(self.size, dtype=torch.int16, device=probabilities.device)
        for number, one in enumerate(probabilities):
            full = functional.interpolate(one[None, None], self.size, mode="bilinear", align_corners=False)[0, 0]
            if best is None:
                best = full
                continue
            label[full > best] = number
            best = torch.maximum(best, full)
        return label


class FrameEncoder:
    """Makes a network's features of frames."""

    def __init__(self, network: XMem) -> None:
        self._network = network
        self._mean = torch.tensor(_MEAN, device=network.device).view(3, 1, 1)
        self._std = torch.tensor(_STD, device=network.device).view(3, 1, 1)

    @torch.inference_mode()
    def encode(self, image: ImageArray) -> XMemFrame:
        """Encode one frame: RGB ``uint8 (H, W, 3)``."""
        height, width = image.shape[:2]
        scaled = scaled_size(height, width)
        pixels = torch.from_numpy(image).to(self._network.device).permute(2, 0, 1)[None].float()
        # Scaled first: a large frame is held in float32 once.
        normalised = (_scale(pixels, scaled) / 255 - self._mean) / self._std
        # Padding is of the mean colour.
        return XMemFrame(self._network.encode(_pad(normalised)), (height, width), scaled)


def scaled_size(height: int, width: int) -> tuple[int, int]:
    """The frame's size as it is encoded: (height, width)."""
    scale = min(1.0, SHORT_SIDE / min(height, width))
    return round(height * scale), round(width * scale)


def _scale(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[-2:] == size:
        return maps
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False, antialias=True)


def _padding(length: int) -> tuple[int, int]:
    """Before and after, so that a side is a multiple of the stride; what is odd goes after."""
    extra = -length % STRIDE
    return extra // 2, extra - extra // 2


def _pad(maps: Tensor) -> Tensor:
    rows, columns = maps.shape[-2:]
    return functional.pad(maps, (*_padding(columns), *_padding(rows)))
