"""What was learned of the objects of one call, beside their tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch is seconds long
    from backend.association.identity import Calibration, Gallery


@dataclass(eq=False)
class Learned:
    """What objects look like; it is filled while they are tracked.

    Attributes:
        galleries: by name; of objects that were never given out as well.
        calibration: what similarities of the embedder mean; None where nothing tells objects apart.
    """

    galleries: Mapping[str, Gallery] = field(default_factory=dict)
    calibration: Calibration | None = None
