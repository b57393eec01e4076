"""Keys for matching frames by what a TinyViT saw on its way to the embedding, on three nested grids.

A token of the 16-pixel grid (of the frame scaled to 1024) holds four cells of 8 pixels, each four cells of 4. The
embedding knows what a place is, the earlier stages know exactly where it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backend.propagation.propagator import Encoded

STRIDE = 16
# A squared distance on the token grid is split at this so that both parts are exact in bfloat16.
_SPLIT = 128


@dataclass(frozen=True, eq=False)
class TokenKeys:
    """The keys of n chosen tokens of a frame, every vector of unit length.

    ``coarse`` (n, C), ``middle`` (n, 4, C'), ``fine`` (n, 4, 4, C''), ``index`` (n,) into the grid of ``shape``
    (rows, columns).
    """

    coarse: Tensor
    middle: Tensor
    fine: Tensor
    index: Tensor
    shape: tuple[int, int]

    def __len__(self) -> int:
        return self.index.shape[0]

    def take(self, chosen: Tensor) -> TokenKeys:
        """The tokens that a ``bool`` (rows, columns) map marks; only of keys that hold the whole grid."""
        index = chosen.flatten().nonzero()[:, 0]
        if len(index) == len(self):
            return self
        return TokenKeys(self.coarse[index], self.middle[index], self.fine[index], index, self.shape)

    def queries(self) -> Tensor:
        """(n, C + 6): products with :meth:`located` are cosine similarity less ``prior`` * squared distance."""
        y, x, high, low = self._coordinates()
        one = torch.ones_like(y)
        return torch.cat([self.coarse, torch.stack([y, x, one, one, high, low], 1).to(self.coarse)], 1)

    def located(self, prior: float) -> Tensor:
        """(n, C + 6); ``prior`` is a power of two, 0.004 for an object that has hardly moved."""
        y, x, high, low = self._coordinates()
        one = torch.ones_like(y)
        parts = torch.stack([2 * y, 2 * x, -_SPLIT * high, -low, -_SPLIT * one, -one], 1) * prior
        return torch.cat([self.coarse, parts.to(self.coarse)], 1)

    def _coordinates(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        y = (self.index // self.shape[1]).float()
        x = (self.index % self.shape[1]).float()
        square = y * y + x * x
        high = (square / _SPLIT).floor()
        return y, x, high, square - _SPLIT * high


def make_keys(encoding: Encoded, dtype: torch.dtype) -> TokenKeys:
    """The keys of all tokens that hold some of the picture.

    Raises:
        TypeError: the encoder has no earlier stages to offer.
    """
    if encoding.middle is None or encoding.fine is None:
        raise TypeError("token keys need the stages of a TinyViT; this segmenter's encoder has none")
    rows, columns = grid_of(encoding)
    embedding = encoding.embedding[0, :, :rows, :columns].float()
    middle = encoding.middle[0, :, : 2 * rows, : 2 * columns].float()
    fine = encoding.fine[0, :, : 4 * rows, : 4 * columns].float()
    count = rows * columns
    return TokenKeys(
        coarse=_direction(embedding).flatten(1).T.to(dtype).contiguous(),
        middle=_nest(_direction(middle), rows, columns, 1).reshape(count, 4, -1).to(dtype),
        fine=_nest(_direction(fine), rows, columns, 2).reshape(count, 4, 4, -1).to(dtype),
        index=torch.arange(count, device=embedding.device),
        shape=(rows, columns),
    )


def grid_of(encoding: Encoded) -> tuple[int, int]:
    """Rows and columns of the tokens that hold some of the picture."""
    height, width = encoding.scaled
    return -(-height // STRIDE), -(-width // STRIDE)


def nest_values(values: Tensor, rows: int, columns: int) -> Tensor:
    """(V, 4 rows, 4 columns) -> (rows * columns, 4, 4, V): the finest cells of each token, in the keys' order."""
    return _nest(values, rows, columns, 2).reshape(rows * columns, 4, 4, values.shape[0])


def unnest_values(values: Tensor, index: Tensor, shape: tuple[int, int]) -> Tensor:
    """(n, 4, 4, V) of the tokens ``index`` -> (V, 4 rows, 4 columns), 0 elsewhere."""
    rows, columns = shape
    full = values.new_zeros((rows * columns, 4, 4, values.shape[-1]))
    full[index] = values
    cells = full.view(rows, columns, 2, 2, 2, 2, -1).permute(6, 0, 2, 4, 1, 3, 5)
    return cells.reshape(-1, 4 * rows, 4 * columns)


def _direction(features: Tensor) -> Tensor:
    """Centre (C, H, W) over the picture and scale every vector to length one."""
    centred = features - features.mean((1, 2), keepdim=True)
    return functional.normalize(centred, dim=0)


def _nest(values: Tensor, rows: int, columns: int, depth: int) -> Tensor:
    """(C, 2^depth rows, 2^depth columns) -> (rows, columns, [2, 2] * depth, C)."""
    if depth == 1:
        return values.view(-1, rows, 2, columns, 2).permute(1, 3, 2, 4, 0)
    return values.reshape(-1, rows, 2, 2, columns, 2, 2).permute(1, 4, 2, 5, 3, 6, 0)
