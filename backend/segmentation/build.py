"""Build a Segmenter from a checkpoint file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor

from backend.errors import WeightsError
from backend.segmentation.segmenter import Segmenter
from backend.segmentation.tiny_vit import SIDE, STRIDE, TinyViT, translate

MODELS = ("mobile_sam", "sam_vit_b", "sam_vit_l", "sam_vit_h")
_ENCODER = "image_encoder."


def build_segmenter(
    model: str,
    state: Mapping[str, Tensor],
    device: torch.device | str = "cpu",
    *,
    exact: bool = False,
    blocks: bool = False,
) -> Segmenter:
    """A Segmenter with a checkpoint's weights.

    Args:
        model: one of :data:`MODELS`.
        state: the official checkpoint's tensors.
        device: where it runs.
        exact: compute as the original does, in float32 on the whole padded square; otherwise the encoder runs in
            bfloat16 where the device is faster that way, and leaves out what only holds padding.
        blocks: keep what a ViT's blocks with global attention gave.

    Raises:
        WeightsError: the tensors are not those of that model.
    """
    sam = _mobile_sam() if model == "mobile_sam" else sam_model_registry[model.removeprefix("sam_")]()
    sam.eval()
    if model == "mobile_sam":
        inner = {name.removeprefix(_ENCODER): value for name, value in state.items() if name.startswith(_ENCODER)}
        outer = {name: value for name, value in state.items() if not name.startswith(_ENCODER)}
        state = {**outer, **{_ENCODER + name: value for name, value in translate(inner).items()}}
    try:
        sam.load_state_dict(dict(state), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"the checkpoint is not {model}'s: {str(error)[:300]}; fetch it again") from error
    if model == "mobile_sam" and not exact:
        sam.image_encoder.fold()
    return Segmenter(sam, device, torch.float32 if exact else fast_dtype(device), exact=exact, blocks=blocks)


def fast_dtype(device: torch.device | str) -> torch.dtype:
    """bfloat16 where the device has instructions for it, else float32."""
    if torch.device(device).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    # Without them the CPU emulates bfloat16, several times slower than float32.
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return torch.bfloat16 if supported() else torch.float32


def _mobile_sam() -> Sam:
    side = SIDE // STRIDE
    return Sam(
        image_encoder=TinyViT(),
        prompt_encoder=PromptEncoder(
            embed_dim=256, image_embedding_size=(side, side), input_image_size=(SIDE, SIDE), mask_in_chans=16
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8),
            transformer_dim=256,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
