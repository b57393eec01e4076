"""The tracker that the settings ask for."""

from __future__ import annotations

from backend import checkpoints
from backend.propagation.sam_tokens import SamTokenPropagator
from backend.segmentation.build import build_segmenter, fast_dtype
from backend.segmentation.cache import EncodingCache
from backend.settings import Settings
from backend.tracking.tracker import VideoTracker


def build_tracker(settings: Settings) -> VideoTracker:
    """Load the models of the ``lite`` profile: MobileSAM, and propagation by its tokens.

    Args:
        settings: with the device resolved, not ``auto``.

    Raises:
        WeightsError: the weights are missing or damaged, and cannot be fetched.
    """
    path = checkpoints.fetch("mobile_sam", settings.weights_dir)
    segmenter = build_segmenter("mobile_sam", checkpoints.load_state(path), settings.device)
    dtype = fast_dtype(settings.device)
    return VideoTracker(
        segmenter, lambda: SamTokenPropagator(segmenter, dtype), EncodingCache(settings.embedding_cache_bytes)
    )
