"""The tracker that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from backend import checkpoints
from backend.association.masa import load_masa
from backend.association.masa_embedder import MASA_CALIBRATION, MasaEmbedder, MasaEncoder, MasaOnSam
from backend.association.sam_features import CALIBRATION, SamFeatures
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
from backend.tracking.looks import Looks
from backend.tracking.refine import REFINING, RefineRules
from backend.tracking.tracker import VideoTracker

# The segmenter whose encodings hold the tokens that ``sam_tokens`` matches.
_TOKENS_OF = "mobile_sam"


@dataclass(frozen=True, eq=False)
class Models:
    """What is tracked with: the segmenter, and a propagator without memory that asks the decoder it is given.

    ``encoder`` encodes frames for the propagator; without one it takes the segmenter's encodings. ``refining`` says
    when the segmenter refines what is propagated, if ever; ``looks`` what tells objects apart, if anything does.
    """

    segmenter: Segmenter
    new_propagator: Callable[[Decoder], Propagator]
    encoder: FrameEncoder | None = None
    refining: RefineRules | None = None
    looks: Looks | None = None


def load_models(settings: Settings) -> Models:
    """Load the segmenter and the propagator that the settings name.

    Args:
        settings: with the device, the segmenter and the propagator resolved, none of them ``auto``.

    Raises:
        WeightsError: weights are missing or damaged, and cannot be fetched.
    """
    models = _load_parts(settings)
    return replace(models, refining=REFINING[settings.refine], looks=_looks(settings, models))


def _load_parts(settings: Settings) -> Models:
    dtype = fast_dtype(settings.device)
    segmenter = _load_segmenter(settings.segmenter, settings, blocks=_shares_blocks(settings))
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


def _looks(settings: Settings, models: Models) -> Looks | None:
    """What tells objects apart; it takes encodings that are made anyway where it can."""
    if settings.embedder == "off":
        return None
    if settings.embedder == "sam":
        if settings.segmenter == _TOKENS_OF:
            return Looks(SamFeatures(), CALIBRATION)
        tokens = models.encoder if isinstance(models.encoder, Segmenter) else _load_segmenter(_TOKENS_OF, settings)
        return Looks(SamFeatures(), CALIBRATION, tokens)
    shared = _shares_blocks(settings)
    state = _state(settings.embedder, settings)
    masa = load_masa(settings.embedder, state, settings.device, fast_dtype(settings.device), trunk=not shared)
    if shared:
        return Looks(MasaOnSam(masa), MASA_CALIBRATION)
    return Looks(MasaEmbedder(masa), MASA_CALIBRATION, MasaEncoder(masa))


def _shares_blocks(settings: Settings) -> bool:
    """Whether MASA reads what the segmenter's own ViT gave."""
    return settings.embedder.replace("masa_sam", "sam_vit") == settings.segmenter


def _load_segmenter(name: str, settings: Settings, *, blocks: bool = False) -> Segmenter:
    return build_segmenter(name, _state(name, settings), settings.device, blocks=blocks)


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
        looks=models.looks,
    )
