"""Encode a frame once, segment it with many prompts.

Any ``segment_anything`` ``Sam`` will do; MobileSAM is one with another image encoder. Coordinates are pixels of
the frame as it was given; low-resolution logits live on SAM's own grid of the resized and padded frame, four
cells a token, and feed back as mask prompts as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from segment_anything.modeling import Sam
from torch import Tensor
from torch.nn import functional

from backend.segmentation.tiny_vit import SIDE, STRIDE, WINDOW, TinyViT, pad_to
from backend.tracks import Box, ImageArray, Point

CELLS = 4  # low-resolution logits per token and axis


@dataclass(frozen=True, eq=False)
class Encoding:
    """One encoded frame.

    ``embedding`` is (1, 256, h, w) with h, w at most 64: SAM's image embedding, without the rows and columns that
    only hold padding where the encoder could leave them out. ``middle`` is (1, 128, 2h, 2w) and ``fine``
    (1, 64, 4h, 4w), earlier stages of TinyViT, or None with other encoders. ``size`` is the frame's (height, width),
    ``scaled`` the same after the long side was brought to 1024. ``blocks`` are (1, C, 64, 64) after each of a ViT's
    four blocks with global attention, where a segmenter was asked to keep them.
    """

    embedding: Tensor
    middle: Tensor | None
    fine: Tensor | None
    size: tuple[int, int]
    scaled: tuple[int, int]
    blocks: tuple[Tensor, ...] = ()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the low-resolution logits."""
        return CELLS * self.embedding.shape[-2], CELLS * self.embedding.shape[-1]

    @property
    def nbytes(self) -> int:
        """Bytes that the tensors hold."""
        held = (self.embedding, self.middle, self.fine, *self.blocks)
        return sum(t.numel() * t.element_size() for t in held if t is not None)


@dataclass(frozen=True, eq=False)
class MaskPrompt:
    """One object's prompt: a box and points in pixels of the frame, logits (rows, columns of the grid)."""

    box: Box | None = None
    points: tuple[Point, ...] = ()
    logits: Tensor | None = None


class Prompting(Protocol):
    """What :class:`MaskPrompt` holds, whoever holds it."""

    @property
    def box(self) -> Box | None:
        """``xyxy`` pixels of the frame."""

    @property
    def points(self) -> tuple[Point, ...]:
        """Clicks, in pixels of the frame."""

    @property
    def logits(self) -> Tensor | None:
        """(rows, columns) of the encoding's grid."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """SAM's answer for N prompts: ``logits`` (N, M, rows, columns) and predicted ``iou`` (N, M); M is 3 or 1."""

    logits: Tensor
    iou: Tensor


def scaled_size(height: int, width: int) -> tuple[int, int]:
    """The frame's size after its long side was brought to 1024 pixels, as (height, width)."""
    scale = SIDE / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


class Segmenter:
    """A SAM on one device.

    Args:
        sam: the model, in evaluation mode; it is moved to ``device``.
        device: where it runs.
        dtype: what the image encoder computes in; prompts and masks are always float32.
        exact: encode the whole padded square as SAM does. Otherwise a TinyViT is spared what only holds padding,
            which changes its embedding a little near the picture's edge.
        blocks: whether encodings keep what a ViT's blocks with global attention gave, for who reads it.
    """

    def __init__(
        self,
        sam: Sam,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        *,
        exact: bool = False,
        blocks: bool = False,
    ) -> None:
        self.device = torch.device(device)
        self.dtype = dtype
        self._sam = sam.to(self.device).requires_grad_(False)
        self._encoder = sam.image_encoder
        self._crops = isinstance(self._encoder, TinyViT) and not exact
        self._encoder.to(dtype=dtype, memory_format=torch.channels_last)
        self._blocks: list[Tensor] = []
        if blocks and not isinstance(self._encoder, TinyViT):
            for block in self._encoder.blocks:
                if block.window_size == 0:
                    block.register_forward_hook(lambda _, __, out: self._blocks.append(out.permute(0, 3, 1, 2)))

    @torch.inference_mode()
    def encode(self, image: ImageArray) -> Encoding:
        """Encode one frame: RGB ``uint8 (H, W, 3)``."""
        height, width = image.shape[:2]
        rows, columns = scaled_size(height, width)
        # PIL's antialiased bilinear filter on bytes is part of the model (SAM's ResizeLongestSide).
        resized = np.array(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None].float()
        normalised = (pixels - self._sam.pixel_mean) / self._sam.pixel_std
        if self._crops:
            padded = pad_to(normalised, _windows(rows), _windows(columns))
        else:
            padded = pad_to(normalised, SIDE, SIDE)
        padded = padded.to(self.dtype, memory_format=torch.channels_last)
        self._blocks.clear()  # of a frame that could not be encoded
        if isinstance(self._encoder, TinyViT):
            embedding, middle, fine = self._encoder.levels(padded)
        else:
            embedding, middle, fine = self._encoder(padded), None, None
        if self._crops:
            # The rest of the last windows is padding too; the decoder does as well without.
            h, w = -(-rows // STRIDE), -(-columns // STRIDE)
            embedding = embedding[..., :h, :w]
            middle, fine = (
                None if level is None else level[..., : n * h, : n * w].contiguous()
                for level, n in ((middle, 2), (fine, 4))
            )
        kept, self._blocks[:] = tuple(self._blocks), []
        return Encoding(embedding.float().contiguous(), middle, fine, (height, width), (rows, columns), kept)

    @torch.inference_mode()
    def segment(self, encoding: Encoding, prompts: Sequence[Prompting], *, multimask: bool = True) -> Segmentation:
        """Masks for every prompt, as few decoder passes as the kinds of prompt allow.

        Prompts of one kind (as many points, box or not, logits or not) share a pass: SAM's prompt encoder has no
        neutral padding, and a batch of one must equal a single call.
        """
        if not prompts:
            empty = torch.zeros((0, 3 if multimask else 1, *encoding.grid), device=self.device)
            return Segmentation(empty, empty[:, :, 0, 0])
        kinds: dict[tuple[int, bool, bool], list[int]] = {}
        for i, prompt in enumerate(prompts):
            kinds.setdefault((len(prompt.points), prompt.box is not None, prompt.logits is not None), []).append(i)
        logits: list[Tensor] = [torch.empty(0)] * len(prompts)
        iou: list[Tensor] = [torch.empty(0)] * len(prompts)
        for members in kinds.values():
            found, quality = self._pass(encoding, [prompts[i] for i in members], multimask)
            for row, i in enumerate(members):
                logits[i], iou[i] = found[row], quality[row]
        return Segmentation(torch.stack(logits), torch.stack(iou))

    def _pass(self, encoding: Encoding, prompts: Sequence[Prompting], multimask: bool) -> tuple[Tensor, Tensor]:
        height, width = encoding.size
        scale = torch.tensor(
            [encoding.scaled[1] / width, encoding.scaled[0] / height], dtype=torch.float64, device=self.device
        )
        points = None
        if prompts[0].points:
            coordinates = torch.tensor(
                [[(p.x, p.y) for p in prompt.points] for prompt in prompts], dtype=torch.float64, device=self.device
            )
            labels = torch.tensor(
                [[float(p.positive) for p in prompt.points] for prompt in prompts], device=self.device
            )
            points = ((coordinates * scale).float(), labels)
        boxes = None
        if prompts[0].box is not None:
            corners = torch.tensor([prompt.box for prompt in prompts], dtype=torch.float64, device=self.device)
            boxes = (corners.reshape(-1, 2, 2) * scale).reshape(-1, 4).float()
        given = [prompt.logits for prompt in prompts if prompt.logits is not None]
        masks = torch.stack(given)[:, None].float() if given else None
        sparse, dense = self._sam.prompt_encoder(points, boxes, masks)
        h, w = encoding.embedding.shape[-2:]
        logits, iou = self._sam.mask_decoder(
            image_embeddings=encoding.embedding,
            image_pe=self._sam.prompt_encoder.get_dense_pe()[..., :h, :w],
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense[..., :h, :w],
            multimask_output=multimask,
        )
        return logits, iou

    @torch.inference_mode()
    def full_size(self, logits: Tensor, encoding: Encoding) -> Tensor:
        """Low-resolution logits (N, rows, columns) -> logits of the frame (N, H, W), as SAM resizes them."""
        h, w = encoding.embedding.shape[-2:]
        square = functional.interpolate(logits[:, None], (h * STRIDE, w * STRIDE), mode="bilinear", align_corners=False)
        picture = square[..., : encoding.scaled[0], : encoding.scaled[1]]
        return functional.interpolate(picture, encoding.size, mode="bilinear", align_corners=False)[:, 0]


def _windows(pixels: int) -> int:
    return min(SIDE, -(-pixels // WINDOW) * WINDOW)
