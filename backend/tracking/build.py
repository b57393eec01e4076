"""The tracker that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from backend import checkpoints
from backend.propagation.propagator import Decoder, FrameEncoder, Propagator
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.propagation.xmem import load_xmem
from backend.propagation.xmem_frames import FrameEncoder as XMemEncoder
from backend.propagation.xmem_propagator import XMemPropagator
from backend.propagation.xmem_static import StaticXMem
from backend.segmentation.build import build_segmenter, fast_dtype
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Segmenter
from backend.settings import Settings
from backend.tracking.refine import REFINING, RefineRules
from backend.tracking.tracker import VideoTracker

# The segmenter whose encodings hold the tokens that ``sam_tokens`` matches.
_TOKENS_OF = "mobile_sam"


@dataclass(frozen=True, eq=False)
class Models:
    """What is tracked with: the segmenter, and a propagator without memory that asks the decoder it is given.

    ``encoder`` encodes frames for the propagator; without one it takes the segmenter's encodings. ``refining`` says
    when the segmenter refines what is propagated, if ever.
    """

    segmenter: Segmenter
    new_propagator: Callable[[Decoder], Propagator]
    encoder: FrameEncoder | None = None
    refining: RefineRules | None = None


def load_models(settings: Settings) -> Models:
    """Load the segmenter and the propagator that the settings name.

    Args:
        settings: with the device, the segmenter and the propagator resolved, none of them ``auto``.

    Raises:
        WeightsError: weights are missing or damaged, and cannot be fetched.
    """
    return replace(_load_parts(settings), refining=REFINING[settings.refine])


def _load_parts(settings: Settings) -> Models:
    dtype = fast_dtype(settings.device)
    segmenter = _load_segmenter(settings.segmenter, settings)
    if settings.propagator != "sam_tokens":
        network = load_xmem(_state(settings.propagator, settings), settings.device, dtype)
        if settings.xmem_mode != "eager":
            network = StaticXMem(network, settings.xmem_mode)
        return Models(segmenter, lambda _: XMemPropagator(network), XMemEncoder(network))
    if settings.segmenter == _TOKENS_OF:
        return Models(segmenter, partial(SamTokenPropagator, dtype=dtype))
    tokens = _load_segmenter(_TOKENS_OF, settings)
    # The decoder must understand the tokens' encodings: it is not the segmenter's.
    return Models(segmenter, lambda _: SamTokenPropagator(tokens, dtype=dtype), tokens)


def _load_segmenter(name: str, settings: Settings) -> Segmenter:
    return build_segmenter(name, _state(name, settings), settings.device)


def _state(name: str, settings: Settings) -> Mapping[str, Tensor]:
    return checkpoints.load_state(checkpoints.fetch(name, settings.weights_dir))


def build_tracker(settings: Settings) -> VideoTracker:
    """A tracker of the models that :func:`load_models` loads, with the settings' cache of encodings."""
    models = load_models(settings)
    return VideoTracker(
        models.segmenter,
        partial(models.new_propagator, models.segmenter),
        EncodingCache(settings.embedding_cache_bytes),
        encoder=models.encoder,
        refining=models.refining,
    )
