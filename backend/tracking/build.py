"""The tracker that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from backend import checkpoints
from backend.propagation.propagator import Decoder, FrameEncoder, Propagator
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.build import build_segmenter, fast_dtype
from backend.segmentation.cache import EncodingCache
from backend.segmentation.segmenter import Segmenter
from backend.settings import Settings
from backend.tracking.tracker import VideoTracker


@dataclass(frozen=True, eq=False)
class Models:
    """What a profile tracks with: the segmenter, and a propagator without memory that asks the decoder it is given.

    ``encoder`` encodes frames for the propagator; without one it takes the segmenter's encodings.
    """

    segmenter: Segmenter
    new_propagator: Callable[[Decoder], Propagator]
    encoder: FrameEncoder | None = None


def load_models(settings: Settings) -> Models:
    """Load the models of the ``lite`` profile: MobileSAM, and propagation by its tokens.

    Args:
        settings: with the device resolved, not ``auto``.

    Raises:
        WeightsError: the weights are missing or damaged, and cannot be fetched.
    """
    path = checkpoints.fetch("mobile_sam", settings.weights_dir)
    segmenter = build_segmenter("mobile_sam", checkpoints.load_state(path), settings.device)
    return Models(segmenter, partial(SamTokenPropagator, dtype=fast_dtype(settings.device)))


def build_tracker(settings: Settings) -> VideoTracker:
    """A tracker of the models that :func:`load_models` loads, with the settings' cache of encodings."""
    models = load_models(settings)
    return VideoTracker(
        models.segmenter,
        partial(models.new_propagator, models.segmenter),
        EncodingCache(settings.embedding_cache_bytes),
        encoder=models.encoder,
    )
