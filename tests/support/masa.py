"""MASA's ResNet variant with the weights of the reference arrays."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from backend.association.masa import Masa, load_masa
from support import golden


@cache
def masa_r50(directory: Path) -> Masa:
    """Made once; nothing may change it."""
    _, meta = golden.load(directory, "masa_r50")
    state = golden.golden_state(directory, "masa_r50", meta["weight_seed"])
    assert golden.state_crc32(directory, state) == meta["weights_crc32"]
    return load_masa("masa_r50", state)
