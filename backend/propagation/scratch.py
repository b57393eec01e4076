"""Memory that is used again, for what is made anew on every frame and a little larger each time.

Allocators keep what was freed for the next one of its size, of which there is none: over thousands of frames a process
would hold a multiple of what it uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Rows by which it grows.
_STEP = 4096


class Scratch:
    """Joins tensors in memory that it keeps."""

    def __init__(self) -> None:
        self._held: dict[tuple[torch.dtype, torch.device, int], Tensor] = {}

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Tensors (N_i, C), one after the other: (sum of N_i, C).

        It is overwritten by the next call for as many columns, and must not be kept.
        """
        if len(parts) == 1:
            return parts[0]
        rows, (_, columns) = sum(map(len, parts)), parts[0].shape
        kind = parts[0].dtype, parts[0].device, columns
        if kind not in self._held or len(self._held[kind]) < rows:
            self._held.pop(kind, None)  # freed before the larger one is taken
            self._held[kind] = parts[0].new_empty((-(-rows // _STEP) * _STEP, columns))
        return torch.cat(list(parts), out=self._held[kind][:rows])
