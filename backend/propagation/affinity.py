"""XMem's reading of its memory: an affinity between places, after an anisotropic distance of their keys.

The similarity of memory token i and query j, -s_i / 8 * sum_c e_cj (k_ci - q_cj)^2 (shrinkage s, selection e), is
one matrix product of inner size 129. All but the best 30 tokens of a query have no part in its softmax, so values are
gathered instead of multiplied. Both are exact up to rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# Similarities held at a time.
_BLOCK = 8 << 20


@dataclass(frozen=True, eq=False)
class AnisotropicKeys:
    """The keys of N tokens of a memory, float32: ``key`` (N, C), ``shrinkage`` (N,), ``selection`` (N, C).

    ``rows`` (N, 2 C + 1) are what similarities are made of.
    """

    key: Tensor
    shrinkage: Tensor
    selection: Tensor
    rows: Tensor

    @classmethod
    def of(cls, key: Tensor, shrinkage: Tensor, selection: Tensor) -> AnisotropicKeys:
        """Of what the network makes."""
        strength = shrinkage[:, None] / key.shape[1] ** 0.5
        rows = torch.cat([-strength * key * key, 2 * strength * key, -strength], 1)
        return cls(key, shrinkage, selection, rows)

    def __len__(self) -> int:
        return len(self.key)

    def take(self, index: Tensor) -> AnisotropicKeys:
        """The tokens of an index (n,)."""
        return AnisotropicKeys(self.key[index], self.shrinkage[index], self.selection[index], self.rows[index])

    def queries(self) -> Tensor:
        """(N, 2 C + 1): the product with another one's ``rows`` is the similarity of its tokens to these."""
        weighted = self.selection * self.key
        return torch.cat([self.selection, weighted, (weighted * self.key).sum(1, keepdim=True)], 1)


@dataclass(frozen=True, eq=False)
class Affinity:
    """The tokens that each of n queries attends to, of N: ``index`` (n, k) and their weights (n, k), which sum to 1."""

    index: Tensor
    weights: Tensor
    tokens: int

    def read(self, values: Tensor) -> Tensor:
        """Values (N, C) -> (n, C)."""
        return functional.embedding_bag(
            self.index, values, mode="sum", per_sample_weights=self.weights.to(values.dtype)
        )

    def usage(self) -> Tensor:
        """(N,): the attention that each token got from all queries together."""
        got = self.weights.new_zeros(self.tokens)
        return got.index_add_(0, self.index.flatten(), self.weights.flatten())


def attend(queries: Tensor, rows: Tensor, top: int) -> Affinity:
    """A softmax over the ``top`` most similar tokens of each query; queries (n, D), rows (N, D)."""
    top = min(top, len(rows))
    index = torch.empty((len(queries), top), dtype=torch.long, device=rows.device)
    best = torch.empty((len(queries), top), dtype=rows.dtype, device=rows.device)
    for first in range(0, len(queries), step := max(1, _BLOCK // len(rows))):
        part = slice(first, first + step)
        torch.topk(queries[part] @ rows.T, top, dim=1, sorted=False, out=(best[part], index[part]))
    return Affinity(index, torch.softmax(best, 1), len(rows))
