"""Read a memory of token keys: from coarse to fine, each level searching only among the last one's best.

The affinity of a cell is a softmax over few candidates instead of all tokens of all frames, so reading costs one
matrix product on the coarse grid. A candidate that stands for "nothing that was ever seen" competes with them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from backend.propagation.token_keys import TokenKeys

TEMPERATURE = 0.05
# Candidates a token of 16 pixels keeps, and a cell of 8 pixels.
TOKENS = 16
CELLS = 8
# The similarity at which a memory is no better than none.
UNSEEN = 0.4


def read_memory(query: TokenKeys, memory: Sequence[TokenKeys], priors: Sequence[float], values: Tensor) -> Tensor:
    """What the memory says of each cell of the query.

    Args:
        query: n tokens.
        memory: the remembered frames, N tokens in all.
        priors: of each, how much a squared token distance takes off a similarity; powers of two.
        values: (O, N, 4, 4, V) of O objects, each of which is known on every remembered frame.

    Returns:
        (O, n, 4, 4, V): affinity-weighted means, 0 as far as nothing like it was ever seen.
    """
    n, objects, channels = len(query), values.shape[0], values.shape[-1]
    keys = torch.cat([keys.located(prior) for keys, prior in zip(memory, priors, strict=True)])
    affinity = query.queries() @ keys.T
    meaning, tokens = affinity.topk(min(TOKENS, affinity.shape[1]), dim=1)
    count = tokens.shape[1]

    cells = torch.cat([keys.middle for keys in memory]).flatten(1)
    candidates = cells.index_select(0, tokens.flatten()).view(n, count * 4, -1)
    texture = torch.bmm(query.middle, candidates.transpose(1, 2)).float()
    similarity = (texture + meaning.float().repeat_interleave(4, dim=1)[:, None]) / 2
    similarity, best = similarity.topk(min(CELLS, count * 4), dim=2)
    kept = similarity.shape[2]
    # Candidate c of a token is its cell c % 4 of its token c // 4.
    numbered = (tokens[:, :, None] * 4 + torch.arange(4, device=tokens.device)).view(n, 1, count * 4)
    chosen = numbered.expand(-1, 4, -1).gather(2, best)

    pixels = torch.cat([keys.fine for keys in memory]).flatten(0, 1).flatten(1)
    candidates = pixels.index_select(0, chosen.flatten()).view(n * 4, kept * 4, -1)
    detail = torch.bmm(query.fine.view(n * 4, 4, -1), candidates.transpose(1, 2)).float()
    score = (similarity.view(n * 4, 1, kept, 1) + detail.view(n * 4, 4, kept, 4)) / 2
    # Similarities end at 1, so the exponentials are safe as they are.
    weight = torch.exp((score.view(n * 4, 4, kept * 4) - 1) / TEMPERATURE)
    unseen = torch.exp(torch.tensor((UNSEEN - 1) / TEMPERATURE, device=weight.device))

    weight = weight / (weight.sum(2, keepdim=True) + unseen)

    out = values.new_empty((objects, n, 4, 4, channels))
    for row in range(objects):
        said = values[row].flatten(0, 1).flatten(1).index_select(0, chosen.flatten()).view(n * 4, kept * 4, channels)
        out[row] = torch.bmm(weight, said).view(n, 4, 4, channels)
    return out
